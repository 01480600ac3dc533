"""What the network's numbers mean: worked examples, and OpenCV's own decoder beside ours on photographs."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tests.workers.faces import Photograph, portraits, walls_of_faces, without_faces
from workers.camera.detect import OnnxRuntime, OpenCV
from workers.camera.detect.model import found
from workers.camera.detect.yunet import MOST, SAME, Numbers, STRIDES_px, decoded
from workers.camera.picture import Pixels

WIDTH_px, HEIGHT_px = 96, 64
SIZE = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def nothing() -> dict[str, Numbers]:
    """What the network says of a picture of 96 × 64 in which it sees no face."""
    cells = {stride: WIDTH_px // stride * (HEIGHT_px // stride) for stride in STRIDES_px}
    return {f"{what}_{stride}": np.zeros((1, cells[stride], size), np.float32) for what, size in SIZE.items() for stride in STRIDES_px}


def say(outputs: dict[str, Numbers], stride: int, cell: tuple[int, int], score: float, box: tuple[float, float, float, float]) -> None:
    """A face in that cell (column, row): the middle and the size of its box, in pixels."""
    column, row = cell
    at = row * (WIDTH_px // stride) + column
    x, y, width, height = box
    outputs[f"cls_{stride}"][0, at] = outputs[f"obj_{stride}"][0, at] = score
    outputs[f"bbox_{stride}"][0, at] = [x / stride - column, y / stride - row, math.log(width / stride), math.log(height / stride)]
    outputs[f"kps_{stride}"][0, at] = [number / 10 for number in range(10)]


@pytest.mark.parametrize("stride", STRIDES_px)
def test_a_face_is_put_together(stride: int) -> None:
    """From any of the three grids: offsets count from the cell's corner, in cells."""
    outputs = nothing()
    say(outputs, stride, (2, 1), 0.8, (41, 23, 20, 30))
    (row,) = decoded(outputs, WIDTH_px, 0.5)
    points = [(number / 10 + (2, 1)[number % 2]) * stride for number in range(10)]
    assert row.tolist() == pytest.approx([41 - 10, 23 - 15, 20, 30, *points, 0.8], abs=1e-4)


def test_the_score_is_made_of_both() -> None:
    """The root of their product; what is beyond 0 to 1 counts as the end of it; and the least that was asked for is enough."""
    outputs = nothing()
    say(outputs, 8, (3, 3), 0.9, (30, 30, 20, 20))
    outputs["cls_8"][0, 3 * 12 + 3], outputs["obj_8"][0, 3 * 12 + 3] = 0.25, 1.5
    assert decoded(outputs, WIDTH_px, 0.5)[:, 14].tolist() == [0.5]
    assert len(decoded(outputs, WIDTH_px, 0.51)) == 0
    outputs["obj_8"] -= 2
    assert len(decoded(outputs, WIDTH_px, 0.1)) == 0


def test_of_the_boxes_of_one_face_the_surest_stays() -> None:
    """Whichever grid they come from; the ones that overlap less than that are other faces, the surest first."""
    outputs = nothing()
    say(outputs, 8, (2, 2), 0.7, (21, 21, 20, 20))
    say(outputs, 16, (1, 1), 0.9, (20, 20, 20, 20))
    say(outputs, 8, (9, 5), 0.6, (75, 40, 20, 20))
    say(outputs, 32, (2, 1), 0.5, (75, 40, 22, 22))
    say(outputs, 8, (1, 6), 0.8, (12, 50, 10, 10))
    assert decoded(outputs, WIDTH_px, 0.3)[:, 14].tolist() == pytest.approx([0.9, 0.8, 0.6])


@pytest.mark.parametrize(("apart_px", "stays"), [(10.6, 1), (10.9, 2)])
def test_how_much_boxes_of_one_face_overlap(apart_px: float, stays: int) -> None:
    """Two of 20 × 20, side by side: 0.3 of what they cover together is the limit, at 10.77 px."""
    assert pytest.approx(10.77, abs=0.01) == 20 * (1 - 2 * SAME / (1 + SAME))
    outputs = nothing()
    say(outputs, 8, (3, 3), 0.9, (30, 30, 20, 20))
    say(outputs, 8, (5, 3), 0.8, (30 + apart_px, 30, 20, 20))
    assert len(decoded(outputs, WIDTH_px, 0.3)) == stays


def test_a_box_that_gave_way_takes_no_other_with_it() -> None:
    """Three in a row, each of which overlaps with the next one only: the first and the last stay."""
    outputs = nothing()
    for column, score in ((2, 0.9), (3, 0.8), (4, 0.7)):
        say(outputs, 8, (column, 3), score, (column * 8.0, 30, 20, 20))
    assert decoded(outputs, WIDTH_px, 0.3)[:, 14].tolist() == pytest.approx([0.9, 0.7])


def test_there_may_be_nothing() -> None:
    """No face is no row."""
    assert decoded(nothing(), WIDTH_px, 0.3).shape == (0, 15)


def test_a_picture_full_of_faces_is_bounded() -> None:
    """A face in each cell of a large picture: no more than the surest thousand are compared."""
    cells = 960 * 960 // 64
    outputs = {f"{what}_{s}": np.full((1, cells * 64 // s**2, size), -1, np.float32) for what, size in SIZE.items() for s in STRIDES_px}
    for name in ("cls_8", "obj_8"):
        outputs[name][0, :, 0] = np.random.default_rng(1).permutation(np.linspace(0.5, 1, cells, dtype=np.float32))
    found = decoded(outputs, 960, 0.3)
    assert len(found) == MOST
    assert (np.diff(found[:, 14]) <= 0).all()


def cut(photograph: Photograph) -> Pixels:
    """In colour, and with sides that the network takes."""
    pixels = photograph.pixels if photograph.pixels.ndim == 3 else photograph.pixels[..., None].repeat(3, axis=2)
    return np.ascontiguousarray(pixels[: pixels.shape[0] // 32 * 32, : pixels.shape[1] // 32 * 32])


def test_boxes_are_opencvs() -> None:
    """On all photographs, whole and at half their size: the same faces down to a score of 0.2, to 0.01 px."""
    ours, opencvs = OnnxRuntime(found(None)), OpenCV(found(None))
    count = 0
    for one in (*portraits(), *walls_of_faces(), *without_faces()):
        half = Photograph(one.name, np.asarray(cv2.resize(one.pixels, None, fx=0.5, fy=0.5), np.uint8), [], 0)
        for pixels in (cut(one), cut(half)):
            if min(pixels.shape[:2]) < 64 or max(pixels.shape[:2]) > 640:
                continue
            mine, other = ours.rows(pixels, 0.2), opencvs.rows(pixels, 0.2)
            assert mine.shape == other.shape, one.name
            assert mine == pytest.approx(other, abs=0.01), one.name
            count += len(mine)
    assert count > 200
