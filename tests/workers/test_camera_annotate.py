"""What is drawn into a picture: where it stands, that it can be read at any size, and that figures hide nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.camera.laser import Dot
from workers.camera.show.annotate import FACE, LANDMARK, Marked, annotated

Picture = NDArray[np.uint8]

FIGURES = ["2026-11-21 10:02:11.4 UTC", "1280x720", "12.3 frames/s", "luminosity 93.2", "sharpness 812"]
NUMBER = st.floats(-5000, 5000)


def grey(height_px: int, width_px: int, shade: int = 128) -> Picture:
    return np.full((height_px, width_px, 3), shade, np.uint8)


def coloured(picture: Picture, colour: tuple[int, int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns that are about of that colour."""
    rows, columns = np.nonzero(np.abs(picture.astype(np.int16) - np.array(colour)).max(axis=2) < 30)
    return rows, columns


@pytest.mark.parametrize(("height_px", "width_px"), [(240, 320), (720, 1280), (3040, 4056)])
def test_a_face_is_framed(height_px: int, width_px: int) -> None:
    """The frame stands on the box's four sides, to a line's width, and leaves what is inside to be seen."""
    left, top, wide, high = width_px * 0.3, height_px * 0.4, width_px * 0.2, height_px * 0.3
    done = annotated(grey(height_px, width_px), [Marked((left, top, wide, high))], None, [])
    rows, columns = coloured(done, FACE)
    line_px = max(1, height_px / 400) / 2 + 1.5
    assert (rows.min(), rows.max()) == (pytest.approx(top, abs=line_px), pytest.approx(top + high, abs=line_px))
    assert (columns.min(), columns.max()) == (pytest.approx(left, abs=line_px), pytest.approx(left + wide, abs=line_px))
    inside = done[round(top + 4 * line_px) : round(top + high - 4 * line_px), round(left + 4 * line_px) : round(left + wide - 4 * line_px)]
    assert (inside == 128).all()


def test_landmarks_are_where_they_are() -> None:
    """Five spots, each at its place to half a pixel."""
    places = [(100.0, 90.0), (140.5, 91.0), (120.0, 110.25), (105.0, 130.0), (135.0, 131.75)]
    done = annotated(grey(240, 320), [Marked((80, 70, 80, 80), places)], None, [])
    spots = np.abs(done.astype(int) - LANDMARK).max(axis=2) < 60
    count, _, _, middles = cv2.connectedComponentsWithStats(spots.astype(np.uint8))
    assert count - 1 == len(places)
    for place in places:
        assert np.abs(middles[1:] - place).max(axis=1).min() <= 0.75


@pytest.mark.parametrize("at", [(0.0, 0.0), (319.0, 239.0), (160.0, 2.0), (317.0, 120.0), (160.25, 120.75)])
def test_a_dot_is_ringed_and_told(at: tuple[float, float]) -> None:
    """The ring goes around it without touching it; the words are whole within the picture, wherever the dot is."""
    done = annotated(grey(240, 320), [], Dot(*at, 9.0), [])
    x, y = round(at[0]), round(at[1])
    around = done[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].astype(int)
    assert np.abs(around - 128).max() <= 2  # smooth lines leave a trace of themselves beside them
    words = f"{at[0]:.1f}, {at[1]:.1f}"
    assert ink_beside(done, at) / len(words) > 0.7 * ink_beside(annotated(grey(240, 320), [], Dot(160, 120, 9.0), []), (160, 120)) / 12


def ink_beside(picture: Picture, at: tuple[float, float]) -> int:
    """How many pixels are drawn on, but for those of the ring."""
    rows, columns = np.nonzero((picture != 128).any(axis=2))
    return int((np.hypot(columns - at[0], rows - at[1]) > 14).sum())


