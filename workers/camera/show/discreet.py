"""Takes from a picture what would tell people from one another, before anybody sees it: masks are black, faces are pixelated.

Faces are looked for at two sizes, because large ones are missed in a large picture and small ones in a small one, and with a low
score: rather one poster pixelated too many. Where nothing is installed to find faces with, all of the picture is pixelated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workers.camera import convert
from workers.camera.detect import Detector, Face, NoDetector, open_detector
from workers.camera.masks import Masks
from workers.camera.options import Options
from workers.camera.picture import Picture, Pixels
from workers.camera.show import pixelate
from workers.camera.show.pixelate import Box

LOOKED_AT_px = (320, 960)  # widths
SCORE = 0.3
SAME = 0.4  # overlap from which on two boxes are one face


class Discreet(NamedTuple):
    """What may be seen of a picture."""

    pixels: Pixels
    faces: list[Face]  # all that was found in it
    hidden: bool  # whether anything is pixelated
    why: str  # why no face could be looked for; "" where they were


class Discretion:
    """For the pictures of one camera, in one thread. With `clear`, faces are left as they are; masks are black in any case."""

    def __init__(self, options: Options, clear: bool) -> None:
        self._clear = clear
        self._masks = Masks(options.masks)
        self._detectors: Sequence[Detector] = ()
        self._why = ""
        try:
            self._detectors = [open_detector(options.face_model, width_px) for width_px in LOOKED_AT_px]
        except NoDetector as error:
            self._why = str(error)

    def seen(self, picture: Picture, followed: Sequence[Box] = ()) -> Discreet:
        """What may be seen of it, in blue, green and red. Where somebody is followed is hidden, too: a face may turn away for a moment."""
        masked = self._masks.applied(picture)
        faces = self._faces(masked)
        pixels = convert.bgr(masked)
        if self._clear:
            return Discreet(pixels, faces, False, self._why)
        boxes = [*(face[:4] for face in faces), *followed]
        blocks = pixelate.coarse(pixels) if self._why else pixelate.pixelated(pixels, boxes)
        pixels = convert.bgr(self._masks.applied(blocks))  # again: blocks at the edge of a mask reach into it
        return Discreet(pixels, faces, bool(self._why or boxes), self._why)

    def _faces(self, picture: Picture) -> list[Face]:
        """Each once; where both sizes show it, with the better score."""
        faces: list[Face] = []
        found = [face for detector in self._detectors for face in detector.faces(picture, SCORE)]
        for face in sorted(found, key=lambda face: -face.score):
            if all(overlap(face, other) < SAME for other in faces):
                faces.append(face)
        return faces


def overlap(one: Face, other: Face) -> float:
    """Of their boxes: the area that both have, by the area that either has."""
    wide = min(one.left_px + one.width_px, other.left_px + other.width_px) - max(one.left_px, other.left_px)
    high = min(one.top_px + one.height_px, other.top_px + other.height_px) - max(one.top_px, other.top_px)
    both = max(0.0, wide) * max(0.0, high)
    either = one.width_px * one.height_px + other.width_px * other.height_px - both
    return both / either if either > 0 else 0.0
