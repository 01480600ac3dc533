"""The seam: a thread that a camera may hang, and the one that reads it, which must not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgegw.clock import SystemClock
from edgegw.errors import DeviceAbsent, DeviceError
from tests.services.base import until
from workers.camera.capture import Capture, END_s, Frame, SPOILT_in_a_row

PATIENCE_s = 60
SPOILT = None


class Scripted:
    """A camera that gives what is put into it: a number is a frame of that luma, taken at that time; it hangs in between."""

    def __init__(self) -> None:
        self.script: queue.Queue[int | Exception | None] = queue.Queue()
        self.retrieved: list[int] = []
        self.closed = threading.Event()
        self.hangs = threading.Event()
        self._last = 0

    def give(self, *what: int | Exception | None) -> None:
        for one in what:
            self.script.put(one)

    def grab(self) -> int | None:
        self.hangs.set()
        got = self.script.get()
        self.hangs.clear()
        if isinstance(got, Exception):
            raise got
        self._last = got or 0
        return got

    def retrieve(self) -> Any:
        self.retrieved.append(self._last)
        return np.full((2, 2), self._last, np.uint8)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def camera() -> Iterator[Scripted]:
    """Let go at the end, and gone before the next test."""
    scripted = Scripted()
    before = set(threading.enumerate())
    yield scripted
    scripted.give(OSError("unplugged by the test"))
    until(lambda: set(threading.enumerate()) <= before, PATIENCE_s, "the capturing thread to end")


def captured(capture: Capture, count: int) -> None:
    until(lambda: capture.progress().captured == count, PATIENCE_s, f"{count} frames")


def luma(frame: Frame | None) -> int:
    assert frame is not None
    assert isinstance(frame.picture, np.ndarray)
    return int(frame.picture[0, 0])


def test_the_newest_frame_wins(camera: Scripted) -> None:
    """What nobody asked for is not even decoded; of what came since it was asked for the newest is handed out; all is counted."""
    with Capture("test", lambda: camera) as capture:
        camera.give(1, 2, 3)
        captured(capture, 3)
        assert camera.retrieved == []
        assert capture.frame(0) is None
        camera.give(4, 5, 6)
        captured(capture, 6)
        frame = capture.frame(PATIENCE_s)
        assert (luma(frame), frame and frame.at_ns) == (6, 6)
        camera.give(7, 8)
        captured(capture, 8)
        progress = capture.progress()
        assert (progress.captured, progress.taken, progress.newest_ns) == (8, 1, 8)
        assert camera.retrieved == [4, 5, 6]


def test_every_frame_is_kept_where_that_is_asked_for(camera: Scripted) -> None:
    """In their order, none twice, none left out, though nobody was asking when they came."""
    with Capture("test", lambda: camera, keep=4) as capture:
        camera.give(1, 2, 3)
        captured(capture, 3)
        assert [luma(capture.frame(PATIENCE_s)) for _ in range(3)] == [1, 2, 3]
        camera.give(4, 5)
        captured(capture, 5)
        assert [luma(capture.frame(PATIENCE_s)) for _ in range(2)] == [4, 5]
        assert capture.frame(0) is None
        assert camera.retrieved == [1, 2, 3, 4, 5]
        progress = capture.progress()
        assert (progress.captured, progress.taken, progress.late) == (5, 5, 0)


def test_of_frames_that_are_kept_the_oldest_gives_way(camera: Scripted) -> None:
    """What waits is bounded, and what gave way is counted as captured and not taken."""
    with Capture("test", lambda: camera, keep=3) as capture:
        camera.give(*range(1, 11))
        captured(capture, 10)
        assert [luma(capture.frame(PATIENCE_s)) for _ in range(3)] == [8, 9, 10]
        progress = capture.progress()
        assert progress.captured - progress.taken == progress.late == 7


class Wakeable(Scripted):
    """Hangs until it is interrupted, and closes only after."""

    def interrupt(self) -> None:
        assert not self.closed.is_set(), "what is closed is not to be touched"
        self.give(SPOILT)


def test_a_camera_that_can_be_interrupted_is_not_left_behind() -> None:
    """Leaving the block wakes it up, and it is closed before the block is left."""
    camera = Wakeable()
    with Capture("test", lambda: camera):
        assert camera.hangs.wait(PATIENCE_s)
    assert camera.closed.is_set()
    assert not any(thread.name.startswith("camera") for thread in threading.enumerate())


def test_a_camera_that_failed_is_not_interrupted() -> None:
    """It is closed by then, and its files may be somebody else's."""
    camera = Wakeable()
    camera.give(OSError(5, "gone"))
    with Capture("test", lambda: camera) as capture, pytest.raises(OSError, match="gone"):
        capture.frame(PATIENCE_s)


