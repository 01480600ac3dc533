"""Spots of a mask, against OpenCV's connected components."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from workers.camera.laser.blobs import RUNS, blobs


def serpent(rows: int, columns: int) -> NDArray[np.bool_]:
    """One spot, whose every run hangs on the one before: the worst there is for who joins runs."""
    mask = np.zeros((rows, columns), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    return mask


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_spots_are_those_of_opencv(seed: int, density: float) -> None:
    """The same boxes, the same pixels, the same highest values, for masks of all densities and odd shapes."""
    drawing = np.random.default_rng(seed)
    shape = drawing.integers(1, 40, 2)
    mask, values = drawing.random(shape) < density, drawing.integers(0, 256, shape, np.uint8)
    found = blobs(mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    theirs = [(*map(int, stats[i][:4]), int(values[labels == i].max())) for i in range(1, count)]
    boxes = {(y, y + height - 1, x, x + width - 1, highest) for x, y, width, height, highest in theirs}
    ours = zip(*found.boxes(), found.highest(values), strict=True)
    assert found.count == count - 1
    assert {tuple(map(int, one)) for one in ours} == boxes
    for label in range(found.count):
        spot = found.mask(label)
        at = int(np.flatnonzero(spot)[-1])
        assert (spot == (labels == labels.flat[at])).all()
        assert found.label_at(at) == label


def test_a_serpent_is_one_spot() -> None:
    """However long the way through it is."""
    assert blobs(serpent(480, 640)).count == 1


def test_speckle_all_over_has_no_spots() -> None:
    """More runs than anybody could work through in time count as none."""
    mask = np.zeros((1000, 1000), bool)
    mask[:, ::4] = True
    assert RUNS < 250_000
    assert blobs(mask).count == 0
