"""The laser's dot: found where it is, and not where it is not, in some hundred pictures and in a few hard ones."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workers.camera_scenes import Scene, Siting, planes, planted, scene
from workers.camera import laser
from workers.camera.laser import Dot, find, hotspots, spot
from workers.camera.laser.spot import Box, Found
from workers.camera.masks import Masks
from workers.camera.picture import Picture, Planes

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

    def counted(picture: Picture, dark: Picture | None, box: Box) -> Found | None:
        nonlocal looks
        looks += 1
        return spot.examined(picture, dark, box)

    monkeypatch.setattr(laser, "examined", counted)
    pixels = wall(600, 800)
    pixels[::8, ::8] = (0, 0, 255)
    find(pixels)
    assert looks == hotspots.CANDIDATES


@pytest.mark.parametrize("full", [True, False], ids=["full range", "video range"])
def test_planes_show_it_too(full: bool) -> None:
    """In 99 of 100 pictures out of planes, within half a pixel; of a video, which does not say where its colours stand, in 96."""
    found = [(one, find(planes(one.pixels, full))) for one, _ in pictures()]
    assert sum(1 for one, dot in found if dot and off_px(one, dot) < 5) >= RECALL * SCENES
    errors = sorted(off_px(one, dot) if dot else math.inf for one, dot in found)
    assert errors[int((0.99 if full else 0.96) * SCENES) - 1] <= ERROR_px


def test_planes_show_none_where_there_is_none() -> None:
    """At most one of 100 pictures of red things and glare, out of planes."""
    false = [seed for seed in range(EMPTY, EMPTY + SCENES) if find(planes(scene(seed, dot=False).pixels))]
    assert len(false) <= FALSE * SCENES


@pytest.mark.parametrize("siting", Siting)
def test_wherever_a_video_s_colours_stand(siting: Siting) -> None:
    """On a plain wall a dot is found within half a pixel, in the middle of four pixels, at the left or in their corner."""
    for place in ((200.25, 120.75), (101.0, 60.0), (55.5, 99.5)):
        dot = find(planes(planted(wall(), place, 6, 2), False, siting))
        assert dot is not None
        assert math.dist(dot[:2], place) <= ERROR_px


def test_what_is_not_looked_at_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searched as large pictures are, in some rows and columns, the same pictures show the same dots, and none where there are none."""
    monkeypatch.setattr(hotspots, "SAMPLED_px", 0)
    found = [(one, find(one.pixels)) for one, _ in pictures()]
    assert sum(1 for one, dot in found if dot and off_px(one, dot) <= ERROR_px) >= RECALL * SCENES
    assert sum(1 for seed in range(EMPTY, EMPTY + SCENES) if find(scene(seed, dot=False).pixels)) <= FALSE * SCENES


@pytest.mark.parametrize("seed", [332, 1170])
def test_a_wire_beside_it_draws_it_not_away(seed: int) -> None:
    """Red things that touch its rim once drew the centre by 0.7 px and more."""
    one = scene(seed, dot=True)
    dot = find(one.pixels)
    assert dot is not None
    assert off_px(one, dot) < 0.6


REGION = (0.25, 0.25, 0.75, 0.75)


@pytest.mark.parametrize("of", [lambda pixels: pixels, planes], ids=["colours", "planes"])
def test_it_is_looked_for_in_the_region_alone(of: Callable[[NDArray[np.uint8]], Picture]) -> None:
    """A brighter one outside counts for nothing, one at the region's border is not cut by it."""
    pixels = planted(planted(wall(), (40, 40), 8, 4), (80.4, 120), 6, 1.2)
    assert find(of(pixels)) == pytest.approx(find(of(planted(wall(), (40, 40), 8, 4))), abs=0.2)
    inside = find(of(pixels), REGION)
    assert inside is not None
    assert math.dist(inside[:2], (80.4, 120)) < ERROR_px
    assert find(of(planted(wall(), (40, 40), 8, 4)), REGION) is None


@pytest.mark.parametrize("of", [lambda pixels: pixels, planes], ids=["colours", "planes"])
def test_what_is_masked_is_no_dot(of: Callable[[NDArray[np.uint8]], Picture]) -> None:
    """Nor what a mask touches; a weaker one beside the mask is found."""
    pixels = planted(planted(wall(), (40, 40), 8, 4), (180, 120), 6, 1.2)
    dot = find(of(pixels), masks=Masks([(0, 0, 0.2, 0, 0.2, 0.2, 0, 0.2)]))
    assert dot is not None
    assert math.dist(dot[:2], (180, 120)) < ERROR_px
    assert find(of(planted(wall(), (40, 40), 8, 4)), masks=Masks([(0, 0, 0.13, 0, 0.13, 1)])) is None


@pytest.mark.parametrize("of", [lambda pixels: pixels, planes], ids=["colours", "planes"])
@pytest.mark.parametrize("lit_first", [True, False])
def test_what_comes_and_goes_is_told_from_what_stays(of: Callable[[NDArray[np.uint8]], Picture], lit_first: bool) -> None:
    """A red lamp that would be the brightest dot stays, the laser is switched: its dot is found, whichever of the pictures it is in."""
    dark = planted(wall(), (40, 40), 8, 4)
    lit = planted(dark, (180.25, 120.5), 5, 1.5)
    first, second = (lit, dark) if lit_first else (dark, lit)
    dot = find(of(first), dark=of(second))
    assert dot is not None
    assert math.dist(dot[:2], (180.25, 120.5)) < ERROR_px
    assert find(of(dark), dark=of(dark)) is None


def test_a_switched_laser_shows_on_scenes_with_noise() -> None:
    """In 99 of 100 pairs, among red things that stay, with noise of their own in both pictures."""
    right = 0
    for one, _ in pictures()[:100]:
        assert one.dot is not None
        drawing = np.random.default_rng(1)
        dark = np.clip(scene_without(one).astype(int) + drawing.integers(-3, 4, one.pixels.shape), 0, 255).astype(np.uint8)
        dot = find(one.pixels, dark=dark)
        right += dot is not None and off_px(one, dot) <= ERROR_px
    assert right >= 99


def scene_without(one: Scene) -> NDArray[np.uint8]:
    """The same scene, with the laser off."""
    return scene(one.seed, dot=True, lit=False).pixels


def test_a_picture_of_another_kind_is_not_differed() -> None:
    """Of another size, in planes, or without colours: the one picture alone decides."""
    pixels = planted(wall(), (180.25, 120.5), 5, 1.5)
    for dark in (wall(100, 100), planes(wall()), wall()[..., 0]):
        assert find(pixels, dark=dark) == find(pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (33, 47)])
def test_planes_of_any_size_are_taken(shape: tuple[int, int]) -> None:
    """Odd ones too, whose colours are rounded up: red all over, and no dot."""
    pixels = np.full((*shape, 3), (0, 0, 255), np.uint8)
    assert find(planes(pixels)) is None
    assert find(planes(pixels), dark=planes(np.zeros_like(pixels))) is None


def test_padded_and_read_only_planes_are_taken() -> None:
    """Views into a larger buffer show what copies of them show."""
    tight = planes(planted(wall(), (180.25, 120.5), 5, 1.5))
    y, u, v = (np.pad(plane, ((0, 3), (0, 7)))[:-3, :-7] for plane in (tight.y, tight.u, tight.v))
    y.flags.writeable = u.flags.writeable = v.flags.writeable = False
    padded = Planes(y, u, v, tight.full)
    assert find(padded) == find(tight) is not None
