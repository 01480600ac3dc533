"""The seam between a camera and what is measured: a thread that takes frames as they come, and hands out one when it is asked.

The camera's libraries may hang for ever, in a driver or on a network; here only this thread hangs with them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, runtime_checkable

from edgegw.errors import DeviceError

if TYPE_CHECKING:
    from workers.camera.picture import Picture

END_s = 1.0  # for the thread to end; one that hangs is left behind, and ends when it comes back
SPOILT_in_a_row = 3


class Frame(NamedTuple):
    """A picture, and when it was taken (monotonic, ns)."""

    picture: Picture
    at_ns: int


class Progress(NamedTuple):
    """How far the camera is."""

    captured: int  # frames since it was opened
    taken: int  # of these, the ones that were handed out; the others were let go, or still wait
    spoilt: int  # frames that could not be read
    newest_ns: int  # when the newest was captured (monotonic, ns); 0 before the first
    late: int = 0  # frames that gave way before anybody had fetched them, where all are wanted


class Source(Protocol):
    """An open camera. All of it is called in one thread, the one that opened it; anything may raise DeviceError or OSError."""

    def grab(self) -> int | None:
        """Wait for the next frame; when it was captured (monotonic, ns), or None where it is spoilt."""

    def retrieve(self) -> Picture | None:
        """The frame that was grabbed last, or None where it is spoilt. What is never asked for need not be decoded.

        Nobody writes into it any more: whoever has it may keep it.
        """

    def close(self) -> None:
        """Give the camera back."""


@runtime_checkable
class Interruptible(Source, Protocol):
    """A source whose grab() need not be waited for."""

    def interrupt(self) -> None:
        """From another thread: let grab() come back soon, with None."""


class Capture:
    """Frames of the camera that `opened` opens, at the camera's own pace; as a context manager, which ends the thread.

    With keep = 1 the newest frame since one was asked for takes the place of the one before, and what nobody asks for is not
    even decoded. With more, every frame is retrieved, and up to so many wait in their order; then the oldest gives way.
    """

    def __init__(self, name: str, opened: Callable[[], Source], keep: int = 1) -> None:
        self._opened = opened
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque(maxlen=keep)
        self._every = keep > 1
        self._wanted = self._every
        self._ending = False
        self._source: Source | None = None
        self._trouble: Exception | None = None
        self._progress = Progress(0, 0, 0, 0)
        self._name = f"camera {name}"
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    def __enter__(self) -> Self:
        """Raises DeviceError while a thread that was left behind still holds this camera: another one would hang beside it."""
        if any(thread.name == self._left_behind for thread in threading.enumerate()):
            raise DeviceError(f"{self._name} hangs since it was last read: it can be opened again when it lets go, or by a new process")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending = True
            if isinstance(self._source, Interruptible):
                self._source.interrupt()
        self._thread.join(END_s)
        if self._thread.is_alive():
            self._thread.name = self._left_behind

    @property
    def _left_behind(self) -> str:
        return f"{self._name}, left behind"

    def frame(self, within_s: float) -> Frame | None:
        """The next frame that waits, or is waited for; None after so long without. Raises what ended the capture."""
        with self._changed:
            self._wanted = True
            self._changed.wait_for(lambda: self._waiting or self._trouble, within_s)
            if self._trouble:
                raise self._trouble
            if not self._waiting:
                return None
            self._wanted = self._every
            self._progress = self._progress._replace(taken=self._progress.taken + 1)
            return self._waiting.popleft()

    def progress(self) -> Progress:
        """How far it is by now. Raises what ended the capture."""
        with self._changed:
            if self._trouble:
                raise self._trouble
            return self._progress

    def _run(self) -> None:
        try:
            with closing(self._opened()) as source:
                self._tell(source)
                try:
                    self._take(source)
                finally:
                    self._tell(None)  # before it is closed: nobody interrupts what is gone
        except Exception as error:  # noqa: BLE001 # whatever it is, it has to come up in the thread that waits for frames
            with self._changed:
                self._trouble = error
                self._changed.notify_all()

    def _take(self, source: Source) -> None:
        spoilt = 0
        while not self._ending:
            spoilt = 0 if self._turn(source) else spoilt + 1
            if spoilt == SPOILT_in_a_row:
                raise DeviceError(f"{self._name} gives no more pictures: is it still there, and does nobody else use it?")

    def _tell(self, source: Source | None) -> None:
        with self._changed:
            self._source = source

    def _turn(self, source: Source) -> bool:
        """One frame; whether it was whole."""
        at_ns = source.grab()
        wanted = self._wanted
        picture = source.retrieve() if wanted and at_ns is not None else None
        with self._changed:
            was = self._progress
            if at_ns is None or (wanted and picture is None):
                self._progress = was._replace(spoilt=was.spoilt + 1)
                return False
            self._progress = was._replace(captured=was.captured + 1, newest_ns=at_ns)
            if picture is not None and self._wanted:
                if self._every and len(self._waiting) == self._waiting.maxlen:
                    self._progress = self._progress._replace(late=was.late + 1)
                self._waiting.append(Frame(picture, at_ns))
                self._changed.notify_all()
        return True
