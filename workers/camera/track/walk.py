"""How a followed box moves: at an even speed, and how sure that is. Pure: rows of tracks in, changed in place; numpy only.

A Kalman filter (Welch and Bishop, An Introduction to the Kalman Filter, UNC TR 95-041) for each coordinate by itself, so that every
matrix in it is 2 × 2 and is written out. The centre has a place and a speed, on which a random acceleration works; width and height
wander, so that a box that is lost keeps its size. All uncertainty is in heights of the box: somebody twice as near moves twice as fast
in the picture, and the detector's box jumps twice as far. Both coordinates of the centre share theirs, as do width and height.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.camera.track.tuning import Tuning

STATE = (
    ("box", np.float64, 4),  # centre x, centre y, width, height, in pixels
    ("speed", np.float64, 2),  # of the centre, in pixels/s
    ("place_var", np.float64),  # variance of the centre, in heights²
    ("mixed_var", np.float64),  # covariance of the centre and its speed, in heights²/s
    ("speed_var", np.float64),  # variance of the speed, in heights²/s²
    ("size_var", np.float64),  # variance of width and height, in heights²
)

Rows = NDArray[np.void]
Boxes = NDArray[np.float64]


def begin(rows: Rows, boxes: Boxes, tuning: Tuning) -> None:
    """New tracks, at those boxes (centre x, centre y, width, height)."""
    rows["box"] = boxes
    rows["place_var"] = rows["size_var"] = tuning.blur**2
    rows["speed_var"] = tuning.start**2


def predict(rows: Rows, after_s: float, tuning: Tuning) -> None:
    """Where they will be, so many seconds later (0 or more)."""
    jolt = tuning.jolt**2
    rows["box"][:, :2] += rows["speed"] * after_s
    rows["place_var"] += after_s * (2 * rows["mixed_var"] + after_s * (rows["speed_var"] + after_s / 3 * jolt))
    rows["mixed_var"] += after_s * (rows["speed_var"] + after_s / 2 * jolt)
    rows["speed_var"] += after_s * jolt
    rows["size_var"] += after_s * tuning.drift**2


def corrected(rows: Rows, boxes: Boxes, blur: NDArray[np.float64]) -> Rows:
    """A copy of the rows after they were found at those boxes, whose standard deviations are in `blur`, in heights."""
    place_var, mixed_var, size_var, noise = rows["place_var"], rows["mixed_var"], rows["size_var"], blur**2
    gain, pull, size_gain = place_var / (place_var + noise), mixed_var / (place_var + noise), size_var / (size_var + noise)
    off = boxes - rows["box"]
    after = rows.copy()
    after["box"][:, :2] += gain[:, None] * off[:, :2]
    after["box"][:, 2:] += size_gain[:, None] * off[:, 2:]
    after["speed"] += pull[:, None] * off[:, :2]
    after["place_var"] *= 1 - gain
    after["mixed_var"] *= 1 - gain
    after["speed_var"] -= pull * mixed_var
    after["size_var"] *= 1 - size_gain
    return after


def centred(boxes: Boxes) -> Boxes:
    """(left, top, width, height) as (centre x, centre y, width, height)."""
    return np.concatenate((boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]), axis=1)


def cornered(boxes: Boxes) -> Boxes:
    """The way back."""
    return np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]), axis=1)
