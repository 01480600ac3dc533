"""Draws into a picture what was found in it, and writes the figures below it. Pure: pixels in, pixels out; drawn with OpenCV.

Lines and letters grow with the picture, so that they can be read at 320×240 and at 12 megapixels. The figures stand in a strip of
their own below the picture: nothing that the camera saw is under them. OpenCV's letters are ASCII only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workers.camera.cv import cv2
from workers.camera.laser import Dot
from workers.camera.picture import Pixels
from workers.camera.show.pixelate import Box

Colour = tuple[int, int, int]  # blue, green, red

FACE, LANDMARK, DOT, TEXT, STRIP, EDGE = (80, 220, 60), (0, 220, 255), (255, 255, 0), (235, 235, 235), (32, 28, 24), (0, 0, 0)
GAP = "   "  # between two figures of one line
SUBPIXEL_bits = 4  # OpenCV takes coordinates in fractions of 1/16 px


class Marked(NamedTuple):
    """A face to be marked."""

    box: Box
    landmarks: Sequence[tuple[float, float]] = ()  # x and y, px
    label: str = ""


def annotated(pixels: Pixels, faces: Sequence[Marked], dot: Dot | None, figures: Sequence[str]) -> Pixels:
    """A larger copy, in colour: the picture (blue, green, red, or luma alone) with its marks, and the figures below it."""
    canvas = np.ascontiguousarray(pixels) if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)
    canvas = canvas.copy()
    pen = _Pen(canvas)
    for face in faces:
        _mark(pen, face)
    if dot:
        _point_out(pen, dot)
    return np.concatenate([canvas, _strip(pen, figures)]) if figures else canvas


class _Pen:
    """Draws on one picture, with lines and letters that fit its size."""

    def __init__(self, canvas: Pixels) -> None:
        self.canvas = canvas
        self.height_px, self.width_px = canvas.shape[:2]
        short_px = min(self.height_px, self.width_px)
        self.line_px = max(1, round(short_px / 400))
        self.edge_px = 2 * max(1, round(self.line_px / 3))
        self.scale = max(0.35, short_px / 1100)
        self.letter_px = self.size("0").height_px

    def size(self, text: str) -> _Extent:
        (width_px, height_px), below_px = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, self.scale, self.line_px + self.edge_px)
        return _Extent(width_px, height_px, below_px)

    def box(self, box: Box, colour: Colour) -> None:
        """With a dark edge around it, so that it is seen on any ground."""
        left, top, width, height = box
        for thick_px, shade in ((self.line_px + self.edge_px, EDGE), (self.line_px, colour)):
            corners = self._fixed(left, top), self._fixed(left + width, top + height)
            cv2.rectangle(self.canvas, *corners, shade, thick_px, cv2.LINE_AA, SUBPIXEL_bits)

    def circle(self, x_px: float, y_px: float, radius_px: float, colour: Colour, filled: bool) -> None:
        radius = round(radius_px * (1 << SUBPIXEL_bits))
        for more_px, shade in ((self.edge_px, EDGE), (0, colour)):
            wide = radius + (more_px << SUBPIXEL_bits) // 2 if filled else radius
            thick_px = cv2.FILLED if filled else self.line_px + more_px
            cv2.circle(self.canvas, self._fixed(x_px, y_px), wide, shade, thick_px, cv2.LINE_AA, SUBPIXEL_bits)

    def write(self, text: str, left_px: float, base_px: float, colour: Colour) -> None:
        """On one line, moved to where all of it is within the picture; with a dark edge."""
        extent = self.size(text)
        thick_px = self.line_px + self.edge_px
        left = round(max(thick_px, min(left_px, self.width_px - extent.width_px - thick_px)))
        base = round(min(max(base_px, extent.height_px + self.line_px + 1), self.height_px - extent.below_px - 1))
        for wide_px, shade in ((thick_px, EDGE), (self.line_px, colour)):
            self._put(self.canvas, text, left, base, shade, wide_px)

    def print(self, canvas: Pixels, text: str, left_px: int, base_px: int) -> None:
        """On a ground of one colour, which is not the picture."""
        self._put(canvas, text, left_px, base_px, TEXT, self.line_px)

    def _put(self, canvas: Pixels, text: str, left_px: int, base_px: int, colour: Colour, thick_px: int) -> None:
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(canvas, text, (left_px, base_px), font, self.scale, colour, thick_px, cv2.LINE_AA)

    def _fixed(self, x_px: float, y_px: float) -> tuple[int, int]:
        return round(x_px * (1 << SUBPIXEL_bits)), round(y_px * (1 << SUBPIXEL_bits))


class _Extent(NamedTuple):
    """Of a text, above its base line and below it."""

    width_px: int
    height_px: int
    below_px: int


def _mark(pen: _Pen, face: Marked) -> None:
    left, top, width, height = face.box
    pen.box(face.box, FACE)
    for x_px, y_px in face.landmarks:
        pen.circle(x_px, y_px, max(1.0, min(width, height) / 40), LANDMARK, filled=True)
    if face.label:
        pen.write(face.label, left, top - 2 * pen.line_px - 2, FACE)


def _point_out(pen: _Pen, dot: Dot) -> None:
    """A ring around it that leaves it free, and where it is."""
    radius_px = 1.5 * math.sqrt(max(0.0, dot.area_px) / math.pi) + 4 * pen.line_px
    pen.circle(dot.x_px, dot.y_px, radius_px, DOT, filled=False)
    text = f"{dot.x_px:.1f}, {dot.y_px:.1f}"
    beside_px = radius_px + 2 * pen.line_px + 2
    right = dot.x_px + beside_px + pen.size(text).width_px < pen.width_px
    left_px = dot.x_px + beside_px if right else dot.x_px - beside_px - pen.size(text).width_px
    pen.write(text, left_px, dot.y_px + pen.letter_px / 2, DOT)


def _strip(pen: _Pen, figures: Sequence[str]) -> Pixels:
    """As many lines as the figures need, as wide as the picture; one that is wider than the picture is cut there."""
    lines, margin_px = _wrapped(pen, figures), pen.letter_px // 2 + 1
    step_px = round(1.8 * pen.letter_px) + 1
    strip: Pixels = np.full((len(lines) * step_px + 2 * margin_px, pen.width_px, 3), STRIP, np.uint8)
    for number, line in enumerate(lines):
        pen.print(strip, line, margin_px, margin_px + number * step_px + round(1.3 * pen.letter_px))
    return strip


def _wrapped(pen: _Pen, figures: Sequence[str]) -> list[str]:
    room_px = pen.width_px - 2 * (pen.letter_px // 2 + 1)
    lines = [figures[0]]
    for figure in figures[1:]:
        longer = f"{lines[-1]}{GAP}{figure}"
        if pen.size(longer).width_px <= room_px:
            lines[-1] = longer
        else:
            lines.append(figure)
    return lines
