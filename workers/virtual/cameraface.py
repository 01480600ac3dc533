"""Heads and shoulders of people who do not exist, painted with ellipses and soft spots of light and shade: faces enough for a detector.

Places and sizes are in heights of a face, brow to chin, from its middle: x to the right, y down. The middle of the face is the middle
of the picture's columns, and ABOVE below its top row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.virtual.cameracanvas import Cover, Light

ASIDE, ABOVE, BELOW = 0.8, 0.8, 0.96  # what is painted: to either side of the middle, over it and under it
BODY = 0.78  # half the width of the body at the lower edge
FINER = 2  # it is painted so many times as large, and made smaller: edges come out soft
GLARE = 172  # nothing is brighter, so that daylight and noise find room on top, and nobody has a laser's dot on the nose
EDGE = 0.015  # over which a shape begins

Colour = NDArray[np.float32]
_SKINS = ((140, 165, 205), (120, 148, 195), (98, 128, 180), (78, 106, 160))  # blue, green, red
_HAIRS = ((20, 22, 28), (25, 40, 65), (60, 110, 150), (90, 95, 100), (25, 35, 90))
_LIGHT_FROM = (-0.35, -0.45, 0.82)


class Look(NamedTuple):
    """What makes a person look like nobody else."""

    skin: Colour
    hair: Colour
    shirt: Colour
    wide: float  # half the width of the head
    apart: float  # half the distance of the eyes
    eyes: float  # their height
    long_hair: bool
    turned: bool  # painted as in a mirror

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the face, as a detector frames it: brow to chin, without ears."""
        return -self.wide, -0.42, self.wide, 0.52


class Portrait(NamedTuple):
    """Painted: light with the cover multiplied in."""

    light: Light
    cover: Cover


def look(chance: np.random.Generator) -> Look:
    """Somebody new."""
    return Look(
        skin=_colour(_SKINS[chance.integers(len(_SKINS))]) * np.float32(chance.uniform(0.95, 1.03)),
        hair=_colour(_HAIRS[chance.integers(len(_HAIRS))]),
        shirt=_colour(chance.uniform(40, 130, 3)),
        wide=float(chance.uniform(0.37, 0.40)),
        apart=float(chance.uniform(0.165, 0.185)),
        eyes=float(chance.uniform(-0.06, -0.03)),
        long_hair=bool(chance.random() < 0.5),
        turned=bool(chance.random() < 0.5),
    )


def portrait(person: Look, unit_px: int) -> Portrait:
    """Of a face `unit_px` high."""
    easel = _Easel(unit_px)
    _paint_bust(easel, person)
    _paint_head(easel, person)
    for side in (-1, 1):
        _paint_eye(easel, person, side)
    _paint_nose(easel)
    _paint_mouth(easel, person)
    _paint_hair(easel, person)
    light, cover = _smaller(easel.light), _smaller(easel.cover)
    light *= np.minimum(1, GLARE * cover / np.maximum(light.max(axis=0), 1))  # all colours alike: it keeps its hue
    done = Portrait(np.ascontiguousarray(np.moveaxis(light, 0, -1)), cover)
    return Portrait(done.light[:, ::-1], done.cover[:, ::-1]) if person.turned else done


