"""Finds the dot of a red laser in a picture. Pure: pixels in, a dot or None out; numpy only.

Redness alone would find every red cap in the picture. A laser's dot is light, not paint, and is told by all of these together:

    red       more red than green and blue, at the rim at least: the middle overexposes the sensor and comes out white
    bright    near the end of the sensor's scale in red
    small     up to about 30 px across, and about as wide as it is high
    peaked    brighter towards its middle, where a patch of paint is flat
    apart     all of this much more than in the ring around it: the rim of a white glare on a red surface is no redder than the surface

So a dot on a surface that is bright red itself is not found, nor one on a wall that is nearly as bright as the sensor can tell, nor one
in a picture without colour. And a red light as small as a dot, such as an LED, is one: nothing in a single picture tells the two apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.blobs import blobs
from workers.camera.measure import Pixels

HALVED_px = 1 << 20  # pictures larger than this are searched in every second row and column; any dot of 3 px shows there, too
HOT, HOT_RED = 40, 150  # redness and red, from which on a pixel may belong to a dot
ACROSS_px = 34
CANDIDATES = 24
MARGIN_px, HALO_px = 10, 3  # around a candidate: the window, and what in it may be the dot's own
BRIGHT = 225  # of the red at the peak
APART_red, APART_light = 35, 25  # of redness and of light above the ring's
FLAT = 0.93  # mean light over highest; paint under an even light has 1
WHITE = 235  # light like that beside the spot, and not within it, is a lamp or a reflection, of which the spot is the rim
TINY_px2, SMALL_px2 = 9, 60  # too small to be peaked, or to tell light's edge from that of paint
SOFT = 1.12  # growth of a dot's area from half its redness to a quarter
SLIM = 2.5  # width to height, or the other way round

Window = NDArray[np.int16]
Heights = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Dot(NamedTuple):
    """Its centre, counted from that of the upper left pixel; and its size: all pixels at least half as red as the reddest, and within."""

    x_px: float
    y_px: float
    area_px: float


def find(pixels: Pixels) -> Dot | None:
    """The brightest dot there is, or None. A picture of luma alone has none."""
    if pixels.ndim == 2:
        return None
    step = 2 if pixels.shape[0] * pixels.shape[1] > HALVED_px else 1
    found = [dot for box in _candidates(pixels[::step, ::step], step) if (dot := _examined(pixels, box))]
    return max(found, key=lambda one: one[0])[1] if found else None


class Box(NamedTuple):
    """Rows and columns, the last ones included."""

    top: int
    bottom: int
    left: int
    right: int


def _candidates(pixels: Pixels, step: int) -> list[Box]:
    """Small spots of hot pixels, the reddest ones first."""
    blue, green, red = (np.ascontiguousarray(pixels[..., colour]) for colour in range(3))  # numpy is three times quicker on such
    others = np.maximum(green, blue)
    redness = np.maximum(red, others) - others
    hot = (redness >= HOT) & (red >= HOT_RED)
    spots = blobs(hot)
    if not spots.count:
        return []
    across = np.maximum(spots.bottom - spots.top, spots.right - spots.left) + 1
    small = np.flatnonzero((across * step <= ACROSS_px) & (spots.highest(red) >= BRIGHT))
    chosen = small[np.argsort(-spots.highest(redness)[small], kind="stable")[:CANDIDATES]]
    return [Box(*(int(side[i]) * step for side in (spots.top, spots.bottom, spots.left, spots.right))) for i in chosen]


class Spot(NamedTuple):
    """A candidate and its surroundings: everything but its own place is above the median of the ring around it."""

    top: int  # of the window, in the picture
    left: int
    red: Window
    white: Mask
    redness: Heights
    light: Heights
    start: int  # the reddest pixel, as a flat index


def _examined(pixels: Pixels, box: Box) -> tuple[float, Dot] | None:
    """How bright the spot is, and the dot that it is; None where it is none."""
    spot = _spot(pixels, box)
    if spot is None:
        return None
    half = float(spot.redness.flat[spot.start]) / 2
    body = _around(spot.start, spot.redness >= half)
    if half * 2 < APART_red or spot.red[body].max() < BRIGHT or _cut(body, spot, pixels.shape):
        return None
    wide = _around(spot.start, spot.redness >= half / 2)
    if not (_stands_out(spot, body) and _round(body) and _soft(body, wide)):
        return None
    x_px, y_px = _centre(np.where(body, half, np.where(wide, np.minimum(spot.redness, half), 0)))
    return float(spot.light[body].max()), Dot(x_px + spot.left, y_px + spot.top, float(body.sum()))


def _spot(pixels: Pixels, box: Box) -> Spot | None:
    """None where it fills the picture, so that there is nothing around it."""
    top, left = max(0, box.top - MARGIN_px), max(0, box.left - MARGIN_px)
    window: Window = pixels[top : box.bottom + MARGIN_px + 1, left : box.right + MARGIN_px + 1].astype(np.int16)
    red = window[..., 2]
    inside, core = np.zeros(red.shape, bool), np.zeros(red.shape, bool)
    inside[_span(box.top - top, box.bottom - top, HALO_px), _span(box.left - left, box.right - left, HALO_px)] = True
    core[_span(box.top - top, box.bottom - top), _span(box.left - left, box.right - left)] = True
    if inside.all():
        return None
    redness = _above_the_ring(red - np.maximum(window[..., 1], window[..., 0]), inside)
    light = window.sum(axis=2, dtype=np.int16) // 3
    white = inside & (light >= WHITE)
    return Spot(top, left, red, white, redness, _above_the_ring(light, inside), int((core * redness).argmax()))


def _centre(weights: Heights) -> tuple[float, float]:
    """Column and row of the centre of these weights.

    What the red rim encloses counts in full there, though it may be white, and the rim by its redness: neither depends on
    the pattern of the wall, as the light itself does.
    """
    rows, columns = np.indices(weights.shape)
    total = float(weights.sum())
    return float((columns * weights).sum()) / total, float((rows * weights).sum()) / total


def _stands_out(spot: Spot, body: Mask) -> bool:
    """Brighter than the ring by much, brightest in a place of its own, and nobody else's rim; a spot of few pixels is all peak."""
    light = spot.light[body]
    peaked = light.mean() <= FLAT * light.max() or len(light) <= TINY_px2
    return bool(light.max() >= APART_light and peaked and not (spot.white & ~body).any())


