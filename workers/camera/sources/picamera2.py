"""The camera on a Raspberry Pi's ribbon cable through the library picamera2, where the system has it.

The library comes with the system, built for the system's own Python: a virtual environment sees it only when it was made from that
Python with --system-site-packages. A frame that does not come within 3 s or 5 periods is an error, 10 s for the first.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from workers.camera.options import Options
from workers.camera.sources import complaints
from workers.camera.sources.rpicam import FIRST_s, HANG_periods, HANG_s, RECENT_ns, asked

if TYPE_CHECKING:
    from workers.camera.picture import Planes

T = TypeVar("T")
INSTALL = "sudo apt install python3-picamera2, and make the virtual environment anew by /usr/bin/python3 -m venv --system-site-packages"
BUFFERS = 4
SLICE_s = 0.25  # how long interrupt() may take


class Opened:
    """An open camera; to be made and used in one thread, but for interrupt()."""

    def __init__(self, options: Options, number: int = 0) -> None:
        library, libcamera = _libraries()
        self._camera = _tried(lambda: _chosen(library, number), f"picamera2:{number} does not open")
        self._interrupted = False
        self._request: Any = None
        self._job: Any = None
        self._wait_ns = round(max(FIRST_s, HANG_periods / options.fps) * NS_PER_S)
        self._hang_ns = round(max(HANG_s, HANG_periods / options.fps) * NS_PER_S)
        try:
            _tried(lambda: _started(self._camera, libcamera, options), f"picamera2:{number} does not start")
        except BaseException:
            self._camera.close()
            raise

    def grab(self) -> int | None:
        """Wait for the next frame; when the sensor began to expose it. Raises DeviceError where none comes in time."""
        self._let_go()
        until_ns = SystemClock.monotonic_ns() + self._wait_ns
        self._job = self._job or self._camera.capture_request(wait=False)
        while self._request is None:
            try:
                self._request = self._job.get_result(timeout=SLICE_s)
            except TimeoutError:
                if self._interrupted:
                    return None
                if SystemClock.monotonic_ns() >= until_ns:
                    silent_s = self._wait_ns / NS_PER_S
                    raise DeviceError(f"picamera2 gives no picture for {silent_s:.0f} s: check the ribbon cable and the power") from None
        self._job, self._wait_ns = None, self._hang_ns
        return taken_ns(self._request.get_metadata(), SystemClock.monotonic_ns())

    def retrieve(self) -> Planes | None:
        """The planes, copied out of the camera's own memory, of which there is little."""
        from workers.camera.sources.layout import Layout

        main = self._camera.camera_configuration()["main"]
        buffer = self._request.make_buffer("main")
        self._let_go()
        (width_px, height_px), stride_px = main["size"], main["stride"]
        if buffer.size < stride_px * height_px * 3 // 2:
            return None
        return Layout(width_px, height_px, stride_px, buffer.size).planes(buffer)

    def interrupt(self) -> None:
        """From another thread: grab() comes back."""
        self._interrupted = True

    def close(self) -> None:
        """Give the camera back."""
        self._let_go()
        self._camera.stop()
        self._camera.close()

    def _let_go(self) -> None:
        """The camera has few buffers: those that nobody gives back it misses."""
        if self._request is not None:
            self._request.release()
            self._request = None


def taken_ns(metadata: dict[str, Any], now_ns: int) -> int:
    """By the sensor's own stamp (CLOCK_BOOTTIME, ns) where it is of the last 5 s, else now (monotonic)."""
    stamp_ns = metadata.get("SensorTimestamp")
    at_ns = stamp_ns - (SystemClock.boot_ns() - SystemClock.monotonic_ns()) if isinstance(stamp_ns, int) else now_ns
    return at_ns if 0 <= now_ns - at_ns <= RECENT_ns else now_ns


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        return importlib.import_module("picamera2"), importlib.import_module("libcamera")
    except ImportError as error:
        raise DeviceError(f"the library {error.name or error} is not there for this Python: {INSTALL}") from error


def _tried(call: Callable[[], T], what: str) -> T:
    """The library's own errors, which are of all kinds, as ours; the cause is often in the one before."""
    try:
        return call()
    except (RuntimeError, LookupError, ValueError, OSError) as error:
        said = [str(each) for each in (error.__context__, error) if each]
        raise DeviceError(f"{what}: {complaints.meaning(said) or ', '.join(said)}") from error


def _chosen(library: ModuleType, number: int) -> Any:
    count = len(library.Picamera2.global_camera_info())
    if number >= count:
        raise RuntimeError("no cameras available" if not count else "selected camera is not available")
    return library.Picamera2(number)


def _started(camera: Any, libcamera: ModuleType, options: Options) -> None:
    """Planes in the colours of a JPEG, as rpicam-vid gives them: the library's own choice changes with the size."""
    sensor = {}
    if options.mode:
        width, height, bits, *_ = options.mode.split(":")
        sensor = {"sensor": {"output_size": (int(width), int(height)), "bit_depth": int(bits)}}
    camera.configure(
        camera.create_video_configuration(
            main={"size": tuple(asked(options)), "format": "YUV420"},
            controls={"FrameRate": options.fps},
            buffer_count=BUFFERS,
            colour_space=libcamera.ColorSpace.Sycc(),
            **sensor,
        )
    )
    camera.start()
