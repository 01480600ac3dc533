"""Pictures of every kind against the formula of ITU-R BT.601, cut to parts, and made smaller."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.camera.convert import bgr, luma, part, shrunk
from workers.camera.picture import Picture, Pixels, Planes, size

RANGES = pytest.mark.parametrize("full", [False, True], ids=["video range", "full range"])


def noise(*shape: int, seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def noisy_planes(width_px: int, height_px: int, full: bool = False) -> Planes:
    """Any numbers, also such as no camera sends."""
    half = (height_px + 1) // 2, (width_px + 1) // 2
    return Planes(noise(height_px, width_px), noise(*half, seed=2), noise(*half, seed=3), full)


def kinds(width_px: int, height_px: int) -> list[Picture]:
    """A picture of each kind."""
    planes = [noisy_planes(width_px, height_px, full) for full in (False, True)]
    return [noise(height_px, width_px, 3), noise(height_px, width_px), *planes]


def by_the_book(planes: Planes) -> NDArray[np.float64]:
    """Blue, green and red, not rounded; colours belong to two columns and two rows each."""
    rows, columns = planes.y.shape
    y = planes.y.astype(float)
    cb, cr = (plane.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns] - 128.0 for plane in (planes.u, planes.v))
    if not planes.full:
        y, cb, cr = (np.maximum(y, 16) - 16) * 255 / 219, cb * 255 / 224, cr * 255 / 224
    return np.clip(np.stack((y + 1.772 * cb, y - 0.344136 * cb - 0.714136 * cr, y + 1.402 * cr), axis=2), 0, 255)


@RANGES
@pytest.mark.parametrize("wide", [1, 2, 3, 64, 65])
@pytest.mark.parametrize("high", [1, 2, 3, 48, 49])
def test_planes_are_converted_by_the_book(wide: int, high: int, full: bool) -> None:
    """To within one step and a half of the formula, whatever numbers come and whether sides are even."""
    planes = noisy_planes(wide, high, full)
    assert np.abs(bgr(planes) - by_the_book(planes)).max() < 1.5


@RANGES
def test_black_and_white_are_black_and_white(full: bool) -> None:
    """The ends of either range are the ends of the scale."""
    ends = (0, 255) if full else (16, 235)
    for luma_of, expected in zip(ends, (0, 255), strict=True):
        grey = np.full((2, 2), 128, np.uint8)
        assert (bgr(Planes(np.full((4, 4), luma_of, np.uint8), grey, grey, full)) == expected).all()


def test_planes_may_be_views_with_padding() -> None:
    """As rpicam sends them, with rows longer than the picture; they are not written to."""
    buffer = noise(64, 128)
    planes = Planes(buffer[:32, :100], buffer[32:48, :50], buffer[48:, :50])
    before = buffer.copy()
    buffer.flags.writeable = False
    tight = Planes(planes.y.copy(), planes.u.copy(), planes.v.copy())
    assert (bgr(planes) == bgr(tight)).all()
    assert (shrunk(planes, 30, 10) == shrunk(tight, 30, 10)).all()
    assert (buffer == before).all()


def test_luma_is_every_so_many_th() -> None:
    """Of colours as OpenCV weighs them; of planes and of luma the numbers that are there, as a view."""
    pixels = noise(31, 47, 3)
    assert (luma(pixels) == cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)).all()
    assert (luma(pixels, 3) == luma(pixels)[::3, ::3]).all()
    planes = noisy_planes(31, 47)
    for picture, plane in ((planes, planes.y), (planes.y, planes.y)):
        assert (luma(picture, 4) == plane[::4, ::4]).all()
        assert np.shares_memory(luma(picture, 4), plane)


def test_luma_alone_becomes_grey() -> None:
    """All three colours are the same."""
    grey = noise(5, 7)
    assert (bgr(grey) == grey[..., None]).all()
    assert bgr(grey).shape == (5, 7, 3)


@given(st.data())
def test_a_part_is_what_the_whole_has_there(data: st.DataObject) -> None:
    """To the last bit, for each kind of picture, wherever the part lies; what is outside is left out; and it is a copy."""
    width_px, height_px = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    picture = data.draw(st.sampled_from(kinds(width_px, height_px)))
    left, top = data.draw(st.integers(-3, 12)), data.draw(st.integers(-3, 12))
    right, bottom = left + data.draw(st.integers(-1, 14)), top + data.draw(st.integers(-1, 14))
    found = part(picture, left, top, right, bottom)
    whole = bgr(picture)
    expected = whole[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    assert found.ndim == 3
    assert found.shape[2] == 3
    assert np.array_equal(found, expected) if expected.size else not found.size
    assert found.base is None
    assert not any(np.shares_memory(found, plane) for plane in (picture[:3] if isinstance(picture, Planes) else [picture]))


@RANGES
def test_every_part_of_planes_is_what_the_whole_has_there(full: bool) -> None:
    """All parts of a picture of 5 × 4, whether they begin and end at even pixels or not."""
    planes = noisy_planes(5, 4, full)
    whole = bgr(planes)
    columns, rows = (itertools.combinations(range(side + 1), 2) for side in (5, 4))
    for (left, right), (top, bottom) in itertools.product(columns, rows):
        assert np.array_equal(part(planes, left, top, right, bottom), whole[top:bottom, left:right])


@given(st.data())
def test_any_size_becomes_any_size(data: st.DataObject) -> None:
    """Of each kind, smaller, larger, wider: the size that was asked for, and one colour stays one colour."""
    sides = st.one_of(st.integers(1, 9), st.integers(1, 300))
    width_px, height_px = data.draw(sides), data.draw(sides)
    y, u, v = (np.full((height_px, width_px), data.draw(st.integers(0, 255)), np.uint8) for _ in range(3))
    flat = Planes(y, u[::2, ::2], v[::2, ::2])
    one = bgr(flat)[:1, :1].repeat(height_px, axis=0).repeat(width_px, axis=1)
    pictures: list[Picture] = [flat, flat._replace(full=True), one, flat.y]
    picture = data.draw(st.sampled_from(pictures))
    to = data.draw(sides), data.draw(sides)
    small = shrunk(picture, *to)
    assert size(small) == to
    assert small.ndim == 3
    assert (small == bgr(picture)[0, 0]).all()


@pytest.mark.parametrize("to", [(320, 180), (300, 169), (160, 90), (100, 40), (640, 360), (500, 281)])
@pytest.mark.parametrize("kind", ["colours", "luma", "planes"])
def test_everything_stays_in_its_place(kind: str, to: tuple[int, int]) -> None:
    """A bright spot's centroid moves with the corner of the picture, to 0.1 px of the small one."""
    x, y = 411.0, 123.0
    rows, columns = np.ogrid[:360, :640]
    spot = np.rint(200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 25.0**2))).astype(np.uint8)
    half = np.full((180, 320), 128, np.uint8)
    pictures: dict[str, Picture] = {"colours": bgr(spot), "luma": spot, "planes": Planes(spot, half, half, full=True)}
    small = shrunk(pictures[kind], *to)[..., 1].astype(float)
    centre = [(small * at).sum() / small.sum() for at in np.ogrid[: to[1], : to[0]]]
    assert centre == pytest.approx([(y + 0.5) * to[1] / 360 - 0.5, (x + 0.5) * to[0] / 640 - 0.5], abs=0.1)


