"""What a virtual camera sees: a wall with a red sign in changing daylight, a box that moves, people, a laser's dot, and noise."""

from __future__ import annotations

import math
import random

import numpy as np

from workers.camera.picture import Picture, Pixels, Planes
from workers.virtual.cameracanvas import Canvas, Format, Light, canvas, ground, ink, joined, luma_gain
from workers.virtual.camerapeople import Cast, Face, People

NOISE = 7  # steps of 256 from end to end, about 2 rms
DOT_px = 3.0  # radius at which the dot's light is down to 61 %
_REACH_px = 12
_DAY_s, _BOX_s, _DOT_s = 60.0, 8.0, 20.0
_ROOM_px = 64  # by which the sheet of noise is larger than the picture


class Scene:
    """One room, drawn anew for every frame. `switched_s` is the period in which the laser goes on and off, 0 for always on."""

    def __init__(
        self,
        width_px: int,
        height_px: int,
        laser: bool,
        seed: int | None,
        *,
        format: Format = "bgr",
        faces: int = 0,
        stay_s: float = 8.0,
        switched_s: float = 0.0,
        box: bool = True,
    ) -> None:
        self._random = random.Random(seed)
        self._laser, self._box, self._switched_s, self._format = laser, box, switched_s, format
        self._width_px, self._height_px = width_px, height_px
        self._phase = self._random.uniform(0, math.tau)
        drawing = np.random.default_rng(self._random.randrange(1 << 32))
        self._wall = _wall(width_px, height_px, drawing)
        self._ground = ground(format, self._wall)
        self._cast = Cast(format, People(width_px, height_px, faces, stay_s, self._random), drawing) if faces else None
        # One sheet of noise, larger than the picture, laid on at another place each time: to make as much anew costs 15 ms.
        sheet = drawing.integers(0, round(NOISE * luma_gain(format)), (height_px + _ROOM_px, width_px + _ROOM_px, 3), np.uint8)
        self._noise = sheet if format == "bgr" else np.ascontiguousarray(sheet[..., 0])
        self._blue = ink(format, (110, 80, 60))
        self._drawn = 0
        self._last: Picture | None = None

    def chance(self, of: float) -> bool:
        """True in such a fraction of the calls."""
        return of > 0 and self._random.random() < of

    def dot_px(self, at_s: float) -> tuple[float, float]:
        """Where the dot is at that time: x and y of its centre."""
        angle = math.tau * at_s / _DOT_s + self._phase
        return self._width_px * (0.5 + 0.35 * math.cos(angle)), self._height_px * (0.5 + 0.35 * math.sin(2 * angle))

    def lit(self, at_s: float) -> bool:
        """Whether the dot is there at that time."""
        return self._laser and (self._switched_s <= 0 or at_s % self._switched_s < self._switched_s / 2)

    def faces(self, at_s: float) -> list[Face]:
        """Whose face is where at that time, as it is drawn."""
        return self._cast.faces(at_s) if self._cast else []

    def drawn(self, at_s: float) -> Picture:
        """The picture at that time since power-up."""
        frame = canvas(self._ground, 20 + 20 * math.sin(math.tau * at_s / _DAY_s + self._phase))
        if self._box:
            self._draw_box(frame, at_s)
        if self._cast:
            self._cast.draw(frame, at_s)
        if self.lit(at_s):
            self._draw_dot(frame, at_s)
        frame.add(self._fresh_noise())
        self._last = frame.picture()
        return self._last

    def last(self) -> Picture:
        """The same picture again."""
        return self._last if self._last is not None else self.drawn(0.0)

    def black(self) -> Picture:
        """No light at all."""
        dark = np.zeros((self._height_px, self._width_px, 3), np.float32)
        return canvas(ground(self._format, dark), 0).picture()

    def halved(self, picture: Picture) -> Picture:
        """That picture at half the size, as after a change of the camera's mode."""
        layers = picture[:3] if isinstance(picture, Planes) else (picture,)
        return joined([np.ascontiguousarray(layer[::2, ::2]) for layer in layers])

    def _draw_box(self, frame: Canvas, at_s: float) -> None:
        side_px = self._height_px // 5
        room_px = self._width_px - side_px
        left_px = round(room_px * (0.5 + 0.5 * math.sin(math.tau * at_s / _BOX_s + self._phase)))
        top_px = self._height_px // 2
        frame.fill(top_px, left_px, top_px + side_px, left_px + side_px, self._blue)

    def _draw_dot(self, frame: Canvas, at_s: float) -> None:
        """Red light is added; it is too much for the sensor in the middle, where the other colours come up as well."""
        x_px, y_px = self.dot_px(at_s)
        left, top = (round(at_px) - _REACH_px & ~1 for at_px in (x_px, y_px))
        places = np.arange(2 * _REACH_px + 2, dtype=np.float32)
        across, down = (np.exp(-((places - away) ** 2) / np.float32(2 * DOT_px**2)) for away in (x_px - left, y_px - top))
        light: Light = np.multiply.outer(np.multiply.outer(down, across), np.array((60, 60, 600), np.float32))
        frame.shine(light, top, left, 255 - NOISE)

    def _fresh_noise(self) -> Pixels:
        """Another part of the sheet than the last 4096 times: a live picture is never equal to the one before."""
        self._drawn += 1
        down, across = self._drawn * 37 % _ROOM_px, (self._drawn * 23 + self._drawn // _ROOM_px) % _ROOM_px
        return self._noise[down : down + self._height_px, across : across + self._width_px]


def _wall(width_px: int, height_px: int, drawing: np.random.Generator) -> Light:
    """Tiles in a light that falls off to one side; nowhere above 150, so that daylight and noise find room on top."""
    tile_px = max(4, height_px // 24)
    shades = drawing.integers(30, 100, (height_px // tile_px + 1, width_px // tile_px + 1, 1)) + drawing.integers(0, 12, 3)
    tiles = shades.repeat(tile_px, axis=0).repeat(tile_px, axis=1)[:height_px, :width_px]
    wall: Light = (tiles * np.linspace(0.6, 1.2, width_px)[None, :, None]).astype(np.float32)
    wall[: height_px // 12, : width_px // 12] = (30, 35, 180)  # red, and no laser
    return wall
