"""The best shot of a face: what counts, what is cut out, and that it stays small."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from workers.camera import convert
from workers.camera.capture import Frame
from workers.camera.detect import Face
from workers.camera.people import shot
from workers.camera.people.shot import LARGEST_bytes, Shot, Shots
from workers.camera.picture import Picture, Planes

FRONTAL = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))  # in widths and heights of the box


def face(left: float = 200, top: float = 150, width: float = 80, height: float = 100, score: float = 0.9, nose: float = 0.5) -> Face:
    marks = (*FRONTAL[:2], (nose, 0.6), *FRONTAL[3:])
    return Face(left, top, width, height, score, tuple((left + x * width, top + y * height) for x, y in marks))


def picture(blur: float = 0.0) -> NDArray[np.uint8]:
    """Patches of any colour, as sharp as can be."""
    small = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    large = small.repeat(8, axis=0).repeat(8, axis=1)
    return np.asarray(cv2.GaussianBlur(large, (0, 0), blur), np.uint8) if blur else large


def planes(pixels: NDArray[np.uint8]) -> Planes:
    yuv = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420), np.uint8)
    height, width = pixels.shape[:2]
    u, v = yuv[height:].reshape(2, height // 2, width // 2)
    return Planes(yuv[:height], u, v)


def offered(shots: Shots, one: Face, seen: Picture, track: int = 1) -> bool:
    return shots.offer(track, one, Frame(seen, 5))


def test_a_better_picture_takes_the_place_of_a_worse_one() -> None:
    """Each of the four counts by itself; the other way round nothing changes."""
    sharp, worse = picture(), {"score": 0.6, "width": 40, "height": 50, "nose": 0.35}
    cases: list[tuple[Face, Picture]] = [(face(**{name: value}), sharp) for name, value in worse.items() if name not in ("width", "height")]
    cases += [(face(width=40, height=50), sharp), (face(), picture(blur=6))]
    for poor, seen in cases:
        shots = Shots()
        assert offered(shots, poor, seen)
        assert offered(shots, face(), sharp)
        assert not offered(shots, poor, seen)


def test_a_little_better_is_not_worth_a_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 10 % nothing is cut; and where even perfect sharpness would not do, nobody looks at the pixels."""
    shots, seen = Shots(), picture()
    assert offered(shots, face(score=0.85), seen)
    monkeypatch.setattr(shot, "cut", lambda *_: pytest.fail("cut"))
    assert not offered(shots, face(score=0.9), seen)
    monkeypatch.setattr(shot, "sharpness", lambda *_: pytest.fail("looked"))
    assert not offered(shots, face(score=0.3), seen)


@pytest.mark.parametrize("made", [picture, lambda: planes(picture()), lambda: convert.luma(picture())], ids=["colour", "planes", "luma"])
def test_the_crop_has_a_margin_and_says_where_the_face_is(made: type) -> None:
    """Half to a whole face more on each side; the part in the roi is what was in the box."""
    shots, seen = Shots(), made()
    assert offered(shots, face(), seen)
    best = shots.take(1)
    assert best is not None
    left, top, right, bottom = best.roi
    assert (right - left, bottom - top) == (80, 100)
    assert 40 <= left <= 80
    assert 50 <= top <= 100
    assert best.pixels.shape == (bottom - top + 2 * top, right - left + 2 * left, 3)
    whole = convert.bgr(seen)
    assert np.abs(best.pixels[top:bottom, left:right].astype(int) - whole[150:250, 200:280]).max() <= 1
    assert best.at_ns == 5


@pytest.mark.parametrize("left", [-30, 600])
def test_at_the_edge_it_is_clipped(left: float) -> None:
    """As far as the picture goes, with the roi inside of it."""
    shots = Shots()
    assert offered(shots, face(left=left, top=-20), picture())
    best = shots.take(1)
    assert best is not None
    height, width = best.pixels.shape[:2]
    assert 0 <= best.roi[0] < best.roi[2] <= width
    assert 0 <= best.roi[1] < best.roi[3] <= height


def test_a_face_that_is_none_gives_no_shot() -> None:
    """Outside of the picture, without size, or no number."""
    nan, inf = float("nan"), float("inf")
    for one in (face(left=5000), face(width=0), face(height=-5), face(left=nan), face(score=nan), face(width=inf)):
        shots = Shots()
        assert not offered(shots, one, picture())
        assert shots.take(1) is None


def test_the_shot_is_a_copy() -> None:
    """The camera's buffer is written to again."""
    shots, seen = Shots(), picture()
    assert offered(shots, face(), seen)
    seen[:] = 0
    best = shots.take(1)
    assert best is not None
    assert best.pixels.any()


def test_memory_is_bounded_and_counted() -> None:
    """So many tracks and no more; what is taken, or not kept, makes room."""
    shots, seen = Shots(most=3), picture()
    assert [offered(shots, face(), seen, track) for track in range(5)] == [True, True, True, False, False]
    assert shots.turned_away == 2
    shots.keep({0, 1})
    assert shots.take(2) is None
    assert shots.take(1) is not None
    assert shots.take(1) is None
    assert offered(shots, face(), seen, 4)
    shots.clear()
    assert shots.take(4) is None


def test_frontality_is_what_the_docstring_says() -> None:
    """1 for a nose in the middle, the ratio of its distances off it, 0 beyond an eye; a tilt by its cosine."""
    assert shot.frontality(face()) == pytest.approx(1)
    assert shot.frontality(face(nose=0.4)) == pytest.approx(0.1 / 0.3)
    assert shot.frontality(face(nose=0.2)) == 0
    tilted = Face(0, 0, 80, 80, 0.9, ((20, 20), (40, 20 + 20 * 3**0.5), (30, 20 + 10 * 3**0.5), (0, 0), (0, 0)))
    assert shot.frontality(tilted) == pytest.approx(0.5)
    assert shot.frontality(face()._replace(landmarks=())) == 1


def test_sharpness_compares_between_sizes() -> None:
    """The same face at twice the size is as sharp, within a fifth; blurred it is not half as sharp."""
    small = picture(blur=2)
    large = np.asarray(cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    there = shot.sharpness(face(400, 300, 160, 200), large)
    here = shot.sharpness(face(), small)
    assert there == pytest.approx(here, rel=0.2)
    assert shot.sharpness(face(), picture(blur=10)) < here / 2


def test_a_jpeg_is_small_whatever_the_shot() -> None:
    """Noise of 4 megapixels, which nothing compresses: it fits, it decodes, and the roi has shrunk with it."""
    noise = np.random.default_rng(2).integers(0, 256, (2000, 2000, 3), np.uint8)
    jpeg = shot.encoded(Shot(noise, (500, 600, 1500, 1400), 0.5, 7))
    assert len(jpeg.data) <= LARGEST_bytes
    decoded = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    times = 2000 / decoded.shape[0]
    assert jpeg.roi == pytest.approx(tuple(side / times for side in (500, 600, 1500, 1400)), abs=2)
    assert jpeg.at_ns == 7


def test_an_ordinary_shot_keeps_its_quality() -> None:
    """A face of 80 px goes out at full size and close to what it was."""
    best = Shot(picture(blur=3)[:250, :200].copy(), (60, 75, 140, 175), 0.5, 7)
    jpeg = shot.encoded(best)
    decoded = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == best.pixels.shape
    assert cv2.PSNR(decoded, best.pixels) > 35
    assert jpeg.roi == best.roi
