"""Photographs with and without faces that installed packages carry, and whole pictures put together of what they carry in pieces.

None of them is in this project: they are found in the packages, which are not imported. Where the faces are was looked up by eye.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from workers.camera.picture import Pixels, Planes

WITH_PEOPLE = {"astronaut.png", "camera.png"}  # of scikit-image's; the second shows a man from the side
WALL, FACE_px, GAP_px = 40, 75, 25  # how the small faces are hung: three times as large as they are, on a dark grey wall
WIDTH_px, HEIGHT_px = 640, 360


class Photograph(NamedTuple):
    """A picture, and the middle of each clear and frontal face in it, with about the width of the faces."""

    name: str
    pixels: Pixels
    faces: list[tuple[float, float]]
    across_px: float


def folder(package: str, inside: str) -> Path | None:
    """Where an installed package keeps its data; None where it is not installed."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / inside if places else None


def portraits() -> list[Photograph]:
    """One face in each."""
    places = [
        ("skimage", "data/astronaut.png", (224, 115), 90),
        ("mahotas", "demos/data/luispedro.jpg", (130, 200), 185),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (265, 220), 175),
    ]
    found = ((name, folder(package, name), middle, across) for package, name, middle, across in places)
    return [Photograph(path.name, read(path), [middle], across) for name, path, middle, across in found if path]


def walls_of_faces() -> list[Photograph]:
    """Pictures of 640 × 360 with the hundred faces of scikit-image's part of Labeled Faces in the Wild, of 25 × 25 each, grey."""
    return _walls(range(100))


def walls_of_no_faces() -> list[Photograph]:
    """The same of the hundred pieces beside faces in that part, some of which show half of one."""
    return [wall._replace(faces=[]) for wall in _walls(range(100, 200))]


def without_faces() -> list[Photograph]:
    """All other photographs and drawings of scikit-image, a cat among them, and coins with heads."""
    data = folder("skimage", "data")
    assert data
    paths = sorted(path for path in data.iterdir() if path.suffix in {".png", ".jpg"} and path.name not in WITH_PEOPLE)
    return [Photograph(path.name, read(path), [], 0) for path in paths]


def astronaut() -> Pixels:
    """512 × 512, with one face."""
    return portraits()[0].pixels


def read(path: Path) -> Pixels:
    pixels = cv2.imread(str(path))
    assert pixels is not None, path
    return np.asarray(pixels, np.uint8)


def planes(pixels: Pixels, full: bool = False) -> Planes:
    """The same as YUV 4:2:0; sides are even."""
    high, wide = pixels.shape[0] // 2, pixels.shape[1] // 2
    if full:
        y, v, u = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb))
        u, v = (cv2.resize(plane, (wide, high), interpolation=cv2.INTER_AREA) for plane in (u, v))
    else:
        flat = cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420)
        y, colours = flat[: 2 * high], flat[2 * high :].reshape(2, high, wide)
        u, v = colours
    return Planes(np.asarray(y, np.uint8), np.asarray(u, np.uint8), np.asarray(v, np.uint8), full)


def _walls(pieces: range) -> list[Photograph]:
    data = folder("skimage", "data")
    assert data
    grey = np.rint(np.load(data / "lfw_subset.npy") * 255).astype(np.uint8)
    step = FACE_px + GAP_px
    corners = [(x, y) for y in range(GAP_px, HEIGHT_px - FACE_px, step) for x in range(GAP_px, WIDTH_px - FACE_px, step)]
    return [
        _wall(f"{first} to {first + len(corners)}", grey[first : min(first + len(corners), pieces.stop)], corners)
        for first in pieces[:: len(corners)]
    ]


def _wall(name: str, pieces: Pixels, corners: list[tuple[int, int]]) -> Photograph:
    wall = np.full((HEIGHT_px, WIDTH_px), WALL, np.uint8)
    taken = list(zip(pieces, corners, strict=False))
    for piece, (x, y) in taken:
        wall[y : y + FACE_px, x : x + FACE_px] = cv2.resize(piece, (FACE_px, FACE_px), interpolation=cv2.INTER_CUBIC)
    return Photograph(name, wall, [(x + FACE_px / 2, y + FACE_px / 2) for _, (x, y) in taken], FACE_px * 0.8)
