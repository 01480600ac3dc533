"""Where in a picture the dot of a laser may be: small spots that are red enough. Pure; numpy only.

Of a large picture in colours some rows and columns are looked at, of one in planes the plane of red less luma, which has a quarter of
the pixels. What is found is a place to look closer at, with every pixel, and by far not a dot yet.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.laser.blobs import Boxes, blobs_in_rows
from workers.camera.laser.spot import BRIGHT, ACROSS_px, Box
from workers.camera.masks import Masks
from workers.camera.picture import Picture, Pixels, Planes, size

SAMPLED_px = 1 << 20  # pictures larger than this are searched in some of the rows and columns; any dot of 3 px shows there, too
ROWS, COLUMNS = 3, 2  # from one to the next; the rows are what costs, for skipping columns saves no memory from being read
LEVELS = 40, 80  # redness from which on a pixel may belong to a dot; the second one is for dots that hang on something else red
LEVELS_colour = 20, 48  # the same, in the plane of red less luma
PEAK = 1.3  # times the level: noise makes spots that hardly reach above it, by the hundred
LEAST, LEAST_sampled = 150, 80  # of red; where not all pixels are seen, the nearest to the middle may be 2 px away
NO_COLOUR = 128  # in that plane
AROUND_px, APART = 6, 0.6  # how far from a spot its surroundings are looked at; of the level, by which it is to be redder
BESIDE_px = 4  # of an overexposed dot half the rim may show, and not the other half
BAND_rows = 96  # worked through at a time: pieces that fit a processor's cache
CANDIDATES = 24

Mask = NDArray[np.bool_]


class Heat(NamedTuple):
    """How red it is, in some of the rows and columns of a part of a picture."""

    redness: Pixels
    none: int  # the redness of what has no colour
    levels: tuple[int, int]  # of redness above that
    red: Pixels
    least: int  # of red in what is hot
    peak: int  # of red at the highest point of a dot, as it shows here
    rows: int  # from one of these rows to the next, in the picture
    columns: int
    beside_px: int  # around what shows here a dot may have more

    def hot(self, level: int, highest: Pixels) -> tuple[NDArray[np.intp], Mask]:
        """The rows in which something may belong to a dot, and what; `highest` is the highest redness of each row."""
        rows = np.flatnonzero(highest >= self.none + level)
        mask = self.redness[rows] >= self.none + level
        return rows, mask & (self.red[rows] >= self.least) if self.least else mask


def candidates(picture: Picture, dark: Picture | None, part: Box, masks: Masks | None) -> list[Box]:
    """At most CANDIDATES places in that part, the reddest ones first; with `dark` only what differs between the two pictures."""
    heat = _heat(picture, part)
    if dark is not None:
        heat = _changed(heat, _heat(dark, part))
    hidden = masks.over(size(picture))[part.top :: heat.rows, part.left :: heat.columns] if masks else None
    highest = heat.redness.max(axis=1, initial=0)
    low, merged = _spots(heat, heat.levels[0], highest, hidden)
    high = _spots(heat, heat.levels[1], highest, hidden)[0] if merged else []
    spots = low + [one for one in high if not any(_within(one.box, other.box) for other in low)]
    spots.sort(key=lambda one: -one.redness)
    return [_unsampled(one.box, heat, part) for one in spots[:CANDIDATES]]


class Hotspot(NamedTuple):
    """A small spot, in the rows and columns that are looked at."""

    box: Box
    redness: int


def _spots(heat: Heat, level: int, highest: Pixels, hidden: Mask | None) -> tuple[list[Hotspot], bool]:
    """The reddest CANDIDATES of the small ones; and whether there are large ones, in which a dot may have been lost."""
    spots = blobs_in_rows(*heat.hot(level, highest), len(heat.redness))
    if not spots.count:
        return [], False
    top, bottom, left, right = spots.boxes()
    small = np.maximum((bottom - top + 1) * heat.rows, (right - left + 1) * heat.columns) <= ACROSS_px
    redness = spots.highest(heat.redness)
    chosen = np.flatnonzero(small & (redness >= heat.none + PEAK * level) & (spots.highest(heat.red) >= heat.peak))
    chosen = chosen[_apart(heat, Boxes(*(side[chosen] for side in (top, bottom, left, right))), redness[chosen])]
    if hidden is not None:
        chosen = chosen[~hidden[(top + bottom)[chosen] // 2, (left + right)[chosen] // 2]]
    chosen = chosen[np.argsort(-redness[chosen], kind="stable")[:CANDIDATES]]
    found = [Hotspot(Box(int(top[i]), int(bottom[i]), int(left[i]), int(right[i])), int(redness[i])) for i in chosen]
    return found, not small.all()


def _apart(heat: Heat, boxes: Boxes, redness: NDArray[np.intp]) -> Mask:
    """Which ones are redder than at least half of eight places around them; the others are the noise on a red surface, or its rim."""
    down, across = -(-AROUND_px // heat.rows), -(-AROUND_px // heat.columns)
    rows = np.stack((boxes.top - down, (boxes.top + boxes.bottom) // 2, boxes.bottom + down))[[0, 0, 0, 1, 1, 2, 2, 2]]
    columns = np.stack((boxes.left - across, (boxes.left + boxes.right) // 2, boxes.right + across))[[0, 1, 2, 0, 2, 0, 1, 2]]
    height, width = heat.redness.shape
    around = np.maximum(heat.redness[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)].astype(np.intp), heat.none)
    return np.asarray((redness - around >= APART * heat.levels[0]).sum(axis=0) >= 4, bool)


def _within(one: Box, other: Box) -> bool:
    return other.top <= one.top and one.bottom <= other.bottom and other.left <= one.left and one.right <= other.right


def _unsampled(box: Box, heat: Heat, part: Box) -> Box:
    """The pixels of the picture which that is seen in, and those around it."""
    more = heat.beside_px
    top, left = part.top + box.top * heat.rows - more, part.left + box.left * heat.columns - more
    bottom, right = part.top + (box.bottom + 1) * heat.rows - 1 + more, part.left + (box.right + 1) * heat.columns - 1 + more
    return Box(max(part.top, top), min(part.bottom - 1, bottom), max(part.left, left), min(part.right - 1, right))


def _heat(picture: Picture, part: Box) -> Heat:
    if isinstance(picture, Planes):
        redness = picture.v[part.top // 2 : (part.bottom + 1) // 2, part.left // 2 : (part.right + 1) // 2]
        return Heat(redness, NO_COLOUR, LEVELS_colour, redness, 0, 0, 2, 2, 1)
    if (part.bottom - part.top) * (part.right - part.left) <= SAMPLED_px:
        redness, red = _colours(picture[part.top : part.bottom, part.left : part.right])
        return Heat(redness, 0, LEVELS, red, LEAST, BRIGHT, 1, 1, 0)
    redness, red = _colours(picture[part.top : part.bottom : ROWS, part.left : part.right : COLUMNS])
    return Heat(redness, 0, LEVELS, red, LEAST_sampled, LEAST_sampled, ROWS, COLUMNS, BESIDE_px)


def _colours(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """By how much red is above green and blue, and red."""
    redness, red = np.empty(pixels.shape[:2], np.uint8), np.empty(pixels.shape[:2], np.uint8)
    for top in range(0, len(pixels), BAND_rows):
        band = slice(top, top + BAND_rows)
        blue, green, red[band] = (np.ascontiguousarray(pixels[band, :, colour]) for colour in range(3))  # numpy is quicker on such
        others = np.maximum(green, blue, out=green)
        np.subtract(np.maximum(red[band], others), others, out=redness[band])
    return redness, red


def _changed(one: Heat, other: Heat) -> Heat:
    """By how much they differ."""
    redness = np.maximum(one.redness, other.redness) - np.minimum(one.redness, other.redness)
    return one._replace(redness=redness, none=0, red=np.maximum(one.red, other.red))
