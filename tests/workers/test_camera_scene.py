"""What the virtual camera's room shows: in either format, to the laser's finder and to a motion gate, of any size and at any time."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.camera.laser import find
from workers.camera.measure import look
from workers.camera.picture import Picture, Pixels, Planes, size
from workers.virtual.cameracanvas import Format, canvas, ground, ink, luma_gain, stamp
from workers.virtual.camerascene import NOISE, Scene


def planes(picture: Picture) -> Planes:
    assert isinstance(picture, Planes)
    return picture


def pixels(picture: Picture) -> Pixels:
    assert isinstance(picture, np.ndarray)
    return picture


def yuv(bgr: Pixels) -> list[NDArray[np.float64]]:
    """After the formulae of BT.601, written out: an oracle of its own."""
    blue, green, red = (bgr[..., colour] / 255 for colour in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = 224 * 0.5 * (blue - luma) / (1 - 0.114) + 128, 224 * 0.5 * (red - luma) / (1 - 0.299) + 128
    rows, columns = luma.shape
    return [16 + 219 * luma, *(one.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)) for one in colours)]


def test_the_scene_shows_its_dot_where_it_says() -> None:
    """To half a pixel, whatever stands behind it; and without a laser there is none, though the sign is red."""
    scene, dark = Scene(640, 480, True, 1), Scene(640, 480, False, 1)
    for step in range(40):
        at_s = step * 0.5
        dot, place = find(pixels(scene.drawn(at_s))), scene.dot_px(at_s)
        assert dot is not None
        assert math.hypot(dot.x_px - place[0], dot.y_px - place[1]) < 0.5
        assert find(pixels(dark.drawn(at_s))) is None


def test_the_scene_is_alive() -> None:
    """Two pictures are never equal, even of the same moment; and daylight comes and goes."""
    scene = Scene(320, 240, True, 1)
    assert look(pixels(scene.drawn(0))).digest != look(pixels(scene.drawn(0))).digest
    levels = [look(pixels(scene.drawn(at_s))).luminosity for at_s in range(0, 60, 5)]
    assert max(levels) - min(levels) > 20


def test_the_same_seed_gives_the_same_scene() -> None:
    """So that a failing test can be repeated; without a seed two cameras differ."""

    def drawn(seed: int | None) -> bytes:
        return pixels(Scene(64, 48, True, seed).drawn(1.0)).tobytes()

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)


def test_nothing_wraps_around_from_white_to_black() -> None:
    """The brightest of the wall, in the brightest daylight, with the most noise."""
    scene = Scene(64, 48, True, 1)
    assert int(scene._ground[0].max()) + 40 + NOISE <= np.iinfo(np.uint8).max


def test_planes_show_the_same_scene() -> None:
    """Wall, sign, box, people and dot are where they are in blue, green and red, and as bright: but for noise and rounding."""
    bgr, planar = (Scene(320, 240, True, 3, faces=2, format=format_) for format_ in ("bgr", "yuv420"))
    for at_s in (0.5, 4.0, 9.5):
        for seen, wanted in zip(planes(planar.drawn(at_s))[:3], yuv(pixels(bgr.drawn(at_s))), strict=True):
            off = np.abs(seen - wanted)
            assert (off.mean() < 2.5, np.quantile(off, 0.999) < 16) == (True, True)


def test_planes_are_what_a_camera_sends() -> None:
    """Video range, half as many rows and columns of colour, and nothing between the rows."""
    shown = planes(Scene(321, 241, True, 1, format="yuv420").drawn(1.0))
    assert not shown.full
    assert [plane.shape for plane in shown[:3]] == [(241, 321), (121, 161), (121, 161)]
    assert all(plane.flags.c_contiguous for plane in shown[:3])
    assert shown.y.min() >= 16
    assert shown.y.max() <= 235


@pytest.mark.parametrize("format_", ["bgr", "yuv420"])
def test_daylight_falls_on_everything(format_: Format) -> None:
    """What is filled in and what is laid on gets as much brighter by it as the wall behind."""
    grey = np.full((8, 8, 3), 100, np.float32)
    lumas = []
    for level in (0, 40):
        frame = canvas(ground(format_, grey), level)
        frame.fill(0, 0, 4, 4, ink(format_, (100, 100, 100)))
        frame.lay(stamp(format_, grey[:4, :4], np.ones((4, 4), np.float32)), 4, 4)
        picture = frame.picture()
        lumas.append(picture.y if isinstance(picture, Planes) else picture)
    assert [len(np.unique(luma)) for luma in lumas] == [1, 1]
    assert int(lumas[1].max()) - int(lumas[0].max()) == round(40 * luma_gain(format_))


def test_no_light_is_black() -> None:
    """In video range, that is 16 and no colour."""
    dark = planes(Scene(64, 48, True, 1, format="yuv420").black())
    assert [set(plane.ravel().tolist()) for plane in dark[:3]] == [{16}, {128}, {128}]


@pytest.mark.parametrize("format_", ["bgr", "yuv420"])
def test_two_pictures_are_never_equal(format_: Format) -> None:
    """Not even of the same moment, in any eighth of their rows: a live picture is never taken for a frozen one."""
    scene = Scene(160, 120, False, 1, format=format_, box=False)
    lumas = [picture.y if isinstance(picture, Planes) else picture for picture in (scene.drawn(1.0) for _ in range(20))]
    for top in range(0, 120, 15):
        assert len({luma[top : top + 15].tobytes() for luma in lumas}) == len(lumas)


def test_noise_is_no_motion() -> None:
    """Averaged over eight by eight pixels, pictures of one moment differ by a step or two at most; those of a moving box by far more."""
    scene = Scene(320, 240, False, 1, format="yuv420")

    def small(at_s: float) -> NDArray[np.float64]:
        return planes(scene.drawn(at_s)).y.reshape(30, 8, 40, 8).mean(axis=(1, 3))

    still = max(float(np.abs(small(1.0) - small(1.0)).max()) for _ in range(20))
    assert still < 2
    assert np.abs(small(1.0) - small(1.5)).max() > 10 * still


def test_the_dot_is_red_where_it_is_said_to_be() -> None:
    """In the plane of red less luma, to less than one of its pixels."""
    scene = Scene(640, 360, True, 1, format="yuv420", box=False)
    for step in range(20):
        red = planes(scene.drawn(step * 0.7)).v.astype(float)
        red[:16, :28] = 128  # the sign
        weights = np.maximum(0, red - red.max() / 2 - 64)
        down, across = np.indices(red.shape)
        x_px, y_px = ((weights * places).sum() / weights.sum() * 2 + 0.5 for places in (across, down))
        assert math.dist((x_px, y_px), scene.dot_px(step * 0.7)) < 1.5


def test_a_switched_laser_goes_on_and_off() -> None:
    """It is on in the first half of each period, and there is no dot in the second."""
    scene = Scene(320, 240, True, 1, switched_s=2.0, box=False)
    seen = {at_s: find(pixels(scene.drawn(at_s))) is not None for at_s in (0.1, 0.9, 1.1, 1.9, 2.1, 3.1)}
    assert seen == {0.1: True, 0.9: True, 1.1: False, 1.9: False, 2.1: True, 3.1: False}


def test_nobody_looks_like_a_laser() -> None:
    """Lips, skin in full daylight and red hair are no dots."""
    for seed in range(4):
        scene = Scene(640, 480, False, seed, faces=3)
        assert [find(pixels(scene.drawn(at_s * 3.1))) for at_s in range(20)] == [None] * 20


@pytest.mark.parametrize("format_", ["bgr", "yuv420"])
@pytest.mark.parametrize("wanted", [(16, 16), (17, 33), (95, 31), (64, 48)])
def test_small_pictures_have_room_for_everything(wanted: tuple[int, int], format_: Format) -> None:
    """The smallest and odd ones too, with people in them; half of one is half as large, rounded up."""
    scene = Scene(*wanted, True, 1, format=format_, faces=3, stay_s=4.0)
    assert {size(scene.drawn(at_s / 3)) for at_s in range(30)} == {wanted}
    half = scene.halved(scene.drawn(1.0))
    assert size(half) == tuple(-(-side // 2) for side in wanted)
    if isinstance(half, Planes):
        assert half.u.shape == half.v.shape == tuple(-(-side // 2) for side in half.y.shape)


def test_numpy_is_enough() -> None:
    """Drawing loads neither OpenCV nor a detector."""
    program = (
        "import sys; from workers.virtual.camerascene import Scene; Scene(64, 48, True, 1, faces=1, format='yuv420').drawn(1.0);"
        "print(sorted({'cv2', 'onnxruntime', 'scipy', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60).stdout.strip() == "[]"
