"""The virtual camera: what it shows, how it fails, and what the driver makes of that."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest

from edgegw import driver
from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from edgegw.testing.drivers import DriverContract
from workers.camera import FIELDS, Options, read
from workers.camera.laser import find
from workers.camera.picture import Planes, size
from workers.virtual.camera import BUFFERS, SLOWER, Behaviour, Camera, Opened, behaviour_of, plug


class TestCamera(DriverContract):
    """What every driver promises."""

    driver = "camera"
    absent = {"source": "/dev/video97"}  # noqa: RUF012 # the suite's own way to be told
    plain = {"luminosity", "sharpness", "fps", "score"}  # noqa: RUF012 # as above
    test_an_unplugged_device_is_noticed = None  # type: ignore[assignment] # test_a_lost_camera_is_an_error does that


@contextlib.contextmanager
def reading(source: str, **options: object) -> Iterator[Iterator[Sample]]:
    """Samples of a virtual camera, ten a second."""
    wanted = Options(source=f"virtual?{source}", rate_hz=10, **options)  # type: ignore[arg-type] # as a configuration has them
    with plug(wanted) as real, contextlib.closing(read(real)) as samples:
        yield filter(None, samples)


def always(fault: str) -> str:
    return f"{fault}_every_s=1000&{fault}_s=1000"


def test_a_healthy_camera_is_good() -> None:
    """Every sample of it, with the dot, the size asked for and its own rate."""
    with reading("seed=1&fps=30", width_px=320, height_px=240) as samples:
        got = list(itertools.islice(samples, 10))
    assert {sample.quality for sample in got} == {Quality.GOOD}
    assert {(sample.values["width_px"], sample.values["height_px"]) for sample in got} == {(320, 240)}
    assert got[-1].values["fps"] == pytest.approx(30, rel=0.1)
    assert sum(sample.values["laser_x_px"] is not None for sample in got) >= 8


def test_a_black_picture_is_uncertain() -> None:
    """With its luminosity, which is 0."""
    with reading(always("black")) as samples:
        sample = next(samples)
    assert (sample.quality, sample.values["luminosity"], sample.values["sharpness"]) == (Quality.UNCERTAIN, 0.0, 0.0)


def test_a_frozen_picture_becomes_bad() -> None:
    """Good at first, then bad with the size and without measurements."""
    with reading(always("freeze")) as samples:
        assert next(samples).quality is Quality.GOOD
        bad = next(sample for sample in samples if sample.quality is Quality.BAD)
    assert {name for name, value in bad.values.items() if value is not None} == {"fps", "width_px", "height_px"}


def test_a_stall_is_bad_and_then_an_error() -> None:
    """It hangs after half a second, as a driver of the kernel can: first nothing is measured, then the camera is given up."""
    got: list[Sample] = []
    with reading("fps=30&stall_every_s=100&stall_s=99.5") as samples, pytest.raises(DeviceError, match="no picture comes"):
        got += samples
    assert got[-1].quality is Quality.BAD
    assert got[-1].values == dict.fromkeys(FIELDS["camera"])


def test_a_slow_camera_tells_its_rate() -> None:
    """Ten times fewer frames than it should give."""
    with reading(f"fps=40&{always('slow')}") as samples:
        values = next(sample for sample in samples if sample.values["fps"] is not None).values
    assert values["fps"] == pytest.approx(4, rel=0.2)


def test_spoilt_frames_are_counted() -> None:
    """A tenth of them cannot be read; the others are measured, and the faults travel along."""
    with reading("spoilt=0.1&seed=3&fps=60") as samples:
        got = list(itertools.islice(samples, 10))
    assert {sample.quality for sample in got} == {Quality.GOOD}
    assert sum(sample.faults for sample in got) > 0


def test_a_lost_camera_is_an_error() -> None:
    """In the middle of reading; opened anew it reads again, and is lost again."""
    with plug(Options(source="virtual?lost_after_s=1&fps=30", rate_hz=10)) as options:
        for _ in range(2):
            with contextlib.closing(read(options)) as samples, pytest.raises(DeviceError, match="no more pictures"):
                assert len(list(filter(None, samples))) > 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("virtual?freez_s=1", r"no 'freez_s' \(did you mean freeze_s\?\)"),
        ("virtual?xyz=1", r"no 'xyz' \(it has fps, laser"),
        ("virtual?fps=0", "fps"),
        ("virtual?fps", "come pairs"),
    ],
)
def test_a_wrong_behaviour_is_refused_with_a_hint(source: str, message: str) -> None:
    """A typing error in the source's name is the configuration's fault, and says so before anything starts."""
    with pytest.raises(driver.DriverError, match=message), plug(Options(source=source)):
        pytest.fail("it was taken")


def test_a_fault_fills_the_end_of_its_period() -> None:
    """Three of every four seconds, from the first on; and never without a period."""
    behaviour = behaviour_of({"freeze_every_s": "4", "freeze_s": "3"})
    assert [behaviour.suffers("freeze", at_s) for at_s in (0, 0.9, 1, 3.9, 4, 5)] == [False, False, True, True, False, True]
    assert not Behaviour().suffers("stall", 1e6)


def held(**behaviour: object) -> tuple[FakeClock, Camera, Opened]:
    """A camera of 64 × 48, opened, whose reader comes whenever the test says."""
    clock = FakeClock()
    camera = Camera(Behaviour(seed=1, **behaviour), 64, 48, clock=clock)  # type: ignore[arg-type] # as a configuration has them
    return clock, camera, camera.open()


def after(clock: FakeClock, opened: Opened, seconds: float) -> int | None:
    """The next frame that a reader gets who comes so long after the last one."""
    clock.now_ns += round(seconds * NS_PER_S)
    return opened.grab()


def test_frames_come_on_the_beat() -> None:
    """However late within its buffers each is fetched, n frames take n periods to the nanosecond, and none is missed."""
    clock, camera, opened = held(fps=30)
    came = [after(clock, opened, late_s) for late_s in itertools.islice(itertools.cycle((0.04, 0.01, 0.1, 0.0, 0.0167)), 90)]
    period_ns = round(NS_PER_S / 30)
    assert came == [camera.born_ns + (1 + beat) * period_ns for beat in range(90)]
    assert (camera.made, camera.missed) == (90, 0)


def test_a_late_reader_misses_frames_and_they_are_counted() -> None:
    """The camera keeps a few frames, as a driver does; what it had no room for is gone, and the beat goes on."""
    clock, camera, opened = held(fps=10)
    came = [after(clock, opened, 2.05)] + [after(clock, opened, 0) for _ in range(BUFFERS - 1)]
    beats = [round(((at_ns or 0) - camera.born_ns) / NS_PER_S * 10) for at_ns in came]
    assert beats == list(range(20 - BUFFERS + 1, 21))
    assert (camera.made, camera.missed) == (20, 20 - BUFFERS)


def test_no_frame_comes_before_its_time() -> None:
    """With the machine's clock: each is taken before it is handed out, and they are whole periods apart."""
    camera = Camera(Behaviour(fps=100, seed=1), 64, 48)
    opened = camera.open()
    came = []
    for _ in range(20):
        came.append(opened.grab() or 0)
        assert 0 < came[-1] <= camera.clock.monotonic_ns()
    assert {(late - early) % (NS_PER_S // 100) for early, late in itertools.pairwise(came)} == {0}
    assert came[-1] - came[0] == (camera.made - 1) * NS_PER_S // 100


def test_a_slow_camera_makes_fewer_frames() -> None:
    """Ten times fewer, and it misses none of them."""
    clock, camera, opened = held(fps=10, slow_every_s=1000.0, slow_s=1000.0)
    came = [after(clock, opened, SLOWER / 10) for _ in range(5)]
    assert {late - early for early, late in itertools.pairwise(at_ns or 0 for at_ns in came)} == {SLOWER * NS_PER_S // 10}
    assert (camera.made, camera.missed) == (5, 0)


def test_a_picture_is_of_the_moment_of_its_frame() -> None:
    """The dot is where it was when the frame was taken, however long ago that is."""
    clock = FakeClock()
    camera = Camera(Behaviour(fps=2, seed=1, box=False), 320, 240, clock=clock)
    opened = camera.open()
    at_ns = after(clock, opened, 1.9)
    picture, place = opened.retrieve(), camera.scene().dot_px(((at_ns or 0) - camera.born_ns) / NS_PER_S)
    assert isinstance(picture, np.ndarray)
    dot = find(picture)
    assert dot is not None
    assert math.dist(dot[:2], place) < 0.5


@pytest.mark.parametrize("format_", ["bgr", "yuv420"])
def test_a_changed_size_and_back(format_: str) -> None:
    """Half as large in the last second of every three."""
    clock, _, opened = held(fps=1, format=format_, resize_every_s=3.0, resize_s=1.0)
    sizes = []
    for _ in range(6):
        after(clock, opened, 1)
        picture = opened.retrieve()
        assert picture is not None
        sizes.append(size(picture))
    assert sizes == [(64, 48), (32, 24), (64, 48)] * 2


def test_planes_can_be_asked_for() -> None:
    """Live, frozen and black ones: a frozen one is the one before it."""
    clock, _, opened = held(fps=1, format="yuv420", faces=1, freeze_every_s=4.0, freeze_s=2.0, black_every_s=8.0, black_s=1.0)
    shown = []
    for _ in range(8):
        after(clock, opened, 1)
        picture = opened.retrieve()
        assert isinstance(picture, Planes)
        shown.append(picture.y.tobytes())
    assert shown[0] == shown[1] == shown[2] != shown[3]
    assert [set(y) == {16} for y in shown] == [False] * 6 + [True, False]


def test_people_can_be_asked_for() -> None:
    """As many as wanted, for as long as wanted; without a word there are none."""
    _, camera, _ = held(faces=2, stay_s=4.0)
    assert [[face.number for face in camera.scene().faces(at_s)] for at_s in (1, 3, 5)] == [[0], [0, 1], [1, 2]]
    _, empty, _ = held()
    assert empty.scene().faces(3.0) == []


def test_an_unplugged_camera_lets_go() -> None:
    """Whoever waits for its next frame, a second or more ahead, gets none, and none is counted."""
    _, camera, opened = held(fps=0.1)
    camera.unplug()
    assert opened.grab() is None
    assert camera.made == 0
