"""The library picamera2, as its manual describes it, by a stand-in: it runs on a Raspberry Pi's own Python only."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from tests.services.base import until
from workers.camera import opening
from workers.camera.capture import Capture
from workers.camera.options import Options
from workers.camera.picture import Planes, size
from workers.camera.sources import picamera2

PATIENCE_s = 60
STRIDE_px, LATE_ns = 384, NS_PER_S // 50
OPTIONS = Options(source="picamera2", width_px=320, height_px=240, fps=25)


class Request:
    """A frame in the camera's own memory, until it is released."""

    def __init__(self, camera: Library, number: int) -> None:
        self._camera, self._number = camera, number
        camera.held += 1

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": SystemClock.boot_ns() - LATE_ns, "ExposureTime": 9998, "Lux": 341.5}

    def make_buffer(self, name: str) -> Any:
        assert name == "main"
        return np.full(STRIDE_px * 240 * 3 // 2, self._number, np.uint8)

    def release(self) -> None:
        self._camera.held -= 1


class Job:
    """What capture_request(wait=False) gives."""

    def __init__(self, camera: Library) -> None:
        self._camera = camera

    def get_result(self, timeout: float) -> Request:
        try:
            return Request(self._camera, self._camera.frames.get(timeout=timeout))
        except queue.Empty:
            raise TimeoutError from None


class Library:
    """The class Picamera2, of which there is one camera, and what it was asked for."""

    def __init__(self) -> None:
        self.frames: queue.Queue[int] = queue.Queue()
        self.calls: list[Any] = []
        self.cameras, self.held = 1, 0
        self.error: Exception | None = None

    def global_camera_info(self) -> list[dict[str, Any]]:
        return [{"Model": "imx477", "Num": number} for number in range(self.cameras)]

    def __call__(self, camera_num: int) -> Library:
        self.calls.append(camera_num)
        if self.error:
            try:
                raise self.error
            except Exception:
                raise RuntimeError("Camera __init__ sequence did not complete.")  # noqa: B904 # as the library does
        return self

    def create_video_configuration(self, **asked: Any) -> dict[str, Any]:
        self.calls.append(asked)
        return asked

    def configure(self, configuration: dict[str, Any]) -> None:
        if configuration["main"]["size"][0] > 4056:
            raise RuntimeError("failed to configure streams")

    def camera_configuration(self) -> dict[str, Any]:
        return {"main": {"size": (320, 240), "stride": STRIDE_px, "format": "YUV420"}}

    def start(self) -> None:
        self.calls.append("start")

    def capture_request(self, wait: bool) -> Job:
        assert not wait
        return Job(self)

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """In the place of the two modules; in the end every request was given back."""
    made = Library()
    for name, what, content in (("picamera2", "Picamera2", made), ("libcamera", "ColorSpace", SimpleNamespace(Sycc=lambda: "sYCC"))):
        module = ModuleType(name)
        setattr(module, what, content)
        monkeypatch.setitem(sys.modules, name, module)
    yield made
    assert made.held == 0


def test_frames(library: Library) -> None:
    """Planes without their padding, each with its own content, dated by the sensor; the camera is stopped and closed."""
    library.frames.queue.extend([7, 8, 9])
    with closing(opening.opener(OPTIONS)()) as camera:
        for number in (7, 8, 9):
            at_ns = camera.grab()
            assert at_ns is not None
            assert LATE_ns <= SystemClock.monotonic_ns() - at_ns < PATIENCE_s * NS_PER_S
            if number != 8:
                planes = camera.retrieve()
                assert isinstance(planes, Planes)
                assert size(planes) == (320, 240)
                assert planes.full
                assert {int(plane.max()) for plane in planes[:3]} == {number}
    assert library.calls[-2:] == ["stop", "close"]


def test_what_it_is_asked_for(library: Library) -> None:
    """The second camera; size, rate and mode as configured; colours that do not depend on the size."""
    library.cameras = 2
    picamera2.Opened(Options(source="picamera2:1", width_px=640, height_px=480, fps=10, mode="2028:1520:12"), 1).close()
    number, asked, *_ = library.calls
    assert number == 1
    assert asked["main"] == {"size": (640, 480), "format": "YUV420"}
    assert asked["controls"] == {"FrameRate": 10}
    assert asked["sensor"] == {"output_size": (2028, 1520), "bit_depth": 12}
    assert asked["colour_space"] == "sYCC"


def test_no_frame_is_an_error(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, which is longer for the first one."""
    monkeypatch.setattr(picamera2, "FIRST_s", 0.3)
    with closing(picamera2.Opened(OPTIONS)) as camera, pytest.raises(DeviceError, match="picamera2 gives no picture for 0 s"):
        camera.grab()


def test_it_can_be_interrupted(library: Library) -> None:
    """Leaving the block ends the wait for a frame that does not come."""
    with Capture("picamera2", opening.opener(OPTIONS)) as capture:
        assert capture.frame(0.01) is None
        until(lambda: "start" in library.calls, PATIENCE_s, "the camera")
    until(lambda: not any(thread.name.startswith("camera") for thread in threading.enumerate()), PATIENCE_s, "the thread to end")
    assert library.calls[-1] == "close"


TROUBLE = [
    (0, None, 0, "no camera is found on the ribbon cable"),
    (1, None, 1, "there is no camera of that number"),
    (1, RuntimeError("Failed to acquire camera: Device or resource busy"), 0, "another program holds the camera"),
    (1, RuntimeError("nobody knows this one"), 0, "nobody knows this one"),
]


@pytest.mark.parametrize(("cameras", "error", "number", "message"), TROUBLE)
def test_what_the_library_raises_is_told(library: Library, cameras: int, error: Exception | None, number: int, message: str) -> None:
    """In a sentence that says what to do, by the cause behind what the library raises."""
    library.cameras, library.error = cameras, error
    with pytest.raises(DeviceError, match=f"picamera2:{number} does not open: .*{message}"):
        picamera2.Opened(OPTIONS, number)


def test_a_size_that_it_refuses(library: Library) -> None:
    """What was opened by then is closed again."""
    with pytest.raises(DeviceError, match="does not start: the camera has no such mode or size"):
        picamera2.Opened(Options(source="picamera2", width_px=5000))
    assert library.calls[-1] == "close"


@pytest.mark.parametrize("missing", ["picamera2", "libcamera"])
def test_a_missing_library_is_named(library: Library, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """With how it is installed, which is not by pip."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DeviceError, match=rf"{missing} is not there for this Python: sudo apt .*--system-site-packages"):
        opening.opener(OPTIONS)()


@pytest.mark.parametrize("metadata", [{"SensorTimestamp": "soon"}, {}, {"SensorTimestamp": 1}], ids=["text", "none", "long ago"])
def test_a_stamp_that_cannot_be_true(metadata: dict[str, Any]) -> None:
    """Is not taken: the frame is dated as it arrives."""
    now_ns = SystemClock.monotonic_ns() + 3600 * NS_PER_S
    assert picamera2.taken_ns(metadata, now_ns) == now_ns
