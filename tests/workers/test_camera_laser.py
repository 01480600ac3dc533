"""The laser's dot: found where it is, and not where it is not, in some hundred pictures and in a few hard ones."""

from __future__ import annotations

import functools
import math
import statistics

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workers.camera_scenes import Scene, planted, scene
from workers.camera import laser
from workers.camera.laser import Dot, find

SCENES = 300
RECALL, FALSE, ERROR_px = 0.99, 0.01, 0.5
EMPTY = 1_000_000  # seeds from here on are of pictures without a dot


@functools.cache
def pictures() -> list[tuple[Scene, Dot | None]]:
    """Of SCENES with a dot of 3 to 15 px, what was found."""
    made = [scene(seed, dot=True) for seed in range(SCENES)]
    return [(one, find(one.pixels)) for one in made]


def off_px(one: Scene, dot: Dot) -> float:
    assert one.dot is not None
    return math.hypot(dot.x_px - one.dot[0], dot.y_px - one.dot[1])


def wall(height_px: int = 240, width_px: int = 320) -> NDArray[np.uint8]:
    return np.full((height_px, width_px, 3), 90, np.uint8)


def test_a_dot_is_found() -> None:
    """In 99 of 100 pictures, among red things, red wires and glare, and by as little as 12 px away from them."""
    right = [one for one, dot in pictures() if dot and off_px(one, dot) < 5]
    assert len(right) >= RECALL * SCENES


def test_it_is_found_where_it_is() -> None:
    """Within half a pixel in 99 of 100 pictures, and ten times nearer on average."""
    errors = sorted(off_px(one, dot) for one, dot in pictures() if dot)
    assert errors[int(0.99 * len(errors)) - 1] <= ERROR_px
    assert statistics.mean(errors) < 0.1


def test_there_is_none_where_there_is_none() -> None:
    """At most one of 100 pictures of red things and glare shows a dot that is not there."""
    false = [seed for seed in range(EMPTY, EMPTY + SCENES) if find(scene(seed, dot=False).pixels)]
    assert len(false) <= FALSE * SCENES


def test_its_size_is_told() -> None:
    """A wider dot covers more pixels, and an overexposed one too: the widths that the sizes make go with those of the dots."""
    widths = [one.across_px for one, dot in pictures() if dot]
    assert statistics.correlation(widths, [math.sqrt(dot.area_px) for _, dot in pictures() if dot]) > 0.8


def test_it_survives_the_camera_s_own_compression() -> None:
    """JPEG at a usual quality halves the colours' resolution; half of the dots are then found within a quarter of a pixel still."""
    errors = []
    for seed in range(60):
        one = scene(seed, dot=True)
        jpeg = cv2.imencode(".jpg", one.pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        dot = find(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8))
        errors.append(off_px(one, dot) if dot else math.inf)
    assert statistics.median(errors) < 0.25
    assert sum(error <= 1 for error in errors) >= 0.95 * len(errors)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, 0.0), (1.0, 1.0), (0.3, 1.7)])
def test_the_smallest_dot_shows_in_the_largest_picture(shift: tuple[float, float]) -> None:
    """3 px of 12 megapixels, though only every second row and column is searched for candidates."""
    place = (2000 + shift[0], 1500 + shift[1])
    dot = find(planted(wall(3040, 4056), place, across_px=3, times=1.5))
    assert dot is not None
    assert math.hypot(dot.x_px - place[0], dot.y_px - place[1]) < ERROR_px


def test_the_brightest_of_two_is_told() -> None:
    """There is one answer."""
    dot = find(planted(planted(wall(), (60, 60), 6, 1.2), (200.25, 120.75), 6, 4))
    assert dot is not None
    assert (dot.x_px, dot.y_px) == pytest.approx((200.25, 120.75), abs=0.1)


