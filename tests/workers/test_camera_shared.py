"""A camera that is another process's: read like any other camera, and offered without ever being in the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceAbsent, DeviceError
from edgegw.testing import FakeClock
from tests.services.base import until
from tests.workers.ring_writer import filled, memory, segments, showing, values
from workers.camera.capture import Capture, Frame
from workers.camera.share import AGAIN_ns, Offer
from workers.camera.share.ring import Writer
from workers.camera.share.segment import SLOTS, clear
from workers.camera.sources.shared import CHANGE_ns, PACE_ns, Shared, SILENT_ns

PATIENCE_s = 60
SMALL = (8, 6)


@pytest.fixture
def shm() -> Iterator[Path]:
    with memory() as directory:
        yield directory
        clear(directory)  # what killed processes left
        assert segments(directory) == [], "somebody still shows pictures"


@pytest.fixture
def writer(shm: Path) -> Iterator[Writer]:
    with Writer("eye", shm) as made:
        made.write(filled(1, SMALL), 1)
        yield made


class Scripted(FakeClock):
    """Somebody does something at a time of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: dict[int, Callable[[], object]] = {}  # after so many ns: what is called

    def sleep_until(self, monotonic_ns: int) -> None:
        super().sleep_until(monotonic_ns)
        for at_ns in [at_ns for at_ns in self.plan if at_ns <= self.now_ns]:
            self.plan.pop(at_ns)()


def of(frame: Frame | None) -> tuple[int, set[int]]:
    assert frame is not None
    return frame.at_ns, values(frame.picture)


def test_another_process_is_a_camera(shm: Path) -> None:
    """Its pictures come through the capturing thread as they are shown, each with the time that it was taken."""
    with showing(shm) as process:
        process.show(7)
        with Capture("shared:eye", lambda: Shared("eye", directory=shm), keep=8) as capture:
            assert of(capture.frame(PATIENCE_s)) == (7, {7})
            for number in range(8, 20):
                process.show(number)
                assert of(capture.frame(PATIENCE_s)) == (number, {number})
            assert capture.progress().captured == 13


def test_a_killed_process_is_an_absent_camera_until_it_comes_back(shm: Path) -> None:
    """Which the worker looks for again and again; its successor is the same camera."""
    with showing(shm) as process:
        process.show(1)
        with Capture("shared:eye", lambda: Shared("eye", directory=shm), keep=8) as capture:
            assert of(capture.frame(PATIENCE_s)) == (1, {1})
            process.kill()
            with pytest.raises(DeviceAbsent, match="nobody shares pictures as eye"):
                capture.frame(PATIENCE_s)
    with pytest.raises(DeviceAbsent, match="nobody shares pictures as eye"):
        Shared("eye", directory=shm)
    with showing(shm) as process:
        process.show(2)
        with Capture("shared:eye", lambda: Shared("eye", directory=shm), keep=8) as capture:
            assert of(capture.frame(PATIENCE_s)) == (2, {2})


def test_a_capture_ends_while_the_other_process_is_stopped(shm: Path) -> None:
    """The thread does not stay behind: it is interrupted while it waits for the next picture."""
    threads = set(threading.enumerate())
    with showing(shm) as process:
        process.show(1)
        with Capture("shared:eye", lambda: Shared("eye", directory=shm), keep=8) as capture:
            assert of(capture.frame(PATIENCE_s)) == (1, {1})
            process.popen.send_signal(signal.SIGSTOP)
            assert capture.frame(0.05) is None
        until(lambda: set(threading.enumerate()) <= threads, PATIENCE_s, "the capturing thread to end")
        process.popen.send_signal(signal.SIGCONT)


def test_it_is_looked_for_at_an_even_pace(shm: Path, writer: Writer) -> None:
    """Every PACE_ns, until there is a new one; that is then the newest, and the missed are counted."""
    clock = Scripted()
    source = Shared("eye", clock, shm)
    assert source.grab() == 1
    assert clock.now_ns == 1, "what is there already is not waited for"
    clock.plan[19 * PACE_ns + 2] = partial(writer.write, filled(2, SMALL), 2)
    clock.plan[20 * PACE_ns + 1] = partial(writer.write, filled(3, SMALL), 3)
    assert source.grab() == 3
    assert clock.now_ns == 1 + 20 * PACE_ns
    assert values(source.retrieve()) == {3}
    assert source.missed == 1
    source.close()


def test_a_slow_reader_gets_a_spoilt_frame_not_a_wrong_one(shm: Path, writer: Writer) -> None:
    """Where the writer has come round before it was copied; the next one is whole."""
    source = Shared("eye", Scripted(), shm)
    assert source.grab() == 1
    for number in range(2, 2 + SLOTS):
        writer.write(filled(number, SMALL), number)
    assert source.retrieve() is None
    assert source.grab() == 1 + SLOTS
    assert values(source.retrieve()) == {1 + SLOTS}
    source.close()


def test_a_writer_may_take_its_time_to_change(shm: Path) -> None:
    """From one size to another, or to a new process: within CHANGE_ns the reader goes along, after that the camera is absent."""
    clock = Scripted()
    first = Writer("eye", shm)
    first.write(filled(1, SMALL), 1)
    source = Shared("eye", clock, shm)
    assert source.grab() == 1
    first.close()
    second: list[Writer] = []

    def come() -> None:
        second.append(Writer("eye", shm))
        second[0].write(filled(2, (16, 16)), 2)

    clock.plan[CHANGE_ns * 9 // 10] = come
    assert source.grab() == 2
    assert values(source.retrieve()) == {2}
    second[0].close()
    begun_ns = clock.now_ns
    with pytest.raises(DeviceAbsent, match="nobody shares pictures as eye"):
        source.grab()
    assert CHANGE_ns < clock.now_ns - begun_ns < CHANGE_ns * 1.1
    source.close()


def test_a_writer_that_says_nothing_for_long_is_an_error(shm: Path, writer: Writer) -> None:
    """It lives, but its camera gives nothing; the slowest that may be is waited for."""
    clock = Scripted()
    source = Shared("eye", clock, shm)
    source.grab()
    clock.plan[10 * NS_PER_S] = partial(writer.write, filled(2, SMALL), 2)
    assert source.grab() == 2
    begun_ns = clock.now_ns
    with pytest.raises(DeviceError, match="nothing new is shown as eye for 12 s, though the process that shows it lives"):
        source.grab()
    assert SILENT_ns < clock.now_ns - begun_ns < SILENT_ns * 1.1
    source.close()


def test_an_offer_shows(shm: Path) -> None:
    """Under its name, and until it is closed; there is nothing to tell."""
    clock = FakeClock()
    offer = Offer("eye", clock, shm)
    assert offer.show(filled(5, SMALL), 5) == ""
    source = Shared("eye", clock, shm)
    assert (source.grab(), values(source.retrieve())) == (5, {5})
    source.close()
    offer.close()
    offer.close()


def test_an_offer_that_cannot_be_made_says_why_and_is_made_when_it_can(shm: Path, writer: Writer) -> None:
    """It raises nothing; it is tried again after AGAIN_ns, not with each picture."""
    clock = FakeClock()
    offer = Offer("eye", clock, shm)
    why = offer.show(filled(5, SMALL), 5)
    assert why == "another camera shares its pictures as eye already: give each a name of its own"
    writer.close()
    clock.now_ns += AGAIN_ns - 1
    assert offer.show(filled(6, SMALL), 6) == why
    clock.now_ns += 1
    assert offer.show(filled(7, SMALL), 7) == ""
    assert len(segments(shm)) == 1
    offer.close()