@pytest.mark.parametrize(("height_px", "width_px"), [(240, 320), (480, 640), (720, 1280), (3040, 4056)])
def test_letters_grow_with_the_picture(height_px: int, width_px: int) -> None:
    """A label is between a fiftieth and a twentieth of the picture's height, its edge included, and never lower than 13 px."""
    place = (width_px * 0.2, height_px * 0.5, width_px * 0.5, height_px * 0.4)
    bare = annotated(grey(height_px, width_px), [Marked(place)], None, [])
    labelled = annotated(grey(height_px, width_px), [Marked(place, (), "3F9C0421 0.93")], None, [])
    rows = np.nonzero((bare != labelled).any(axis=(1, 2)))[0]
    assert max(13, height_px / 50) <= np.ptp(rows) + 1 <= max(16, height_px / 20)


@pytest.mark.parametrize("text", ["770690589152312 0.93", "3F9C0421 0.88", "WWWWWWWW"])
@pytest.mark.parametrize(("height_px", "width_px"), [(240, 320), (480, 640), (1080, 1920)])
def test_a_label_is_whole(height_px: int, width_px: int, text: str) -> None:
    """Where the face is at an edge it is moved, not cut: it is as wide as in the middle, and does not reach the edge."""

    def columns(left: float) -> NDArray[np.intp]:
        face = (left, height_px * 0.5, width_px / 8, height_px / 8)
        bare, labelled = (annotated(grey(height_px, width_px), [Marked(face, (), label)], None, []) for label in ("", text))
        return np.nonzero((bare != labelled).any(axis=(0, 2)))[0]

    middle = np.ptp(columns(width_px * 0.3))
    for left in (width_px * 0.87, -width_px * 0.1):
        assert np.ptp(columns(left)) == pytest.approx(middle, abs=1)
        assert columns(left).min() > 0
        assert columns(left).max() < width_px - 1


@pytest.mark.parametrize(("height_px", "width_px"), [(240, 320), (720, 1280), (64, 4000), (3040, 4056)])
def test_figures_hide_nothing(height_px: int, width_px: int) -> None:
    """They stand below the picture, which stays as it was, in as many lines as it takes for none to be cut."""
    picture = np.random.default_rng(3).integers(0, 256, (height_px, width_px, 3), np.uint8)
    done = annotated(picture, [], None, FIGURES)
    strip = done[height_px:]
    assert (done[:height_px] == picture).all()
    assert done.shape[1] == width_px
    written = np.nonzero((strip.max(axis=2) > 128).any(axis=0))[0]
    assert written.max() < width_px - 1
    assert len(strip) < 8 * max(20, height_px / 20)


def test_every_figure_is_written() -> None:
    """Each one more makes more ink; without any there is no strip."""
    ink = [int((annotated(grey(240, 320), [], None, FIGURES[:count])[240:] > 128).sum()) for count in range(len(FIGURES) + 1)]
    assert ink[0] == 0
    assert ink == sorted(set(ink))


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3)], ids=["luma", "colour"])
def test_a_copy_in_colour_is_drawn_upon(shape: tuple[int, ...]) -> None:
    """Marks have their colours on luma, too; and what was given stays as it was."""
    given_: Picture = np.full(shape, 77, np.uint8)
    done = annotated(given_, [Marked((20, 20, 30, 30))], None, [])
    assert done.shape == (60, 80, 3)
    assert len(coloured(done, FACE)[0])
    assert (given_ == 77).all()


@settings(max_examples=60)
@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), NUMBER, NUMBER, st.text(max_size=40))
def test_anything_can_be_drawn(shape: tuple[int, int], box: tuple[float, float, float, float], x: float, y: float, label: str) -> None:
    """Boxes and dots far outside, names in any letters, pictures of one pixel: a picture of the same width comes out."""
    done = annotated(grey(*shape), [Marked(box, [(x, y)], label)], Dot(x, y, abs(x)), ["a", label])
    assert done.shape[1] == shape[1]
    assert done.shape[0] > shape[0]
