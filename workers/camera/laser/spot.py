"""Tells the dot of a laser from whatever else is red and small: one spot and its surroundings, pixel by pixel. Pure; numpy only."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.laser.blobs import blobs
from workers.camera.laser.window import Window, at_most_red, cut
from workers.camera.picture import Picture, Planes, size

ACROSS_px = 34
MARGIN_px, HALO_px = 10, 3  # around a candidate: the window, and what in it may be the dot's own
BRIGHT, BRIGHT_planes = 225, 220  # of the red at the peak; planes have the red of four pixels, of which the dot may fill less
APART_red, APART_light = 35, 25  # of redness and of light above the ring's
FLAT = 0.93  # mean light over highest; paint under an even light has 1
WHITE = 235  # light like that beside the spot, and not within it, is a lamp or a reflection, of which the spot is the rim
TINY_px2, SMALL_px2 = 9, 60  # too small to be peaked, or to tell light's edge from that of paint
SOFT = 1.12  # growth of a dot's area from half its redness to a quarter
RIM, RIM_px = 1.25, 1.5  # as far as the rim reaches: times the radius of what it encloses, and more
SLIM = 2.5  # width to height, or the other way round

Heights = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Dot(NamedTuple):
    """Its centre, counted from that of the upper left pixel; and its size: all pixels at least half as red as the reddest, and within."""

    x_px: float
    y_px: float
    area_px: float


class Box(NamedTuple):
    """Rows and columns, the last ones included."""

    top: int
    bottom: int
    left: int
    right: int


class Found(NamedTuple):
    """A dot, and how bright it is."""

    dot: Dot
    light: float
    body: Mask  # its pixels, in a window of the picture
    top: int  # of that window
    left: int


class Spot(NamedTuple):
    """A candidate and its surroundings: everything but its own place is above the median of the ring around it."""

    red: Window
    white: Mask
    redness: Heights
    light: Heights
    start: int  # the reddest pixel, as a flat index


def examined(picture: Picture, dark: Picture | None, box: Box) -> Found | None:
    """The dot that the spot in that box is, None where it is none. With `dark` only what differs between the two pictures counts."""
    wide, high = size(picture)
    top, left = max(0, box.top - MARGIN_px), max(0, box.left - MARGIN_px)
    bottom, right = min(high, box.bottom + MARGIN_px + 1), min(wide, box.right + MARGIN_px + 1)
    bright = BRIGHT_planes if isinstance(picture, Planes) else BRIGHT
    if max(at_most_red(one, top, bottom, left, right) for one in (picture, dark) if one is not None) < bright:
        return None
    window = cut(picture, top, bottom, left, right)
    spot = _spot(window, cut(dark, top, bottom, left, right) if dark is not None else None, box, top, left)
    if spot is None:
        return None
    half = float(spot.redness.flat[spot.start]) / 2
    if spot.light.max() < APART_light or (spot.red * (spot.redness >= half)).max() < bright:
        return None
    body = _around(spot.start, spot.redness >= half)
    edges = ((top == 0, body[0]), (left == 0, body[:, 0]), (bottom == high, body[-1]), (right == wide, body[:, -1]))
    if any(at_edge and bool(side.any()) for at_edge, side in edges):  # where the middle of a dot is that is cut off, nobody can tell
        return None
    if spot.red[body].max() < bright or not _round(body) or not _stands_out(spot, body):
        return None
    wide_body = _around(spot.start, spot.redness >= half / 2)
    if not _soft(body, wide_body):
        return None
    x_px, y_px = _centre(_weights(body, spot.redness * wide_body / half))
    return Found(Dot(x_px + left, y_px + top, float(body.sum())), float(spot.light[body].max()), body, top, left)


def _spot(window: Window, dark: Window | None, box: Box, top: int, left: int) -> Spot | None:
    """None where it fills the picture, so that there is nothing around it, or is no redder than that."""
    inside, core = np.zeros(window.shape[:2], bool), np.zeros(window.shape[:2], bool)
    inside[_span(box.top - top, box.bottom - top, HALO_px), _span(box.left - left, box.right - left, HALO_px)] = True
    core[_span(box.top - top, box.bottom - top), _span(box.left - left, box.right - left)] = True
    if inside.all():
        return None
    redness = _redness(window)
    if dark is not None:
        redness -= _redness(dark)
        if abs(int(redness[core].min())) > int(redness[core].max()):  # the other one was taken while the laser was on
            window, dark, redness = dark, window, -redness
    above = _above_the_ring(redness, inside)
    start = int((core * above).argmax())
    if above.flat[start] < APART_red:
        return None
    light = _light(window)
    white = inside & (light >= WHITE)
    if dark is not None:
        light -= _light(dark)
        white &= light >= APART_light
    return Spot(window[..., 2], white, above, _above_the_ring(light, inside), start)


def _redness(window: Window) -> Window:
    return np.subtract(window[..., 2], np.maximum(window[..., 1], window[..., 0]))


def _light(window: Window) -> Window:
    light: Window = window.sum(axis=2, dtype=np.int16) // 3
    return light


def _weights(body: Mask, halves: Heights) -> Heights:
    """What the red rim encloses counts in full, though it may be white, and the rim by its redness, in halves of the highest.

    So neither depends on the pattern of the wall, as the light itself does. Only what is near counts: a red wire may run into the rim.
    """
    x_px, y_px = _centre(np.asarray(body, float))
    rows, columns = np.ogrid[: body.shape[0], : body.shape[1]]
    near = (columns - x_px) ** 2 + (rows - y_px) ** 2 <= (RIM * math.sqrt(body.sum() / math.pi) + RIM_px) ** 2
    return np.where(body, 1.0, near * np.clip(2 * halves - 1, 0, 1))


def _centre(weights: Heights) -> tuple[float, float]:
    """Column and row of the centre of these weights."""
    total = float(weights.sum())
    columns, rows = weights.sum(axis=0), weights.sum(axis=1)
    return float(columns @ np.arange(len(columns))) / total, float(rows @ np.arange(len(rows))) / total


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


def _span(first: int, last: int, more: int = 0) -> slice:
    return slice(max(0, first - more), last + more + 1)


def _above_the_ring(values: Window, inside: Mask) -> Heights:
    """By how much they are above the median of what is not inside; nothing is below it, or outside."""
    ring = values[~inside]
    return np.where(inside, np.maximum(0, values - float(np.partition(ring, len(ring) // 2)[len(ring) // 2])), 0.0)


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
