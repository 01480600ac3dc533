"""What the network YuNet says of a picture, made into boxes and landmarks. Pure: arrays in, arrays out; numpy only.

The network looks at a picture in three grids, with cells of 8, 16 and 32 pixels. Of each cell it says how much it is a face (cls), how
sure it is that there is anything (obj), and where: the middle of a box as an offset from the cell's corner, its size as a logarithm,
five points as offsets, all in cells. The score is √(cls · obj). Many cells see the same face; of boxes that overlap the surest stays.
After libfacedetection (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023), and equal to cv2.FaceDetectorYN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

STRIDES_px = (8, 16, 32)
OUTPUTS = tuple(f"{what}_{stride}" for what in ("cls", "obj", "bbox", "kps") for stride in STRIDES_px)
SAME = 0.3  # intersection over union, from which on two boxes are of one face
MOST = 1000  # boxes that are compared: a picture of noise shall not take long

Numbers = NDArray[np.float32]


def decoded(outputs: Mapping[str, Numbers], width_px: int, score: float) -> Numbers:
    """n × 15, the surest first: left, top, width, height, x and y of five points (right eye, left eye, nose, right and left corner of the
    mouth), all in pixels of the picture that the network was shown, and the score (0 to 1), which is at least `score`.
    """
    rows = np.concatenate([_grid(outputs, stride, width_px // stride, score) for stride in STRIDES_px])
    rows = rows[np.argsort(-rows[:, 14], kind="stable")[:MOST]]
    return rows[_apart(rows[:, :4])]


def _grid(outputs: Mapping[str, Numbers], stride: int, columns: int, score: float) -> Numbers:
    cls, obj, box, points = (outputs[f"{what}_{stride}"][0] for what in ("cls", "obj", "bbox", "kps"))
    sure = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
    cells = np.flatnonzero(sure >= score)
    corner = np.stack((cells % columns, cells // columns), axis=1).astype(np.float32)
    size = np.exp(box[cells, 2:])
    middle = corner + box[cells, :2]
    spots = points[cells] + np.tile(corner, 5)
    return np.concatenate((np.concatenate((middle - size / 2, size, spots), axis=1) * np.float32(stride), sure[cells, None]), axis=1)


def _apart(boxes: Numbers) -> list[int]:
    """Which of these, the surest first, stay: those that overlap with none that stays before them."""
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom, area = left + boxes[:, 2], top + boxes[:, 3], boxes[:, 2] * boxes[:, 3]
    stay, others = [], np.arange(len(boxes))
    while len(others):
        best, others = int(others[0]), others[1:]
        stay.append(best)
        wide = np.minimum(right[others], right[best]) - np.maximum(left[others], left[best])
        high = np.minimum(bottom[others], bottom[best]) - np.maximum(top[others], top[best])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        others = others[shared <= SAME * (area[others] + area[best] - shared)]
    return stay
