"""Makes faces unknowable: each block of pixels becomes its mean, and what was inside it is gone. Pure: pixels in, pixels out; numpy only.

A blur can be undone, as far as the noise lets it; the mean of n pixels says nothing of the n - 1 other numbers. So the size of the
blocks decides what is left. An eighth of a face is the rule of thumb; but in such blocks the detector still finds a face, once the picture
is made smaller (measured: with a score of 0.77 at half the size), and in a quarter of a face it finds none that is worth the name
(0.48). No block is smaller than 8 px. What no pixelation hides from is somebody who has the very same photograph, and compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Pixels

Box = tuple[float, float, float, float]  # left, top, width and height, in pixels

BLOCKS = 4  # at most so many across a face
LEAST_px = 8
MARGIN = 0.3  # of the box, on each side: hair, ears and chin are outside what the detector calls a face
BLOCKS_of_all = 8  # across the shorter side of a picture in which faces cannot be looked for: a face half as high has 4 again


def pixelated(pixels: Pixels, boxes: Iterable[Box]) -> Pixels:
    """A copy of a picture (blue, green, red, or luma alone) in which these boxes, and some more around each, are blocks."""
    done = pixels.copy()
    for left, top, width, height in boxes:
        rows, columns = _reach(top, height), _reach(left, width)
        block_px = max(LEAST_px, math.ceil(max(width, height) / BLOCKS))
        done[rows, columns] = _blocks(done[rows, columns], block_px)
    return done


def coarse(pixels: Pixels) -> Pixels:
    """All of a picture as blocks: where faces cannot be looked for, any of it may be one, and a large one."""
    return _blocks(pixels, max(LEAST_px, math.ceil(min(pixels.shape[:2]) / BLOCKS_of_all)))


def _reach(start: float, length: float) -> slice:
    """From where to where, with the margin; beyond the picture there is nothing."""
    first = math.floor(start - MARGIN * length)
    last = math.ceil(start + (1 + MARGIN) * length)
    return slice(max(0, first), max(0, last))


def _blocks(pixels: Pixels, block_px: int) -> Pixels:
    """The mean of each block, which is at least that large: a narrow one left over at the edge would show what is in it."""
    if not pixels.size:
        return pixels
    down, across = (_edges(length, block_px) for length in pixels.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(pixels, down[:-1], axis=0, dtype=np.uint64), across[:-1], axis=1)
    areas = np.outer(np.diff(down), np.diff(across)).reshape(sums.shape[:2] + (1,) * (pixels.ndim - 2))
    means = ((sums + areas.astype(np.uint64) // 2) // areas.astype(np.uint64)).astype(np.uint8)
    return means.repeat(np.diff(down), axis=0).repeat(np.diff(across), axis=1)


def _edges(length: int, block_px: int) -> NDArray[np.intp]:
    """Where blocks begin, and the end: as many as fit, all about equally long."""
    return np.linspace(0, length, max(1, length // block_px) + 1).astype(np.intp)
