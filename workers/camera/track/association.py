"""Which box is whose: how well each fits each track, and the pairs that fit best. Pure; numpy only.

Pairs are taken one by one, the best first. The exact assignment, tried on 16 spoilt sequences, gave the same scores to four digits: where
two tracks want one box, the gates leave them little else to choose from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.track.tuning import Tuning
from workers.camera.track.walk import Boxes, Rows

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


class Fit(NamedTuple):
    """Of each track (rows) with each box (columns)."""

    overlap: Numbers  # intersection over union
    apart: Numbers  # distance of the centres, in roots of the track's area
    near: Flags  # whether the distance is within the gates of `Tuning`, and the heights are alike


def fit(tracks: Rows, boxes: Boxes, tuning: Tuning) -> Fit:
    """Boxes as (centre x, centre y, width, height), sides above 0."""
    theirs = tracks["box"]
    mine, other = theirs[:, None], boxes[None]
    off = np.abs(mine[..., :2] - other[..., :2])
    sizes, wanted = mine[..., 2:], other[..., 2:]
    common = np.minimum(np.minimum(sizes, wanted), np.maximum((sizes + wanted) / 2 - off, 0))
    shared = common[..., 0] * common[..., 1]
    area = theirs[:, 2] * theirs[:, 3]
    overlap = shared / (area[:, None] + boxes[:, 2] * boxes[:, 3] - shared)
    distance = np.hypot(off[..., 0], off[..., 1])
    reach = np.minimum(tuning.sigmas * np.sqrt(tracks["place_var"] + tuning.blur**2) * theirs[:, 3], tuning.far * np.sqrt(area))
    heights = sizes[..., 1] / wanted[..., 1]
    near = (distance <= reach[:, None]) & (heights >= tuning.alike) & (heights * tuning.alike <= 1)
    return Fit(overlap, distance / np.sqrt(area)[:, None], near)


def pairs(gain: Numbers, allowed: Flags) -> tuple[Places, Places]:
    """Tracks (rows) and their boxes (columns), as two lists of equal length: the pairs of the highest gain among those allowed."""
    rows, columns = np.nonzero(allowed)
    order = np.argsort(-gain[rows, columns], kind="stable")
    taken: dict[int, int] = {}
    boxes: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken and column not in boxes:
            taken[row] = column
            boxes.add(column)
    return np.fromiter(taken, np.intp, len(taken)), np.fromiter(taken.values(), np.intp, len(taken))
