"""Whether something has moved in a picture: so cheap that it may keep the face detector from looking where nothing happens. Numpy only.

About a hundred lines of the luma are taken, and of these the means of cells of 4 × 4, in which the sensor's noise cancels out. They are
compared to a running mean of themselves. A cell has changed if it differs by more than all of these:

    FAINT       an absolute least
    NOISE       so many standard deviations of what all cells differ by, which is noise in most of them
    SHARE       a part of the picture's contrast, so that the same scene moves as much by night as by day

The camera's own exposure makes all cells brighter at once; that is taken off before. Where more than LIGHTING of the cells have
changed, it is the light, or the camera itself was moved: what is seen then is what is compared to from then on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgegw.clock import NS_PER_S
from workers.camera.picture import Pixels

LINES = 100
CELL = 4
FAINT = 4.0  # of 255
NOISE = 6.0
LOUD = 4.0  # a cell's noise has no larger standard deviation; half of the picture may be moving
SHARE = 0.15
LIGHTING = 0.8
MEMORY_s = 2.0  # of the running mean: what has stood still for that long belongs to the picture
_SIGMA = 1.4826  # of a Gaussian, in medians of its absolute values

Cells = NDArray[np.float32]


class Motion:
    """For one camera."""

    def __init__(self) -> None:
        self._usual: Cells | None = None
        self._at_ns = 0

    def moved(self, luma: Pixels, now_ns: int) -> bool:
        """Whether this luma (rows × columns) differs from what was usual just before, at `now_ns` (monotonic). True for the first one."""
        cells = _cells(luma)
        usual, since_ns, self._at_ns = self._usual, now_ns - self._at_ns, now_ns
        if usual is None or usual.shape != cells.shape:
            self._usual = cells
            return True
        by = cells - usual
        off = np.abs(by - _median(by))
        least = max(FAINT, SHARE * float(usual.std()))
        if np.count_nonzero(off > least) > LIGHTING * off.size:
            self._usual = cells
            return False
        self._usual = usual + by * np.float32(-math.expm1(-max(0, since_ns) / NS_PER_S / MEMORY_s))
        return float(off.max()) > max(least, NOISE * min(LOUD, _SIGMA * _median(off)))


def _cells(luma: Pixels) -> Cells:
    """Means of cells; of a picture that is too small for any, its pixels."""
    step = max(1, luma.shape[0] // LINES)
    thin = luma[::step, ::step]
    rows, columns = thin.shape[0] // CELL * CELL, thin.shape[1] // CELL * CELL
    if not rows or not columns:
        return thin.astype(np.float32)
    high = thin[:rows, :columns].reshape(-1, CELL, columns).sum(axis=1, dtype=np.uint16)
    total = high[:, ::CELL].copy()
    for column in range(1, CELL):  # four times as quick as a sum over an axis of four
        total += high[:, column::CELL]
    means: Cells = np.divide(total, CELL * CELL, dtype=np.float32)
    return means


def _median(cells: Cells) -> float:
    """numpy's own takes three times as long."""
    middle = cells.size // 2
    return float(np.partition(cells, middle, axis=None)[middle])
