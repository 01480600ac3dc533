"""A camera of another process, read out of shared memory: what stands as source = "shared:NAME" where it says share = "NAME"."""

from __future__ import annotations

from pathlib import Path

from edgegw.clock import NS_PER_S, Clock, SystemClock
from edgegw.errors import DeviceAbsent, DeviceError
from workers.camera.picture import Picture
from workers.camera.share.ring import Reader
from workers.camera.share.segment import SHM

PACE_ns = 10_000_000  # each look costs some 90 µs with its waking up, so 1 % of a core; a picture waits for 5 ms on average
CHANGE_ns = 1 * NS_PER_S  # how long a writer may take to go on with pictures of another size
SILENT_ns = 12 * NS_PER_S  # longer than the slowest camera's period, which is 10 s


class Shared:
    """An open one; to be used in one thread."""

    def __init__(self, name: str, clock: Clock | None = None, directory: Path = SHM) -> None:
        """Raises DeviceAbsent where nobody shows pictures under that name."""
        self._name = name
        self._clock = clock or SystemClock()
        self._reader = Reader(name, directory)
        self._at_ns = self._reader.newest()
        self._gone_ns = 0  # since when there is no writer; 0 while there is one
        self._interrupted = False

    @property
    def missed(self) -> int:
        """Pictures that were shown while nobody looked."""
        return self._reader.missed

    def grab(self) -> int | None:
        """Wait for the next picture, the newest by then; when it was taken. Raises DeviceError when none comes for SILENT_ns."""
        begun_ns = due_ns = self._clock.monotonic_ns()
        at_ns, self._at_ns = self._at_ns, None
        while at_ns is None and not self._interrupted:
            due_ns += PACE_ns
            self._clock.sleep_until(due_ns)
            at_ns = self._look(begun_ns)
        return at_ns

    def retrieve(self) -> Picture | None:
        """It; or None where the writer was faster."""
        return self._reader.picture()

    def interrupt(self) -> None:
        """From another thread: let grab() come back soon, with None."""
        self._interrupted = True

    def close(self) -> None:
        """Let go of it."""
        self._reader.close()

    def _look(self, begun_ns: int) -> int | None:
        now_ns = self._clock.monotonic_ns()
        try:
            at_ns = self._reader.newest()
        except DeviceAbsent:
            self._gone_ns = self._gone_ns or now_ns
            if now_ns - self._gone_ns > CHANGE_ns:
                raise
            return None
        self._gone_ns = 0
        if at_ns is None and now_ns - begun_ns > SILENT_ns:
            raise DeviceError(
                f"nothing new is shown as {self._name} for {SILENT_ns // NS_PER_S} s, though the process that shows it lives: "
                "what does `edgegw status` say of its camera?"
            )
        return at_ns
