"""What nobody shall see: polygons in fractions of the picture, blacked out. Numpy only.

A pixel is a square, and is masked when a polygon touches it: nothing of what is inside shows, and at most the pixels of its border
are lost besides. What a polygon that crosses itself goes around, however often, is inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Picture, Pixels, Planes, Size, size

Mask = NDArray[np.bool_]
GREY, VIDEO_BLACK = 128, 16  # no colour; and a video's luma (BT.601) for black
_ROUNDING_px = 1e-6  # so much nearer a polygon counts as touching


class Masks:
    """Polygons, each as x, y, x, y, … in fractions of the picture; drawn once for each size that pictures come in."""

    def __init__(self, polygons: Sequence[Sequence[float]]) -> None:
        self._polygons = [np.asarray(polygon, float).reshape(-1, 2) for polygon in polygons]
        self._drawn: tuple[Size, Mask] | None = None

    def __bool__(self) -> bool:
        """Whether there is any polygon."""
        return bool(self._polygons)

    def over(self, of: Size) -> Mask:
        """True for what is masked, rows × columns, in a picture of that size. Not to be written to."""
        if self._drawn is None or self._drawn[0] != of:
            mask = np.zeros((of.height_px, of.width_px), bool)
            for polygon in self._polygons:
                mask |= _touched(polygon * of, of)
            mask.flags.writeable = False
            self._drawn = of, mask
        return self._drawn[1]

    def applied(self, picture: Picture) -> Picture:
        """The picture, blacked out; a new one where there is any polygon, and never written to."""
        if not self:
            return picture
        mask = self.over(size(picture))
        if not isinstance(picture, Planes):
            return _filled(picture, mask, 0)
        colour = _halved(mask)
        y = _filled(picture.y, mask, 0 if picture.full else VIDEO_BLACK)
        return Planes(y, _filled(picture.u, colour, GREY), _filled(picture.v, colour, GREY), picture.full)


def _filled(plane: Pixels, mask: Mask, value: int) -> Pixels:
    """A copy; only the rows that the mask touches are looked at, which is quicker by as much as there are others."""
    copy = plane.copy()
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows):
        span = slice(rows[0], rows[-1] + 1)
        copy[span][mask[span]] = value
    return copy


def _halved(mask: Mask) -> Mask:
    """For planes of half the resolution, rounded up: a pixel of which any quarter is masked."""
    even = np.pad(mask, ((0, mask.shape[0] % 2), (0, mask.shape[1] % 2)))
    rows = even[::2] | even[1::2]
    return np.asarray(rows[:, ::2] | rows[:, 1::2], bool)


def _touched(corners_px: NDArray[np.float64], of: Size) -> Mask:
    """Pixels whose middle is inside of the polygon, and pixels that its border runs through: together all that it touches."""
    winding = np.zeros((of.height_px, of.width_px + 1), np.int16)
    border = np.zeros_like(winding)
    for begin, end in itertools.pairwise([*corners_px, corners_px[0]]):
        _wind(winding, begin, end)
        _draw(border, begin, end)
    winding.cumsum(axis=1, out=winding)
    border.cumsum(axis=1, out=border)
    return np.asarray(((winding != 0) | (border > 0))[:, :-1], bool)


def _wind(winding: NDArray[np.int16], begin: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """Add 1 from where an edge that runs down crosses the middle of a row, take 1 from where one that runs up does."""
    (upper, lower), step = ((begin, end), 1) if begin[1] <= end[1] else ((end, begin), -1)
    rows = np.arange(max(0, int(np.ceil(upper[1] - 0.5))), min(len(winding), int(np.ceil(lower[1] - 0.5))))
    if len(rows):
        crossed = upper[0] + (rows + 0.5 - upper[1]) * (lower[0] - upper[0]) / (lower[1] - upper[1])
        winding[rows, _column(np.ceil(crossed - 0.5), winding)] += step


def _draw(border: NDArray[np.int16], begin: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """Add 1 at the first pixel of each row that an edge runs through, take 1 after the last."""
    upper, lower = (begin, end) if begin[1] <= end[1] else (end, begin)
    first, last = np.floor((upper[1] - _ROUNDING_px, lower[1] + _ROUNDING_px))
    rows = np.arange(max(0, int(first)), min(len(border) - 1, int(last)) + 1)
    height = max(lower[1] - upper[1], _ROUNDING_px)
    inside = (np.clip((rows + by - upper[1]) / height, 0, 1) for by in (0, 1))
    at, further = (upper[0] + part * (lower[0] - upper[0]) for part in inside)
    border[rows, _column(np.floor(np.minimum(at, further) - _ROUNDING_px), border)] += 1
    border[rows, _column(np.floor(np.maximum(at, further) + _ROUNDING_px) + 1, border)] -= 1


def _column(at: NDArray[np.float64], within: NDArray[np.int16]) -> NDArray[np.intp]:
    return np.clip(at, 0, within.shape[1] - 1).astype(np.intp)
