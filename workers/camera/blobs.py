"""Connected spots of a mask, all of them at once: rows are cut into runs, and runs that touch belong together. Numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.camera.measure import Pixels

RUNS = 50_000  # more of them are speckle all over, and would take long


class Blobs:
    """The spots of one mask; `top` to `right` are their first and last rows and columns."""

    def __init__(self, shape: tuple[int, ...], starts: NDArray[np.intp], ends: NDArray[np.intp], label: NDArray[np.intp]) -> None:
        self._shape, self._starts, self._ends = shape, starts, ends
        names, self._label = np.unique(label, return_inverse=True)
        self.count = len(names)
        rows, first, last = starts // shape[1], starts % shape[1], ends % shape[1]
        self.top, self.bottom = self._least(rows), -self._least(-rows)
        self.left, self.right = self._least(first), -self._least(-last)

    def highest(self, of: Pixels) -> NDArray[np.intp]:
        """The highest value in each spot."""
        flat = of.ravel()
        pairs = np.stack((self._starts, np.minimum(self._ends + 1, flat.size - 1)), axis=1).ravel()
        runs = np.maximum.reduceat(flat, pairs)[::2] if self.count else flat[:0]
        return -self._least(-np.maximum(runs, flat[self._ends]).astype(np.intp))

    def label_at(self, index: int) -> int:
        """Which spot has the pixel of that flat index, which is in the mask."""
        return int(self._label[np.searchsorted(self._starts, index, side="right") - 1])

    def mask(self, label: int) -> NDArray[np.bool_]:
        """Its pixels."""
        mask = np.zeros(self._shape, bool)
        flat = mask.reshape(-1)
        for run in np.flatnonzero(self._label == label):
            flat[self._starts[run] : self._ends[run] + 1] = True
        return mask

    def _least(self, values: NDArray[np.intp]) -> NDArray[np.intp]:
        least = np.full(self.count, np.iinfo(np.intp).max)
        np.minimum.at(least, self._label, values)
        return least


def blobs(mask: NDArray[np.bool_]) -> Blobs:
    """Spots whose pixels touch, corners included. None at all where there are more than RUNS runs: that is no picture of spots."""
    width = mask.shape[1]
    at = np.flatnonzero(mask)
    new = np.empty(len(at), bool)
    new[:1] = True
    new[1:] = (np.diff(at) != 1) | (at[1:] % width == 0)
    starts = at[new]
    ends = at[np.roll(new, -1)] if len(at) else at
    if len(starts) > RUNS:
        starts = ends = at[:0]
    return Blobs(mask.shape, starts, ends, _joined(starts, ends, width))


def _joined(starts: NDArray[np.intp], ends: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """A label for each run, the same for all runs that hang together."""
    first, last = starts + starts // width * 2, ends + ends // width * 2  # two columns more, so that no row touches the next at its end
    below = width + 2
    low = np.searchsorted(last, first + below - 1, side="left")
    high = np.searchsorted(first, last + below + 1, side="right")
    touching = np.maximum(0, high - low)
    upper = np.repeat(np.arange(len(starts)), touching)
    lower = np.arange(touching.sum()) - np.repeat(np.cumsum(touching) - touching, touching) + np.repeat(low, touching)
    label = np.arange(len(starts))
    while True:
        least = np.minimum(label[upper], label[lower])
        before = label.copy()
        np.minimum.at(label, before[upper], least)
        np.minimum.at(label, before[lower], least)
        label = label[label]
        if (label == before).all():
            return label
