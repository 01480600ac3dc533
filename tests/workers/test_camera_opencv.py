"""Real files and a real network stream through OpenCV; what is not there; and what a sentence may not repeat."""

from __future__ import annotations

import contextlib
import http.server
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgegw import driver
from edgegw.errors import DeviceAbsent, DeviceError
from edgegw.reading import Quality, Sample
from tests.services.base import until
from tests.workers.camera_scenes import planted
from workers.camera import FIELDS, Options, opening, read
from workers.camera.sources.opencv import Opened, RECENT_ns, captured_ns

ROOT = Path(__file__).parents[2]
PATIENCE_s = 60
WALL = np.random.default_rng(1).integers(60, 90, (240, 320, 3), np.uint8)
DOT = (200.5, 100.25)


def frame(number: int) -> np.ndarray:
    return planted(WALL + np.uint8(number % 8), DOT, 8, 2)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """20 frames at 10 a second."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for number in range(20):
        writer.write(frame(number))
    writer.release()
    return path


class Stream(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A network camera: Motion JPEG over HTTP, 20 frames a second; `mode` is "ok", "corrupt", "stall" or "close"."""

    daemon_threads = True
    mode = "ok"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ended = threading.Event()
        self.frames = [cv2.imencode(".jpg", frame(number), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for number in range(8)]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Stream

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            number = 0
            while self.server.mode != "close" and not self.server.ended.wait(0.05):
                number += self.server.mode != "stall"
                if self.server.mode != "stall":
                    self._send(self.server.frames[number % 8], spoilt=self.server.mode == "corrupt" and number % 4 == 0)

    def _send(self, data: bytes, spoilt: bool) -> None:
        data = os.urandom(len(data)) if spoilt else data
        self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def stream() -> Iterator[Stream]:
    """Served in threads of this process, which end with it."""
    before = set(threading.enumerate())
    with Stream() as server:
        serving = threading.Thread(target=server.serve_forever, args=[0.05])
        serving.start()
        yield server
        server.ended.set()
        server.shutdown()
        serving.join()
    until(lambda: set(threading.enumerate()) <= before, PATIENCE_s, "the threads of the stream and of the camera to end")


def url(server: Stream, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{server.server_port}/camera.mjpeg"


def samples(options: Options, enough: int) -> list[Sample]:
    with contextlib.closing(read(options)) as reading:
        return [sample for sample, _ in zip(filter(None, reading), range(enough), strict=False)]


def trouble(options: Options) -> Exception:
    with contextlib.closing(read(options)) as reading, pytest.raises((DeviceError, OSError)) as raised:
        for _ in reading:
            pass
    return raised.value


def test_a_film_is_read_at_its_own_pace_and_ends(film: Path) -> None:
    """Two seconds of it, 10 frames a second, the dot where it is; then it has come to its end."""
    got: list[Sample] = []
    with contextlib.closing(read(Options(source=str(film), rate_hz=5))) as reading, pytest.raises(DeviceError, match="no more pictures"):
        got += filter(None, reading)
    assert len(got) >= 5
    assert got[-1].values["fps"] == pytest.approx(10, rel=0.2)
    assert (got[-1].values["width_px"], got[-1].values["height_px"]) == (320, 240)
    assert [got[-1].values[name] for name in ("laser_x_px", "laser_y_px")] == pytest.approx(DOT, abs=0.5)


def test_a_network_stream_is_read(stream: Stream) -> None:
    """Motion JPEG over HTTP: every field of the kind, good, dated back."""
    got = samples(Options(source=url(stream, "user:secret@"), rate_hz=5), 5)
    assert list(got[0].values) == list(FIELDS["camera"])
    assert {sample.quality for sample in got} == {Quality.GOOD}
    assert [got[-1].values[name] for name in ("laser_x_px", "laser_y_px")] == pytest.approx(DOT, abs=0.5)
    assert all(0 <= sample.age_ns < PATIENCE_s * 1e9 for sample in got)


def test_corrupt_frames_do_not_end_a_stream(stream: Stream) -> None:
    """One JPEG in four is noise: the others are measured."""
    stream.mode = "corrupt"
    got = samples(Options(source=url(stream), rate_hz=10), 10)
    assert len(got) == 10
    assert sum(sample.values["laser_x_px"] is not None for sample in got) >= 8


def test_a_stream_may_change_its_size(stream: Stream) -> None:
    """A frame of another size is scaled to the first one; before OpenCV 4.13 it is spoilt. Opening it anew gives the new size."""
    with contextlib.closing(Opened(Options(source=url(stream)))) as camera:
        assert camera.grab()
        stream.frames = [cv2.imencode(".jpg", WALL[:120, :160])[1].tobytes()] * 8
        for _ in range(8):
            assert camera.grab()
            pixels = camera.retrieve()
            scaled = tuple(map(int, cv2.__version__.split(".")[:2])) >= (4, 13)
            assert pixels.shape == (240, 320, 3) if pixels is not None else not scaled
    with contextlib.closing(Opened(Options(source=url(stream)))) as camera:
        assert camera.grab()
        pixels = camera.retrieve()
        assert pixels is not None
        assert pixels.shape == (120, 160, 3)


def test_a_picture_of_one_pixel(stream: Stream) -> None:
    """Is one: one by one, three colours."""
    stream.frames = [cv2.imencode(".jpg", WALL[:1, :1])[1].tobytes()] * 8
    with contextlib.closing(Opened(Options(source=url(stream)))) as camera:
        assert camera.grab()
        pixels = camera.retrieve()
    assert pixels is not None
    assert pixels.shape == (1, 1, 3)


BAD_FILES = {"text.avi": b"this is no video\n" * 99, "empty.mp4": b"", "zeros.mkv": bytes(100_000), "begun.avi": b"RIFF\xff\xff\0\0AVI "}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_video(tmp_path: Path, name: str) -> None:
    """Whatever they are called: a sentence that says what would be one."""
    (tmp_path / name).write_bytes(BAD_FILES[name])
    assert "is no video that can be read: name a camera, a stream or a video file" in str(trouble(Options(source=str(tmp_path / name))))


@pytest.mark.parametrize("mode", ["stall", "close"])
def test_a_stream_that_stops_is_an_error(stream: Stream, mode: str) -> None:
    """Whether it hangs or hangs up; and it can be read again afterwards, by the same process."""
    with contextlib.closing(read(Options(source=url(stream), rate_hz=10))) as reading:
        next(filter(None, reading))
        stream.mode = mode
        with pytest.raises(DeviceError, match=r"no more pictures|no picture comes"):
            for _ in reading:
                pass
    stream.mode = "ok"
    until(lambda: not any(thread.name.startswith("camera") for thread in threading.enumerate()), PATIENCE_s, "the capture to let go")
    assert samples(Options(source=url(stream)), 1)


ABSENT = [
    ("/dev/video97", DeviceAbsent, "there is no camera or file /dev/video97"),
    ("/nowhere/film.avi", DeviceAbsent, "there is no camera or file /nowhere/film.avi"),
    ("/dev/null", DeviceError, "/dev/null does not open as a camera"),
    (__file__, DeviceError, "is no video that can be read"),
    ("http://user:sec@ret@127.0.0.1:9/x.mjpeg?key=secret", DeviceError, r"^http://127\.0\.0\.1:9/x\.mjpeg does not open"),
    ("rtsp://user:s?ecret@127.0.0.1:9/stream", DeviceError, r"^rtsp://127\.0\.0\.1:9/stream does not open"),
]


@pytest.mark.parametrize(("source", "error", "message"), ABSENT)
def test_what_is_not_there_is_told_in_a_sentence(source: str, error: type[Exception], message: str) -> None:
    """A node or file that is not there is absent; anything else is an error; user, password and key are not repeated."""
    raised = trouble(Options(source=source))
    assert type(raised) is error
    assert len(str(raised).split()) >= 6
    with pytest.raises(error, match=message):
        raise raised
    assert "ecret" not in str(raised)


@pytest.mark.parametrize(("source", "hint"), [("/dev/null", "group video"), (__file__, "ls -l")])
def test_no_permission_is_told(monkeypatch: pytest.MonkeyPatch, source: str, hint: str) -> None:
    """With what to do about it. (The kernel's answer is made up: whoever runs the tests as root may read everything.)"""
    monkeypatch.setattr(os, "access", lambda *_: False)
    raised = trouble(Options(source=source))
    assert f"no permission to read {source}" in str(raised)
    assert hint in str(raised)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/dev/video0", "/dev/video0"),
        ("rtsp://camera/stream", "rtsp://camera/stream"),
        ("RTSP://u:p@camera/stream?token=1", "RTSP://camera/stream"),
        ("https://u:a@b?c@camera/x", "https://camera/x"),
        ("film?.avi", "film?.avi"),
    ],
)
def test_a_source_is_named_without_its_secrets(source: str, name: str) -> None:
    """Whatever a password holds, none of it is said."""
    assert opening.named(source) == name


