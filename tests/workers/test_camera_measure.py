"""Luminosity and sharpness against OpenCV, which works them out by the book."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.workers.camera_scenes import planes, scene
from workers.camera import laser
from workers.camera.measure import BAND_rows, SAMPLED_px, grey, look
from workers.camera.picture import Planes

TWELVE_megapixels = (3040, 4056)
SHAPES = [(2, 2), (1, 9), (9, 1), (7, 5), (BAND_rows - 1, 8), (BAND_rows, 8), (BAND_rows + 1, 8), (2 * BAND_rows, 8), (241, 321)]


def by_the_book(pixels: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Luminosity, contrast, sharpness."""
    luma = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels
    return float(luma.mean()), float(luma.std()), float(cv2.Laplacian(luma, cv2.CV_64F).var())


def noise(shape: tuple[int, ...], seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def large() -> NDArray[np.uint8]:
    """A picture of 12 megapixels: fine pattern everywhere, some parts of it sharper and brighter than others."""
    small = scene(3, dot=True, width_px=1014, height_px=760).pixels
    whole = small.repeat(4, axis=0).repeat(4, axis=1)
    whole += noise((*TWELVE_megapixels, 3)) // 32
    return whole


def test_luma_is_opencvs_to_the_last_bit() -> None:
    """A million colours, and the corners of the colour cube."""
    pixels = noise((1000, 1000, 3))
    pixels[0, :8] = [[255 * (i >> 2), 255 * (i >> 1 & 1), 255 * (i & 1)] for i in range(8)]
    assert (grey(pixels) == cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colours", [(3,), ()], ids=["colour", "luma alone"])
def test_a_picture_is_measured_by_the_book(shape: tuple[int, int], colours: tuple[int, ...]) -> None:
    """Whatever its size, the edges of the picture and of the bands it is worked through in included."""
    pixels = noise((*shape, *colours))
    found = look(pixels)
    assert found[:3] == pytest.approx(by_the_book(pixels), rel=1e-12, abs=1e-9)


def test_exact_is_exact_at_twelve_megapixels() -> None:
    """Every pixel counts: equal to OpenCV's figures."""
    pixels = large()
    assert look(pixels, exact=True)[:3] == pytest.approx(by_the_book(pixels), rel=1e-12)


def test_sampling_estimates_the_same_figures() -> None:
    """Within 2 % for the luminosity and 10 % for the sharpness of a picture that is not alike all over."""
    pixels = large()
    luminosity, _, sharpness = by_the_book(pixels)
    found = look(pixels)
    assert found.luminosity == pytest.approx(luminosity, rel=0.02)
    assert found.sharpness == pytest.approx(sharpness, rel=0.1)
    assert found.sharpness != pytest.approx(sharpness, rel=1e-9)


@pytest.mark.parametrize("rows", range(1022, 1062))
def test_sampled_rows_always_have_their_neighbours(rows: int) -> None:
    """At any height: on a picture whose rows are all alike the sampled figures are those of the whole, to the last bit."""
    pixels = np.broadcast_to(noise((1, 2048)), (rows, 2048))
    assert rows * 2048 > SAMPLED_px
    assert look(pixels)[:3] == pytest.approx(by_the_book(np.ascontiguousarray(pixels)), rel=1e-12)


def test_sampling_costs_a_fraction() -> None:
    """Of 12 megapixels it takes less than a third of the time that all of them take."""
    pixels = large()
    assert 3 * cpu_s(lambda: look(pixels)) < cpu_s(lambda: look(pixels, exact=True))


def test_exact_costs_less_than_the_naive_way() -> None:
    """At most 0.6 of the time that OpenCV takes by the book, one thread each, for the same figures."""
    pixels, threads = large(), cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        assert cpu_s(lambda: look(pixels, exact=True)) < 0.6 * cpu_s(lambda: by_the_book(pixels)[2])
    finally:
        cv2.setNumThreads(threads)


def test_sampled_measurements_cost_a_tenth_of_the_naive_ones() -> None:
    """All of them, at 12 megapixels: luminosity, sharpness and a dot, less than a quarter from colours and a tenth from planes."""
    pixels = scene(7, dot=True, width_px=TWELVE_megapixels[1], height_px=TWELVE_megapixels[0]).pixels
    yuv = planes(pixels)

    def naive() -> None:
        by_the_book(pixels)
        hue = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
        red = np.bitwise_or(*(cv2.inRange(hue, (least, 100, 100), (most, 255, 255)) for least, most in ((0, 10), (160, 180))))
        cv2.findContours(cv2.morphologyEx(red, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)

    naive_s = cpu_s(naive)
    assert cpu_s(lambda: (look(pixels), laser.find(pixels))) < naive_s / 4
    assert cpu_s(lambda: (look(yuv), laser.find(yuv))) < naive_s / 10


@pytest.mark.parametrize("exact", [True, False])
def test_planes_have_their_luma_already(exact: bool) -> None:
    """Their figures are those of the luma alone, whatever the colours are, and whatever padding lies beside them."""
    luma = noise((1100, 1201))
    padded = np.pad(luma, ((0, 4), (0, 31)))[:-4, :-31]
    padded.flags.writeable = False
    colours = noise((550, 601))
    assert look(Planes(padded, colours, colours, full=True), exact) == look(luma, exact)


def test_a_video_s_luma_is_brought_to_the_same_scale() -> None:
    """From 16 to 235: black is 0, white is 255, and the rest differs by no more than what rounding to fewer steps does."""
    pixels = scene(5, dot=False).pixels
    full, video = look(planes(pixels)), look(planes(pixels, full=False))
    assert video.luminosity == pytest.approx(full.luminosity, abs=0.1)
    assert video.contrast == pytest.approx(full.contrast, rel=0.01)
    assert video.sharpness == pytest.approx(full.sharpness, rel=0.05)
    for luma, luminosity in ((0, 0), (16, 0), (235, 255), (255, 255)):
        flat = np.full((3, 5), luma, np.uint8)
        assert look(Planes(flat, flat[:2, :3], flat[:2, :3]))[:3] == (luminosity, 0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (7, 5)])
def test_planes_of_any_size_are_measured(shape: tuple[int, int]) -> None:
    """Odd ones too, whose colours are rounded up."""
    pixels = noise((*shape, 3))
    assert look(planes(pixels))[:3] == pytest.approx(by_the_book(planes(pixels).y), rel=1e-12, abs=1e-9)
    assert look(pixels)[:3] == pytest.approx(by_the_book(pixels), rel=1e-12, abs=1e-9)


def test_a_view_is_measured_as_its_copy_is() -> None:
    """Padded, turned or read-only."""
    pixels = noise((1200, 1300, 3))
    views = [pixels[:-5, 3:-9], pixels[::-1, ::-1], pixels[::2, ::3]]
    for view in views:
        view.flags.writeable = False
        assert look(view) == look(np.ascontiguousarray(view))


def cpu_s(work: Callable[[], object]) -> float:
    """Of the quickest of five rounds, which other processes on the machine disturb least."""

    def once() -> float:
        begun_s = time.thread_time()
        work()
        return time.thread_time() - begun_s

    return min(once() for _ in range(5))


def test_sharpness_falls_with_blur() -> None:
    """Each blur takes some of it."""
    pixels = scene(5, dot=False).pixels
    blurred = [np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8) for sigma in (0.7, 1.5, 3.0)]
    figures = [look(one).sharpness for one in (pixels, *blurred)]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 10 * figures[-1]


def test_the_digest_tells_pictures_apart() -> None:
    """Equal for a copy; different when a single pixel of a small picture is one step brighter."""
    pixels = noise((48, 64, 3))
    changed = pixels.copy()
    changed[20, 20] ^= 8
    assert look(pixels).digest == look(pixels.copy()).digest
    assert look(pixels).digest != look(changed).digest
