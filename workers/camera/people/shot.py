"""The best picture of each face that is followed: chosen by how sure, how large, how sharp and how frontal the face is.

The worth of a picture is the product of four figures from 0 to 1:

    score       the detector's
    size        root of width × height, in 160 px, at most 1: recognisers work on about 112 px, so that larger is hardly better
    sharpness   v / (v + 100), where v is the variance of the Laplacian of the face's luma at a width of 64 px, so that faces of any
                size compare: a sharp one has some 1000, one that is smeared by its movement 30
    frontality  how evenly the nose stands between the eyes: its distance from the nearer one over that from the other one, along
                the line of the eyes; times the cosine of that line's angle to the horizontal

A face without landmarks counts as frontal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from workers.camera.capture import Frame
from workers.camera.convert import luma, part
from workers.camera.cv import cv2
from workers.camera.detect import Face
from workers.camera.picture import Picture, Pixels, Planes, size

GAIN = 1.1  # a new picture has to be so many times as good: else a crop is cut with every look, for nothing
MARGIN = 0.75  # of the face's size, on each side: recognisers want the surroundings
LARGE_px, SHARP, COMMON_px = 160.0, 100.0, 64
QUALITY = (90, 80, 70, 55, 40)
LARGEST_bytes = 256 * 1024


class Shot(NamedTuple):
    """A picture of a face, with a margin."""

    pixels: Pixels  # a copy, blue, green and red
    roi: tuple[int, int, int, int]  # left, top, right and bottom of the face in it, in pixels, the last two excluded
    worth: float  # 0 to 1
    at_ns: int  # when it was taken (monotonic, ns)


class Jpeg(NamedTuple):
    """A shot, ready to be sent."""

    data: bytes
    roi: tuple[int, int, int, int]  # as in Shot; it shrinks with the picture
    at_ns: int


class Shots:
    """The best shot of each track, of at most `most` tracks; whoever comes when it is full gets none, and is counted."""

    def __init__(self, most: int = 64) -> None:
        self.turned_away = 0
        self._most = most
        self._best: dict[int, Shot] = {}

    def offer(self, track: int, face: Face, frame: Frame) -> bool:
        """Takes a copy out of the frame if this face is clearly the best of that track so far; whether it did."""
        best = self._best.get(track)
        if best is None and len(self._best) >= self._most:
            self.turned_away += 1
            return False
        worth = clear_gain(face, best.worth * GAIN if best else 0.0, lambda: sharpness(face, frame.picture))
        if worth is None:
            return False
        pixels, roi = cut(face, frame.picture)
        if pixels.size == 0:
            return False
        self._best[track] = Shot(pixels, roi, worth, frame.at_ns)
        return True

    def take(self, track: int) -> Shot | None:
        """The best one, which is then forgotten; None where there was none."""
        return self._best.pop(track, None)

    def keep(self, tracks: Collection[int]) -> None:
        """Forgets the shots of all others."""
        for track in [track for track in self._best if track not in tracks]:
            del self._best[track]

    def clear(self) -> None:
        """Forgets all of them."""
        self._best.clear()


def clear_gain(face: Face, wanted: float, sharp: Callable[[], float]) -> float | None:
    """The worth of a face, or None where it is not above `wanted`; asks for the sharpness only where that can decide."""
    most = min(max(face.score, 0.0), 1.0) * min(math.sqrt(max(face.width_px * face.height_px, 0.0)) / LARGE_px, 1.0) * frontality(face)
    if not most > wanted:  # nor where it is no number
        return None
    worth = most * sharp()
    return worth if worth > wanted else None


def frontality(face: Face) -> float:
    """0 to 1, as above; 1 where there are no landmarks."""
    if len(face.landmarks) < 3:
        return 1.0
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y) = face.landmarks[:3]
    across, down = left_x - right_x, left_y - right_y
    eyes = math.hypot(across, down)
    if not eyes > 0:
        return 0.0
    along = ((nose_x - right_x) * across + (nose_y - right_y) * down) / eyes  # of the nose, from the right eye towards the left one
    near, far = sorted((along, eyes - along))
    return max(0.0, near / far) * max(0.0, across / eyes)


def sharpness(face: Face, picture: Picture) -> float:
    """0 to 1, as above; 0 for a face outside of the picture."""
    left, top, right, bottom = _clipped(face, 0.0, picture)
    if right - left < 2 or bottom - top < 2:
        return 0.0
    seen = picture.y if isinstance(picture, Planes) else picture
    grey = luma(seen[top:bottom, left:right])
    tall_px = max(2, round(COMMON_px * grey.shape[0] / grey.shape[1]))
    common = cv2.resize(grey, (COMMON_px, min(tall_px, 4 * COMMON_px)), interpolation=cv2.INTER_AREA)
    variance = float(cv2.Laplacian(common, cv2.CV_32F).var())
    return variance / (variance + SHARP)


def cut(face: Face, picture: Picture) -> tuple[Pixels, tuple[int, int, int, int]]:
    """A copy of the face with its margin, as far as the picture goes, and where in it the face is."""
    left, top, right, bottom = _clipped(face, MARGIN, picture)
    inner = _clipped(face, 0.0, picture)
    roi = (inner[0] - left, inner[1] - top, inner[2] - left, inner[3] - top)
    return part(picture, left, top, right, bottom), roi


def encoded(shot: Shot) -> Jpeg:
    """As JPEG of at most 256 KiB: in quality 90, or less, and smaller where that does not do."""
    pixels, roi = shot.pixels, shot.roi
    while True:
        for quality in QUALITY:
            _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(data) <= LARGEST_bytes:
                return Jpeg(data.tobytes(), roi, shot.at_ns)
        height, width = pixels.shape[:2]
        pixels = np.asarray(cv2.resize(pixels, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA), np.uint8)
        left, top, right, bottom = (side // 2 for side in roi)
        roi = (left, top, max(right, left + 1), max(bottom, top + 1))


def _clipped(face: Face, margin: float, picture: Picture) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the face, grown by a margin on each side, as far as the picture goes."""
    across, down = margin * face.width_px, margin * face.height_px
    sides = (face.left_px - across, face.top_px - down, face.left_px + face.width_px + across, face.top_px + face.height_px + down)
    if not all(map(math.isfinite, sides)):
        return (0, 0, 0, 0)
    limit = size(picture)
    left, right = (min(max(side, 0), limit.width_px) for side in (math.floor(sides[0]), math.ceil(sides[2])))
    top, bottom = (min(max(side, 0), limit.height_px) for side in (math.floor(sides[1]), math.ceil(sides[3])))
    return left, top, right, bottom
