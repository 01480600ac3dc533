"""The virtual camera: what it shows, how it fails, and what the driver makes of that."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest

from edgegw import driver
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from edgegw.testing.drivers import DriverContract
from workers.camera import FIELDS, Options, read
from workers.camera.laser import find
from workers.camera.measure import look
from workers.virtual.camera import Behaviour, behaviour_of, plug
from workers.virtual.camerascene import NOISE, Scene


class TestCamera(DriverContract):
    """What every driver promises."""

    driver = "camera"
    absent = {"source": "/dev/video97"}  # noqa: RUF012 # the suite's own way to be told
    plain = {"luminosity", "sharpness", "fps"}  # noqa: RUF012 # as above
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


def test_the_scene_shows_its_dot_where_it_says() -> None:
    """To half a pixel, whatever stands behind it; and without a laser there is none, though the sign is red."""
    scene, dark = Scene(640, 480, True, 1), Scene(640, 480, False, 1)
    for step in range(40):
        at_s = step * 0.5
        dot, place = find(scene.drawn(at_s)), scene.dot_px(at_s)
        assert dot is not None
        assert math.hypot(dot.x_px - place[0], dot.y_px - place[1]) < 0.5
        assert find(dark.drawn(at_s)) is None


def test_the_scene_is_alive() -> None:
    """Two pictures are never equal, even of the same moment; and daylight comes and goes."""
    scene = Scene(320, 240, True, 1)
    assert look(scene.drawn(0)).digest != look(scene.drawn(0)).digest
    levels = [look(scene.drawn(at_s)).luminosity for at_s in range(0, 60, 5)]
    assert max(levels) - min(levels) > 20


def test_the_same_seed_gives_the_same_scene() -> None:
    """So that a failing test can be repeated; without a seed two cameras differ."""
    assert (Scene(64, 48, True, 7).drawn(1.0) == Scene(64, 48, True, 7).drawn(1.0)).all()
    assert (Scene(64, 48, True, 7).drawn(1.0) != Scene(64, 48, True, 8).drawn(1.0)).any()
    assert (Scene(64, 48, True, None).drawn(1.0) != Scene(64, 48, True, None).drawn(1.0)).any()


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (64, 48)])
def test_small_pictures_are_drawn_too(size: tuple[int, int]) -> None:
    """Of the smallest size that can be asked for, at any time; nothing wraps around from white to black."""
    scene = Scene(*size, True, 1)
    for at_s in range(40):
        pixels = scene.drawn(at_s / 2)
        assert pixels.shape == (size[1], size[0], 3)
    assert int(scene._wall.max()) + 40 + NOISE <= np.iinfo(np.uint8).max