def _painted(colour: tuple[int, int, int], half_px: int = 6, half_wide_px: int = 0, wall_luma: int = 90) -> NDArray[np.uint8]:
    pixels, wide_px = np.full((240, 320, 3), wall_luma, np.uint8), half_wide_px or half_px
    pixels[100 - half_px : 101 + half_px, 150 - wide_px : 150 + wide_px] = colour
    return pixels


def _cap(radius_px: int) -> NDArray[np.uint8]:
    """Round and red."""
    rows, columns = np.ogrid[:240, :320]
    pixels = wall()
    pixels[(columns - 150) ** 2 + (rows - 100) ** 2 <= radius_px**2] = (30, 30, 150)
    return pixels


NONE = {
    "a wall": wall(),
    "black": np.zeros((240, 320, 3), np.uint8),
    "red all over": np.full((240, 320, 3), (0, 0, 255), np.uint8),
    "one pixel": np.full((1, 1, 3), (0, 0, 255), np.uint8),
    "a sticker in the reddest red": _painted((0, 0, 255)),
    "a red dot printed on paper": _painted((40, 40, 200), 2),
    "a small one on a dark wall": _painted((30, 30, 255), 3, wall_luma=20),
    "a glowing wire": np.asarray(cv2.GaussianBlur(_painted((30, 30, 255), 1, 8, wall_luma=20), (0, 0), 0.7), np.uint8),
    "a lamp in a red cap": planted(_cap(14), (150, 100), 5, 3, leak=1.0),
    "the rim of a warm lamp": scene(1_000_394, dot=False).pixels,
    "a lamp before something red": scene(1_000_544, dot=False).pixels,
    "orange": _painted((0, 140, 255)),
    "magenta": _painted((255, 0, 255)),
    "a white lamp": planted(wall(), (150, 100), 8, 4, leak=1.0),
    "luma alone": planted(wall(), (150, 100), 8, 4)[..., 2],
    "cut by the edge": planted(wall(), (2, 100), 12, 2),
    "speckled with red": np.where(np.random.default_rng(1).random((1200, 1600, 1)) < 0.1, (0, 0, 255), 90).astype(np.uint8),
}


@pytest.mark.parametrize("what", NONE)
def test_this_is_no_dot(what: str) -> None:
    """One thing at a time that a simpler finder takes for a dot, or trips over."""
    assert find(NONE[what]) is None


def test_the_same_things_beside_a_dot_hide_it_not() -> None:
    """Each of them in the picture, the dot some way off: it is found."""
    for what in ("a wall", "black", "a sticker in the reddest red", "orange", "magenta", "a white lamp"):
        dot = find(planted(NONE[what], (250.5, 180.25), 5, 2))
        assert dot is not None, what
        assert (dot.x_px, dot.y_px) == pytest.approx((250.5, 180.25), abs=0.25), what


@pytest.mark.parametrize("seed", range(200))
def test_any_picture_is_taken(seed: int) -> None:
    """Of any size from one pixel on, of any colours: a dot within the picture, or None, and never an exception."""
    drawing = np.random.default_rng(seed)
    height_px, width_px = (int(side) for side in drawing.integers(1, 60, 2))
    pixels = drawing.choice(np.array([0, 30, 128, 200, 255], np.uint8), (height_px, width_px, 3), p=drawing.dirichlet([0.5] * 5))
    pixels[..., 2] |= np.uint8(drawing.choice([0, 128, 255]))
    dot = find(pixels)
    assert dot is None or (0 <= dot.x_px < width_px and 0 <= dot.y_px < height_px and 1 <= dot.area_px <= height_px * width_px)


def test_many_red_lights_are_looked_at_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture full of candidates: no more than CANDIDATES of them are examined."""
    looks = 0
    examined = laser._examined

    def counted(pixels: NDArray[np.uint8], box: laser.Box) -> tuple[float, Dot] | None:
        nonlocal looks
        looks += 1
        return examined(pixels, box)

    monkeypatch.setattr(laser, "_examined", counted)
    pixels = wall(600, 800)
    pixels[::8, ::8] = (0, 0, 255)
    find(pixels)
    assert looks == laser.CANDIDATES
