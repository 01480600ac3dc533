"""A stand-in for rpicam-vid: its command line, its bytes on standard output, its words on stderr, its notes, and its ways to fail.

Written from rpicam-apps' documentation, to be found on PATH by that name:

    #!/bin/sh
    FAKE_RPICAM=/tmp/fault exec python -m workers.virtual.rpicamvid "$@"

How it misbehaves stands in the file that FAKE_RPICAM names, as "fault=hang&after=20" with the names of Behaviour; it is looked at
before each frame. Without the file all is well.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from workers.virtual.rpicamscript import Arguments, Behaviour, Ended, understood, wanted
from workers.virtual.rpicamshow import Show

NS_PER_S = 1_000_000_000
CAMERA = "/base/soc/i2c0mux/i2c@1/imx477@1a"
LATE_ns = NS_PER_S // 20  # how long ago a frame was exposed when it is written
LIST = f"""Available cameras
-----------------
0 : imx477 [4056x3040 12-bit RGGB] ({CAMERA})
    Modes: 'SRGGB12_CSI2P' : 2028x1080 [50.03 fps - (0, 440)/4056x2160 crop]
                             4056x3040 [10.00 fps - (0, 0)/4056x3040 crop]
"""
RESTART = (
    " WARN V4L2 v4l2_videodevice.cpp:2095 /dev/video0[14:cap]: Dequeue timer of 1000000.00us has expired!",
    "ERROR RPI pipeline_base.cpp:1364 Camera frontend has timed out!",
    "ERROR RPI pipeline_base.cpp:1365 Please check that your camera sensor connector is attached securely.",
)
FLOOD_bytes = 1 << 20
PAUSE_s = 1.0


def main(arguments: Sequence[str]) -> int:
    """Its exit code: 255 for what it calls an error."""
    try:
        asked = understood(arguments)
        if asked.list_cameras:
            print(LIST)
            return 0
        _Camera(asked).run()
    except Ended as error:
        say(f"ERROR: *** {error} ***")
        return 255
    except BrokenPipeError:
        say("ERROR: *** failed to write output bytes ***")
        return 255
    return 0


def say(line: str) -> None:
    """On stderr, where libcamera's lines begin with a time and a thread."""
    stamp = "" if line.startswith("ERROR: ***") else f"[{time.clock_gettime(time.CLOCK_BOOTTIME):.9f}] [{os.getpid()}] "
    os.write(2, f"{stamp}{line}\n".encode())


class _Camera:
    def __init__(self, asked: Arguments) -> None:
        self._asked = asked
        self._stopped = self._stuck = False
        self._behaviour = wanted()
        self._show = Show(asked, self._behaviour)
        self._notes = open(asked.metadata, "wb", 0) if asked.metadata else None  # noqa: SIM115 # open until the process ends
        self._late = b""
        signal.signal(signal.SIGINT, self._stop)

    def run(self) -> None:
        """Frames until SIGINT, which is looked for after each."""
        self._open()
        time.sleep(self._behaviour.first_s)
        count, begun_s = 0, time.monotonic()
        while not self._stopped and (not self._asked.frames or count < self._asked.frames):
            behaviour = self._behaviour = self._behaviour if self._stuck else wanted()
            if count >= behaviour.after:
                self._fail(behaviour, count)
            for _ in range(behaviour.burst):
                self._write(count, behaviour)
                count += 1
            time.sleep(max(0.0, begun_s + count / self._asked.framerate - time.monotonic()))

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True

    def _open(self) -> None:
        say(" INFO Camera camera_manager.cpp:327 libcamera v0.5.0")
        if self._behaviour.fault == "nocam":
            raise Ended("no cameras available")
        if self._asked.camera > 0:
            raise Ended("selected camera is not available")
        if self._behaviour.fault == "in_use":
            say(" INFO Camera camera.cpp:1033 Pipeline handler in use by another process")
            raise Ended(f"failed to acquire camera {CAMERA}")
        size = f"{self._show.width_px}x{self._show.height_px}"
        say(f" INFO Camera camera.cpp:1202 configuring streams: (0) {size}-YUV420/sYCC (1) 2028x1520-SRGGB12_CSI2P/RAW")

    def _fail(self, behaviour: Behaviour, count: int) -> None:
        """What ends it, or holds it up."""
        behaviour.leave()
        self._stuck = behaviour.fault == "freeze"  # until it is started anew
        if behaviour.fault == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if behaviour.fault in ("hang", "deaf"):
            while True:
                signal.pause()
        if behaviour.fault in ("lost", "restart"):
            for line in RESTART:
                say(line)
            say("ERROR: Device timeout detected, attempting a restart!!!")
            if behaviour.fault == "lost":
                raise Ended("failed to start camera")
            time.sleep(PAUSE_s)
        if behaviour.fault == "crash":
            data = self._show.frame(count)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _out(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGSEGV)
        if behaviour.fault == "end":
            raise Ended("something that nobody has heard of")

    def _write(self, number: int, behaviour: Behaviour) -> None:
        ill = behaviour.fault if number >= behaviour.after else "none"
        if ill == "flood":
            os.write(2, b"x" * 99 + b"\n" + b"WARN noise\n" * (FLOOD_bytes // 11))
        data = self._show.frame(behaviour.after if ill == "freeze" else number)
        _out(self._show.spoilt(data, ill))
        self._note(behaviour)

    def _note(self, behaviour: Behaviour) -> None:
        """One value a line, each flushed; the newer format's brackets are closed at the end only, which a killed program never sees."""
        if self._notes is None or behaviour.notes == "none":
            return
        at_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - LATE_ns
        values = {"FrameWallClock": time.time_ns() - LATE_ns, "SensorTimestamp": at_ns, "ExposureTime": 9998, "Lux": 341.5}
        if self._asked.metadata_format == "txt":
            text = "".join(f"{name}={value}\n" for name, value in values.items()) + "\n"
        else:
            text = "{" + ",".join(f'\n    "{name}": {value}' for name, value in values.items()) + "\n},\n"
        self._late += text.encode()
        if behaviour.notes == "punctual" or len(self._late) > 8192:
            self._notes.write(self._late)
            self._late = b""


def _out(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