class _Easel:
    """A painting under way."""

    def __init__(self, unit_px: int) -> None:
        columns, rows = 2 * FINER * round(ASIDE * unit_px), FINER * round((ABOVE + BELOW) * unit_px)
        step = 1 / (unit_px * FINER)
        self.x = ((np.arange(columns, dtype=np.float32) + 0.5 - columns // 2) * step)[None, :]
        self.y = ((np.arange(rows, dtype=np.float32) + 0.5) * step - ABOVE)[:, None]
        self.light = np.zeros((3, rows, columns), np.float32)  # colours first: numpy is quicker along rows than along three colours
        self.cover = np.zeros((rows, columns), np.float32)

    def ellipse(self, x: float, y: float, wide: float, high: float, edge: float = EDGE) -> Cover:
        """1 within, 0 outside."""
        away = np.hypot((self.x - x) / wide, (self.y - y) / high)
        return _edge((1 - away) * min(wide, high), edge)

    def spot(self, x: float, y: float, wide: float, high: float) -> Cover:
        """1 in the middle, and softly less around it."""
        spot: Cover = np.exp(-(((self.x - x) / wide) ** 2)) * np.exp(-(((self.y - y) / high) ** 2))
        return spot

    def lay(self, shape: Cover, colour: Colour, shaded: Cover | None = None) -> None:
        """Paint over what is there, or on nothing."""
        self.light *= 1 - shape
        self.light += (shape if shaded is None else shape * shaded) * colour[:, None, None]
        self.cover += shape * (1 - self.cover)

    def shade(self, shape: Cover, by: float) -> None:
        """Take a fraction of the light; less than none adds to it."""
        self.light *= 1 - shape * np.float32(by)


def _paint_bust(easel: _Easel, person: Look) -> None:
    if person.long_hair:
        easel.lay(easel.ellipse(0, -0.02, person.wide + 0.12, 0.68) * _edge(0.45 - easel.y), person.hair * 0.8)
    easel.lay(easel.ellipse(0, 1.12, 0.85, 0.42), person.shirt)
    neck = _edge(0.2 - abs(easel.x)) * _edge(easel.y - 0.2) * _edge(0.78 - easel.y, 0.05)
    easel.lay(neck, person.skin * 0.8)
    easel.shade(easel.spot(0, 0.5, 0.4, 0.18) * neck, 0.45)  # the head is between it and the light


def _paint_head(easel: _Easel, person: Look) -> None:
    for side in (-1, 1):
        easel.lay(easel.ellipse(side * (person.wide + 0.01), 0.02, 0.06, 0.12), person.skin * 0.8)
    easel.lay(easel.ellipse(0, -0.2, person.wide + 0.05, 0.48), person.hair)
    across, down = easel.x / person.wide, easel.y / 0.52
    outwards = np.sqrt(np.maximum(0, 1 - across**2 - down**2))  # of an egg's surface towards the light
    lit: Cover = np.clip(across * _LIGHT_FROM[0] + down * _LIGHT_FROM[1] + outwards * _LIGHT_FROM[2], 0, 1)
    shaded: Cover = np.float32(0.65) + np.float32(0.4) * lit
    easel.lay(easel.ellipse(0, 0, person.wide, 0.52), person.skin, shaded)


def _paint_eye(easel: _Easel, person: Look, side: int) -> None:
    x, y = side * person.apart, person.eyes
    easel.shade(easel.spot(x, y - 0.02, 0.12, 0.09), 0.5)  # the socket
    easel.shade(easel.spot(side * 0.2, 0.16, 0.11, 0.09), -0.08)  # the cheek
    easel.lay(easel.ellipse(x, y, 0.066, 0.036, 0.01), _colour((205, 205, 205)))
    easel.lay(easel.ellipse(x, y, 0.042, 0.04, 0.01), _colour((35, 45, 60)))
    easel.lay(easel.ellipse(x, y, 0.017, 0.017, 0.008), _colour((8, 8, 8)))
    easel.lay(easel.ellipse(x - 0.012, y - 0.012, 0.008, 0.008, 0.006), _colour((220, 220, 220)))  # the light in it
    easel.shade(easel.ellipse(x, y - 0.036, 0.085, 0.015, 0.012), 0.8)  # the lashes
    bent = y - 0.105 + (abs(easel.x) - person.apart) ** 2
    easel.lay(_edge(0.024 - abs(easel.y - bent)) * _edge(0.10 - abs(easel.x - x * 1.03), 0.04) * np.float32(0.9), person.hair * 0.6)


def _paint_nose(easel: _Easel) -> None:
    easel.shade(easel.spot(0, 0.05, 0.03, 0.13), -0.17)
    easel.shade(easel.spot(0, 0.15, 0.045, 0.035), -0.17)
    for side in (-1, 1):
        easel.shade(easel.spot(side * 0.07, 0.09, 0.03, 0.1), 0.16)
        easel.shade(easel.spot(side * 0.04, 0.19, 0.022, 0.014), 0.55)
    easel.shade(easel.spot(0, 0.205, 0.09, 0.03), 0.5)


def _paint_mouth(easel: _Easel, person: Look) -> None:
    easel.lay(easel.ellipse(0, 0.30, 0.15, 0.05) * np.float32(0.85), person.skin * _colour((0.58, 0.5, 0.8)))
    easel.shade(easel.ellipse(0, 0.296, 0.145, 0.013, 0.012), 0.65)
    easel.shade(easel.spot(0, 0.33, 0.06, 0.012), -0.12)
    easel.shade(easel.spot(0, 0.38, 0.09, 0.025), 0.3)


def _paint_hair(easel: _Easel, person: Look) -> None:
    over = easel.ellipse(0, -0.08, person.wide + 0.045, 0.56) * _edge(-0.35 + 1.1 * easel.x**2 - easel.y, 0.02)
    easel.lay(over, person.hair)
    easel.shade(easel.spot(-0.12, -0.47, 0.2, 0.06) * over, -0.5)


def _edge(inwards: NDArray[np.float32], over: float = EDGE) -> Cover:
    """0 where `inwards` is below 0, 1 where it is above, and in between over a width."""
    edge: Cover = np.clip(inwards / np.float32(over) + np.float32(0.5), 0, 1)
    return edge


def _colour(values: ArrayLike) -> Colour:
    return np.asarray(values, np.float32)


def _smaller(painting: NDArray[np.float32]) -> Light:
    """The mean of each FINER by FINER."""
    parts = [painting[..., down::FINER, across::FINER] for down in range(FINER) for across in range(FINER)]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total /= np.float32(FINER**2)
    return total