def _round(body: Mask) -> bool:
    """About as wide as it is high, and not too large."""
    down, across = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    less, more = sorted((int(down[-1] - down[0]) + 1, int(across[-1] - across[0]) + 1))
    return more <= ACROSS_px and more <= SLIM * less + 1


def _soft(body: Mask, wide: Mask) -> bool:
    """Light falls off, paint ends: at half the redness of its edge a dot is larger. With a small one the lens blurs that away."""
    return bool(body.sum() <= SMALL_px2 or wide.sum() >= SOFT * body.sum())


def _cut(body: Mask, spot: Spot, shape: tuple[int, ...]) -> bool:
    """Whether it reaches the picture's edge: where its middle is, nobody can tell."""
    bottom, right = spot.top + body.shape[0], spot.left + body.shape[1]
    edges = ((spot.top == 0, body[0]), (spot.left == 0, body[:, 0]), (bottom == shape[0], body[-1]), (right == shape[1], body[:, -1]))
    return any(at_edge and bool(side.any()) for at_edge, side in edges)


def _span(first: int, last: int, more: int = 0) -> slice:
    return slice(max(0, first - more), last + more + 1)


def _above_the_ring(values: Window, inside: Mask) -> Heights:
    """By how much they are above the median of what is not inside; nothing is below it, or outside."""
    return np.where(inside, np.maximum(0, values - np.median(values[~inside])), 0.0)


def _around(start: int, mask: Mask) -> Mask:
    """The spot of the mask that has the pixel of that flat index, with what it encloses."""
    spots = blobs(mask)
    spot = spots.mask(spots.label_at(start))
    return _between(spot, 0) & _between(spot, 1)


def _between(spot: Mask, axis: int) -> Mask:
    """From its first pixel to its last one, along that axis."""
    begun = np.logical_or.accumulate(spot, axis=axis)
    going_on = np.flip(np.logical_or.accumulate(np.flip(spot, axis), axis=axis), axis)
    return begun & going_on