@pytest.mark.parametrize(
    ("position_ms", "at_ns"),
    [(9_000.0, 9_000_000_000), (10_000.0, 10_000_000_000), (10_000.001, 10_000_000_000), (4_000.0, 10_000_000_000), (-1.0, 10_000_000_000)],
)
def test_the_kernel_s_stamp_is_taken_where_it_can_be_true(position_ms: float, at_ns: int) -> None:
    """In the last 5 s on the monotonic clock; else the frame is dated as it arrives."""
    assert RECENT_ns == 5_000_000_000
    assert captured_ns(position_ms, 10_000_000_000) == at_ns


def test_a_size_is_asked_of_cameras_only(film: Path) -> None:
    """A file has the size it has."""
    with contextlib.closing(Opened(Options(source=str(film), width_px=64, height_px=48))) as camera:
        assert camera.grab()
        pixels = camera.retrieve()
    assert pixels is not None
    assert pixels.shape == (240, 320, 3)


LACKING = """
import sys
sys.modules[{missing!r}] = None
from edgegw import driver
camera = driver.find("camera")
try:
    for _ in camera.read(driver.bind(camera, {{"source": {source!r}}})):
        pass
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("missing", ["numpy", "cv2"])
def test_a_missing_library_is_named(film: Path, missing: str) -> None:
    """And the command that installs it; the worker goes on trying."""
    script = LACKING.format(missing=missing, source=str(film))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_s, check=True)
    assert done.stdout.startswith("DeviceError ")
    assert missing in done.stdout
    assert "pip install 'edgegw[camera]'" in done.stdout
    assert done.stderr == ""


def test_the_libraries_say_nothing_on_stderr() -> None:
    """FFmpeg and OpenCV would print addresses, and one day passwords, where the log is."""
    script = LACKING.format(missing="nothing_at_all", source="http://user:secret@127.0.0.1:9/x.mjpeg")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_s, check=True)
    assert "does not open" in done.stdout
    assert done.stderr == ""


def test_a_virtual_camera_needs_no_opencv() -> None:
    """numpy is enough for it, and cv2 is not even looked at."""
    script = """
import sys
sys.modules["cv2"] = None
from edgegw import driver
camera = driver.find("camera")
with driver.plugged(camera, driver.bind(camera, {"source": "virtual"})) as options:
    reading = camera.read(options)
    print(next(filter(None, reading)).quality)
    reading.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_s, check=True)
    assert done.stdout == "good\n"


def test_options_are_checked() -> None:
    """Through the door that `edgegw try` uses."""
    camera = driver.find("camera")
    with pytest.raises(driver.DriverError, match="rate_hz"):
        driver.bind(camera, {"source": "virtual", "rate_hz": 31})
    assert driver.bind(camera, {"source": "virtual", "width_px": "640"}).width_px == 640