def test_colours_stay_in_their_place() -> None:
    """The same for a spot of colour in planes, whose colours are half as wide."""
    x, y = 411.0, 123.0
    rows, columns = np.ogrid[:180, :320]
    spot = np.exp(-((columns * 2 + 0.5 - x) ** 2 + (rows * 2 + 0.5 - y) ** 2) / (2 * 25.0**2))
    none = np.full((180, 320), 128, np.uint8)
    planes = Planes(np.full((360, 640), 100, np.uint8), none, np.rint(128 + 80 * spot).astype(np.uint8), full=True)
    redness = shrunk(planes, 320, 180)[..., 2].astype(float) - 100
    centre = [(redness * at).sum() / redness.sum() for at in np.ogrid[:180, :320]]
    assert centre == pytest.approx([(y + 0.5) / 2 - 0.5, (x + 0.5) / 2 - 0.5], abs=0.1)


def test_fine_stripes_do_not_become_coarse_ones() -> None:
    """Halved, one row dark and one row light are grey all over."""
    stripes = np.zeros((360, 640, 3), np.uint8)
    stripes[::2] = 200
    assert (shrunk(stripes, 320, 180) == 100).all()


def cpu_s(work: Callable[[], object]) -> float:
    """Of the quickest of five rounds, which other processes on the machine disturb least."""

    def once() -> float:
        begun_s = time.thread_time()
        work()
        return time.thread_time() - begun_s

    return min(once() for _ in range(5))


def test_twelve_megapixels_are_not_gone_through_for_a_small_picture() -> None:
    """A small one of colours takes less than a fifth of what the mean over all pixels takes; one of planes less than a third of their
    conversion.
    """
    pixels, planes = noise(3040, 4056, 3), noisy_planes(4056, 3040)
    area_s = cpu_s(lambda: cv2.resize(pixels, (320, 240), interpolation=cv2.INTER_AREA))
    assert 5 * cpu_s(lambda: shrunk(pixels, 320, 240)) < area_s
    assert 3 * cpu_s(lambda: shrunk(planes, 320, 240)) < cpu_s(lambda: bgr(planes))
    assert 20 * cpu_s(lambda: part(planes, 2000, 1500, 2200, 1700)) < cpu_s(lambda: bgr(planes))
