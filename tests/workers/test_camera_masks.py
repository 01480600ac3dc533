"""What is masked is gone, and little else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.camera.masks import Masks
from workers.camera.picture import Planes, Size

Polygon = list[float]
fractions = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
polygons = st.lists(st.tuples(fractions, fractions), min_size=3, max_size=8).map(
    lambda corners: [side for corner in corners for side in corner]
)
sizes = st.builds(Size, st.integers(1, 40), st.integers(1, 40))
CROSSES = 1e-9


def distances(polygon: Polygon, of: Size, points: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Of each point (x, y): whether the polygon goes around it, and how far it is from the nearest edge."""
    corners = np.array(polygon).reshape(-1, 2) * of
    turns, nearest = np.zeros(len(points)), np.full(len(points), np.inf)
    for begin, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge, to_begin, to_end = end - begin, points - begin, points - end
        cross = to_begin[:, 0] * to_end[:, 1] - to_begin[:, 1] * to_end[:, 0]
        turns += np.arctan2(cross, (to_begin * to_end).sum(axis=1))
        share = np.clip(to_begin @ edge / max(float(edge @ edge), 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.hypot(*(to_begin - share[:, None] * edge).T))
    return np.abs(turns) > np.pi, nearest


def grid(of: Size, steps: int) -> NDArray[np.float64]:
    """Points all over the picture, so many a pixel and direction; none on its border."""
    rows, columns = np.indices((of.height_px * steps, of.width_px * steps)).reshape(2, -1)
    return np.stack((columns + 0.5, rows + 0.5), axis=1) / steps


@given(polygon=polygons, of=sizes)
def test_nothing_inside_shows(polygon: Polygon, of: Size) -> None:
    """Every pixel with a point inside of the polygon is masked, one that crosses itself included."""
    points = grid(of, 4)
    around, nearest = distances(polygon, of, points)
    inside = points[around & (nearest > CROSSES)].astype(int)
    assert Masks([polygon]).over(of)[inside[:, 1], inside[:, 0]].all()


@given(polygon=polygons, of=sizes, seed=st.integers(0, 9))
def test_what_is_further_away_is_as_it_was(polygon: Polygon, of: Size, seed: int) -> None:
    """Pixels more than 1.5 px away from the polygon, and of planes more than 3 px, are untouched; and so is what was handed in."""
    drawing = np.random.default_rng(seed)
    pixels = drawing.integers(1, 256, (of.height_px, of.width_px, 3), np.uint8)
    around, nearest = distances(polygon, of, grid(of, 1))
    away = np.where(around, 0, nearest).reshape(pixels.shape[:2])
    was = pixels.copy()
    result = Masks([polygon]).applied(pixels)
    assert not isinstance(result, Planes)
    assert (result[away > 1.5] == pixels[away > 1.5]).all()
    assert (result[Masks([polygon]).over(of)] == 0).all()
    assert (pixels == was).all()
    half = drawing.integers(1, 120, ((of.height_px + 1) // 2, (of.width_px + 1) // 2), np.uint8)
    masked = Masks([polygon]).applied(Planes(pixels[..., 0], half, half))
    assert isinstance(masked, Planes)
    assert (masked.y[away > 3] == pixels[..., 0][away > 3]).all()
    colour = masked.u.repeat(2, axis=0).repeat(2, axis=1)[: of.height_px, : of.width_px]
    was_colour = half.repeat(2, axis=0).repeat(2, axis=1)[: of.height_px, : of.width_px]
    assert (colour[away > 3] == was_colour[away > 3]).all()
    assert (colour[Masks([polygon]).over(of)] == 128).all()


@pytest.mark.parametrize(("full", "black"), [(True, 0), (False, 16)])
def test_planes_are_black_without_colour(full: bool, black: int) -> None:
    """In the scale of a video black is 16; of an odd picture the last colours are masked with the pixels that they belong to."""
    plane = np.full((5, 7), 99, np.uint8)
    masked = Masks([(0.9, 0.9, 1, 0.9, 1, 1, 0.9, 1)]).applied(Planes(plane, plane[:3, :4], plane[:3, :4], full))
    assert isinstance(masked, Planes)
    assert masked.y[-1, -1] == black
    assert masked.u[-1, -1] == masked.v[-1, -1] == 128
    assert (masked.y == 99).sum() == plane.size - 1
    assert masked.full is full


def test_without_polygons_the_picture_is_the_picture() -> None:
    """No copy is made."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert Masks(()).applied(pixels) is pixels


def test_luma_alone_is_masked_and_read_only_pictures_are_taken() -> None:
    """The whole of it, here."""
    pixels = np.full((4, 6), 200, np.uint8)
    pixels.flags.writeable = False
    masked = Masks([(0, 0, 1, 0, 1, 1, 0, 1)]).applied(pixels)
    assert not isinstance(masked, Planes)
    assert not masked.any()


def test_several_polygons_and_changing_sizes() -> None:
    """Each size has its own mask, though only the last one is kept."""
    masks = Masks([(0, 0, 0.4, 0, 0.4, 0.4, 0, 0.4), (0.6, 0.6, 1, 0.6, 1, 1, 0.6, 1)])
    small, large = Size(10, 10), Size(100, 50)
    first = masks.over(small)
    assert masks.over(small) is first
    assert masks.over(large).shape == (50, 100)
    assert (masks.over(small) == first).all()
    assert first[0, 0]
    assert first[9, 9]
    assert not first[0, 9]