def test_a_frame_is_waited_for(camera: Scripted) -> None:
    """And comes as soon as it is there."""
    with Capture("test", lambda: camera) as capture:
        threading.Timer(0.05, camera.give, [9]).start()
        assert luma(capture.frame(PATIENCE_s)) == 9


def test_a_spoilt_frame_is_skipped_and_counted(camera: Scripted) -> None:
    """One now and then is a fault on the wire; the camera goes on."""
    with Capture("test", lambda: camera) as capture:
        camera.give(SPOILT, 1, SPOILT, SPOILT, 2, SPOILT, 3)
        captured(capture, 3)
        assert capture.progress().spoilt == 4


def test_many_spoilt_frames_in_a_row_are_the_end(camera: Scripted) -> None:
    """A capture that reads nothing any more stays so until it is opened anew; it is closed."""
    with Capture("/dev/test", lambda: camera) as capture:
        camera.give(1, *[SPOILT] * SPOILT_in_a_row)
        with pytest.raises(DeviceError, match="camera /dev/test gives no more pictures"):
            until(lambda: capture.progress() is None, PATIENCE_s, "the error")
        assert camera.closed.wait(PATIENCE_s)
        with pytest.raises(DeviceError, match="no more pictures"):
            capture.frame(PATIENCE_s)


@pytest.mark.parametrize("error", [DeviceAbsent("there is none"), OSError(5, "gone"), ZeroDivisionError("a bug")], ids=repr)
def test_what_ends_the_capture_comes_up_where_it_is_read(error: Exception) -> None:
    """Errors of the device as they are, and bugs too: they end the worker, not only a thread that nobody watches."""

    def opened() -> Scripted:
        raise error

    with Capture("test", opened) as capture, pytest.raises(type(error)) as raised:
        capture.frame(PATIENCE_s)
    assert raised.value is error


def test_the_camera_is_closed_in_the_end(camera: Scripted) -> None:
    """In its own thread, and before the block is left."""
    with Capture("test", lambda: camera) as capture:
        camera.give(1)
        captured(capture, 1)
        threading.Timer(0.05, camera.give, [2]).start()  # a camera gives its next frame
    assert camera.closed.is_set()


def test_a_hung_camera_holds_up_neither_reading_nor_closing(camera: Scripted) -> None:
    """frame() comes back without one, and the block is left within its bound, though the thread still hangs."""
    with Capture("test", lambda: camera) as capture:
        assert camera.hangs.wait(PATIENCE_s)
        assert capture.frame(0.01) is None
        begun_ns = SystemClock.monotonic_ns()
    assert SystemClock.monotonic_ns() - begun_ns < (END_s + PATIENCE_s) * 1e9
    assert not camera.closed.is_set()


def test_a_camera_that_hangs_is_not_opened_twice(camera: Scripted) -> None:
    """Each attempt would leave one more thread behind; once the first lets go, the next may have it."""
    with Capture("test", lambda: camera):
        assert camera.hangs.wait(PATIENCE_s)
    again = Capture("test", lambda: camera)
    with pytest.raises(DeviceError, match="camera test hangs since"):
        again.__enter__()
    camera.give(1)
    assert camera.closed.wait(PATIENCE_s)
    until(lambda: not any(thread.name.startswith("camera") for thread in threading.enumerate()), PATIENCE_s, "the thread to end")
    with Capture("test", lambda: camera) as capture:
        camera.give(1)
        captured(capture, 1)
        camera.give(2)


def test_two_cameras_of_one_name_do_not_mind_each_other(camera: Scripted) -> None:
    """Two virtual ones in a shared process are not the same camera."""
    other = Scripted()
    with Capture("virtual", lambda: camera) as one, Capture("virtual", lambda: other) as two:
        camera.give(1)
        other.give(2)
        captured(one, 1)
        captured(two, 1)
        other.give(3, 4, 5)
        camera.give(3, 4, 5)
        other.give(OSError("the end"))
