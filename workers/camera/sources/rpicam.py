"""The camera on a Raspberry Pi's ribbon cable: rpicam-vid runs for as long as the camera is open, and its pictures come through a pipe.

What goes wrong, within which time it is found, and what is done (the recovery ladder opens the camera anew each time):

    the program ends or crashes     at once             an error, with what it said last; half a frame is thrown away
    it runs without a whole frame   3 s or 5 periods    an error; it is killed without asking, for it looks for SIGINT after a frame only
    there is no first frame         10 s or 5 periods   the same
    bytes are missing in a frame    with that frame,    an error: there is no mark to go on from
                                    or after a burst
    a JPEG is spoilt                with that frame     it is skipped and counted

Beside the pictures the program writes notes on each of them, right behind its last byte. They say when the sensor began to expose it
(SensorTimestamp, CLOCK_BOOTTIME), and they are what a frame of bare planes is measured by: when note n has come, n frames have.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from workers.camera.options import Options
from workers.camera.picture import Size
from workers.camera.sources import complaints
from workers.camera.sources.child import Child
from workers.camera.sources.mjpeg import Cut

if TYPE_CHECKING:
    from workers.camera.picture import Picture

PROGRAMS = ("rpicam-vid", "libcamera-vid")  # the second is its name before Debian 12
INSTALL = "sudo apt install rpicam-apps-lite"
WIDTH_px, HEIGHT_px = 1280, 720  # rows of it have no padding on any board
HANG_s, FIRST_s, HANG_periods = 3.0, 10.0, 5
NOTE_s = 0.02  # for the note on a frame, which comes right behind it
LATE_periods = 2  # how old a frame is when it arrives, where no note says so: it is exposed, read out and converted
RECENT_ns = 5 * NS_PER_S
QUALITY = 80
LINE_bytes = 1 << 16
_STAMP = re.compile(rb"SensorTimestamp\D{1,4}(\d{1,19})\b")
_STREAM = re.compile(r"configuring streams: \(0\) (\d+)x(\d+)-")  # libcamera's own word for what it really gives


class Frames(Protocol):
    """Cuts what comes out of the pipe into frames."""

    number: int  # of the frame that was cut last, as the notes have it: from 1

    def read(self, file: int) -> int:
        """Take some of what is there: how many bytes, 0 at the end. Raises BlockingIOError where there is nothing."""

    def cut(self, notes: int, drained: bool) -> Cut | None:
        """Whether one more frame is there, `notes` having come; `drained`: since then the pipe was found empty. Raises DeviceError."""

    def picture(self) -> Picture | None:
        """The frame that was cut last."""


class Ribbon:
    """An open camera."""

    def __init__(self, options: Options, number: int = 0) -> None:
        self._program = _program()
        self._notes = Notes()
        self._wait_ns = round(max(FIRST_s, HANG_periods / options.fps) * NS_PER_S)
        self._hang_ns = round(max(HANG_s, HANG_periods / options.fps) * NS_PER_S)
        self._late_ns = round(LATE_periods / options.fps * NS_PER_S)
        self._adrift = False  # bytes were spoilt: there may have been more frames in them, or none
        self._asked = asked(options)
        self._hangs = False
        self._child = Child(lambda notes: command(self._program, number, options, notes))
        self._frames = self._cutting(options)

    def grab(self) -> int | None:
        """Wait for the next frame; when the sensor began to expose it. Raises DeviceError, as the table has it."""
        begun_ns = SystemClock.monotonic_ns()
        while (cut := self._next()) is None:
            if not self._child.wait(begun_ns + self._wait_ns):
                self._hangs = True
                raise DeviceError(self._silence())
            if self._child.interrupted:
                self._hangs = SystemClock.monotonic_ns() - begun_ns > self._hang_ns // 3
                return None
        self._wait_ns = self._hang_ns
        if cut is Cut.SPOILT:
            self._adrift = True
            return None
        return self._taken_ns()

    def retrieve(self) -> Picture | None:
        """The planes, or the JPEG decoded to blue, green and red."""
        return self._frames.picture()

    def interrupt(self) -> None:
        """From another thread: grab() comes back."""
        self._child.interrupt()

    def close(self) -> None:
        """End the program. Raises DeviceError where it cannot be ended."""
        self._child.close(signal.SIGTERM if self._hangs else signal.SIGINT)

    def _cutting(self, options: Options) -> Frames:
        if options.codec == "mjpeg":
            from workers.camera.sources.pipedjpegs import PipedJpegs

            return PipedJpegs()
        from workers.camera.sources.pipedplanes import PipedPlanes

        return PipedPlanes(lambda: configured(self._child.said) or self._asked)

    def _next(self) -> Cut | None:
        """One more frame out of what has come."""
        self._notes.take(self._child.noted)  # first: an empty pipe after this says that the frames of these notes are all here
        drained = False
        try:
            if not self._frames.read(self._child.out):
                raise DeviceError(complaints.ended(self._program, self._child.ended(1.0), self._child.said))
        except BlockingIOError:
            drained = True
        return self._frames.cut(self._notes.count, drained)

    def _taken_ns(self) -> int:
        """By the note on this frame, or else by its arrival (monotonic)."""
        now_ns = SystemClock.monotonic_ns()
        if self._adrift or self._notes.count < self._frames.number:
            self._child.wait_for_notes(now_ns + round(NOTE_s * NS_PER_S))
            self._notes.take(self._child.noted)
        if self._adrift:
            self._adrift, self._frames.number = False, self._notes.count
        stamp_ns = self._notes.stamp(self._frames.number)
        at_ns = now_ns - self._late_ns
        if stamp_ns is not None:
            at_ns = stamp_ns - (SystemClock.boot_ns() - SystemClock.monotonic_ns())  # they differ by the time spent suspended
        return at_ns if 0 <= now_ns - at_ns <= RECENT_ns else now_ns - self._late_ns

    def _silence(self) -> str:
        why = complaints.meaning(self._child.said) or "it is started anew; if that does not help, check the ribbon cable and the power"
        return f"{self._program} runs, but gives no whole picture for {self._wait_ns / NS_PER_S:.0f} s: {why}"


class Notes:
    """When the sensor began to expose each frame, as the program notes it; in either of its two formats."""

    def __init__(self) -> None:
        self.count = 0
        self._stamps: deque[int] = deque(maxlen=64)

    def take(self, noted: bytearray) -> None:
        """Whole lines, which are removed."""
        end = noted.rfind(b"\n") + 1
        stamps = _STAMP.findall(noted, 0, end)
        del noted[: end or (len(noted) if len(noted) > LINE_bytes else 0)]
        self.count += len(stamps)
        self._stamps.extend(map(int, stamps))

    def stamp(self, number: int) -> int | None:
        """Of frame `number`, from 1 (CLOCK_BOOTTIME, ns); None where it has not come, or is forgotten."""
        back = self.count - number
        return self._stamps[-1 - back] if 0 <= back < len(self._stamps) else None


def command(program: str, number: int, options: Options, notes: str) -> list[str]:
    """Its arguments: for ever, to standard output, each frame flushed when it is done, with notes on each in that file."""
    width_px, height_px = asked(options)
    what = {
        "--nopreview": None,
        "--timeout": "0",
        "--camera": str(number),
        "--codec": options.codec,
        "--width": str(width_px),
        "--height": str(height_px),
        "--framerate": f"{options.fps:g}",
        "--flush": None,
        "--metadata": notes,
        "--metadata-format": "txt",
        "--output": "-",
        **({"--quality": str(QUALITY)} if options.codec == "mjpeg" else {}),
        **({"--mode": options.mode} if options.mode else {}),
    }
    return [program, *(word for pair in what.items() for word in pair if word is not None)]


def asked(options: Options) -> Size:
    """The size to ask for: even, as YUV 4:2:0 needs it; 16 to 9 where only one side is given."""
    width_px, height_px = options.width_px, options.height_px
    width_px = width_px or (round(height_px * WIDTH_px / HEIGHT_px) if height_px else WIDTH_px)
    return Size(width_px & ~1, (height_px or round(width_px * HEIGHT_px / WIDTH_px)) & ~1)


def configured(said: Sequence[str]) -> Size | None:
    """The size that the camera was really set to, which need not be the one that was asked for; None where it is not said."""
    found = [match for line in said if (match := _STREAM.search(line))]
    return Size(int(found[-1][1]), int(found[-1][2])) if found else None


def _program() -> str:
    found = next((name for name in PROGRAMS if shutil.which(name)), None)
    if found is None:
        raise DeviceError(f"{PROGRAMS[0]}, which reads the camera on the ribbon cable, is not installed: {INSTALL}")
    return found
