"""Connected spots of a mask, all of them at once: rows are cut into runs, and runs that touch belong together. Numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Pixels

RUNS = 50_000  # more of them are speckle all over, and would take long


class Boxes(NamedTuple):
    """The first and last rows and columns of each spot."""

    top: NDArray[np.intp]
    bottom: NDArray[np.intp]
    left: NDArray[np.intp]
    right: NDArray[np.intp]


class Blobs:
    """The spots of one mask."""

    def __init__(self, shape: tuple[int, ...], starts: NDArray[np.intp], ends: NDArray[np.intp], label: NDArray[np.intp]) -> None:
        self._shape, self._starts, self._ends = shape, starts, ends
        first = label == np.arange(len(label))  # of each spot's runs
        self.count = int(first.sum())
        self._label = (np.cumsum(first) - 1)[label]

    def boxes(self) -> Boxes:
        """Where they are."""
        width = self._shape[1]
        rows, left, right = self._starts // width, self._starts % width, self._ends % width
        return Boxes(self._least(rows), -self._least(-rows), self._least(left), -self._least(-right))

    def highest(self, of: Pixels) -> NDArray[np.intp]:
        """The highest value in each spot."""
        if not self.count:
            return np.empty(0, np.intp)
        lengths = self._ends - self._starts + 1
        begins = np.cumsum(lengths) - lengths
        at = np.arange(lengths.sum()) + np.repeat(self._starts - begins, lengths)
        runs = np.maximum.reduceat(of[at // self._shape[1], at % self._shape[1]], begins)
        return -self._least(-runs.astype(np.intp))

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
    rows = np.flatnonzero(mask.any(axis=1))  # the others are most of them, as a rule
    return blobs_in_rows(rows, mask[rows], len(mask))


def blobs_in_rows(rows: NDArray[np.intp], part: NDArray[np.bool_], of: int) -> Blobs:
    """The same for a mask of so many rows, of which only these, in order, have something in them."""
    width = part.shape[1]
    edges = np.zeros((len(rows), width + 1), bool)  # where a run begins, and where one has ended
    edges[:, 0], edges[:, -1] = part[:, 0], part[:, -1]
    np.not_equal(part[:, 1:], part[:, :-1], out=edges[:, 1:-1])
    at = np.flatnonzero(edges)
    at += rows[at // (width + 1)] * width - at // (width + 1) * (width + 1)
    starts, ends = at[::2], at[1::2] - 1
    if len(starts) > RUNS:
        starts = ends = at[:0]
    return Blobs((of, width), starts, ends, _joined(starts, ends, width))


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
