"""What a virtual camera sees: a wall with a red sign, by daylight that comes and goes, a box that moves, a laser's dot, and noise."""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

from workers.camera.measure import Pixels

NOISE = 7  # steps of 256 from end to end, about 2 rms
DOT_px = 3.0  # radius at which the dot's light is down to 61 %
_REACH_px = 12
_DAY_s, _BOX_s, _DOT_s = 60.0, 8.0, 20.0


class Scene:
    """One room, drawn anew for every frame."""

    def __init__(self, width_px: int, height_px: int, laser: bool, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._laser = laser
        self._width_px, self._height_px = width_px, height_px
        self._phase = self._random.uniform(0, math.tau)
        drawing = np.random.default_rng(self._random.randrange(1 << 32))
        self._wall = _wall(width_px, height_px, drawing)
        # One sheet of noise, larger than the picture, laid on at another place each time: to make as much anew costs 15 ms.
        self._noise = drawing.integers(0, NOISE, (height_px + 64, width_px + 64, 3), np.uint8)
        self._last: Pixels | None = None

    def chance(self, of: float) -> bool:
        """True in such a fraction of the calls."""
        return of > 0 and self._random.random() < of

    def dot_px(self, at_s: float) -> tuple[float, float]:
        """Where the dot is at that time: x and y of its centre."""
        angle = math.tau * at_s / _DOT_s + self._phase
        return self._width_px * (0.5 + 0.35 * math.cos(angle)), self._height_px * (0.5 + 0.35 * math.sin(2 * angle))

    def drawn(self, at_s: float) -> Pixels:
        """The picture at that time since power-up."""
        frame = self._wall + np.uint8(20 + 20 * math.sin(math.tau * at_s / _DAY_s + self._phase))
        self._draw_box(frame, at_s)
        if self._laser:
            self._draw_dot(frame, at_s)
        self._last = self._noisy(frame)
        return self._last

    def last(self) -> Pixels:
        """The same picture again."""
        return self._last if self._last is not None else self.drawn(0.0)

    def black(self) -> Pixels:
        """No light at all."""
        return np.zeros((self._height_px, self._width_px, 3), np.uint8)

    def _draw_box(self, frame: Pixels, at_s: float) -> None:
        side_px = self._height_px // 5
        room_px = self._width_px - side_px
        left_px = round(room_px * (0.5 + 0.5 * math.sin(math.tau * at_s / _BOX_s + self._phase)))
        top_px = self._height_px // 2
        frame[top_px : top_px + side_px, left_px : left_px + side_px] = (110, 80, 60)

    def _draw_dot(self, frame: Pixels, at_s: float) -> None:
        """Red light is added; it is too much for the sensor in the middle, where the other colours come up as well."""
        x_px, y_px = self.dot_px(at_s)
        left, top = max(0, round(x_px) - _REACH_px), max(0, round(y_px) - _REACH_px)
        part = frame[top : round(y_px) + _REACH_px + 1, left : round(x_px) + _REACH_px + 1]
        down, across = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
        light: NDArray[np.float64] = np.exp(-((across - x_px) ** 2 + (down - y_px) ** 2) / (2 * DOT_px**2))
        np.copyto(part, np.minimum(part + light[..., None] * (60, 60, 600), 255 - NOISE), casting="unsafe")

    def _noisy(self, frame: Pixels) -> Pixels:
        down, across = self._random.randrange(64), self._random.randrange(64)
        frame += self._noise[down : down + self._height_px, across : across + self._width_px]
        return frame


def _wall(width_px: int, height_px: int, drawing: np.random.Generator) -> Pixels:
    """Tiles in a light that falls off to one side; nowhere above 150, so that daylight and noise find room on top."""
    tile_px = max(4, height_px // 24)
    shades = drawing.integers(30, 100, (height_px // tile_px + 1, width_px // tile_px + 1, 1)) + drawing.integers(0, 12, 3)
    tiles = shades.repeat(tile_px, axis=0).repeat(tile_px, axis=1)[:height_px, :width_px]
    wall = (tiles * np.linspace(0.6, 1.2, width_px)[None, :, None]).astype(np.uint8)
    wall[: height_px // 12, : width_px // 12] = (30, 35, 180)  # red, and no laser
    return wall
