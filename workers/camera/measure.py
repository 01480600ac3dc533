"""Luminosity and sharpness of a picture. Pure: pixels in, numbers out; numpy only.

Luminosity is the mean of the luma, 0 to 255, where luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to a whole number as
OpenCV rounds it. Sharpness is the variance of the luma's Laplacian (each pixel's four neighbours less four times itself, the picture
mirrored at its edges). It grows with detail and with the sensor's noise, and depends on the size of the picture: figures
compare only between pictures of one camera in one setting.

A large picture is sampled: whole rows at even distances, each with its two neighbours, at full resolution. That estimates the
same figures, where a smaller picture would have others.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # rows × columns × (blue, green, red), or rows × columns of luma
SAMPLED_px = 1 << 19
BAND_rows = 128  # of a whole picture, worked through in pieces that fit a processor's cache
_BLUE, _GREEN, _RED, _HALF, _BITS = 3735, 19235, 9798, 1 << 14, 15  # the weights in units of 1/32768


class Look(NamedTuple):
    """What a picture looks like."""

    luminosity: float  # 0 to 255
    contrast: float  # the luma's standard deviation
    sharpness: float
    digest: int  # of the rows that were looked at: equal for equal pictures


def look(pixels: Pixels, exact: bool = False) -> Look:
    """Measure a picture of any size; `exact` looks at every pixel of a large one, too."""
    luma, edges, digest = _Moments(), _Moments(), 0
    for above, here, below in _bands(pixels, exact):
        luma.add(here)
        edges.add(laplacian(above, here, below))
        digest = zlib.crc32(here.tobytes(), digest)
    return Look(luma.mean, luma.variance**0.5, edges.variance, digest)


def grey(pixels: Pixels) -> Pixels:
    """The luma of these pixels."""
    if pixels.ndim == 2:
        return pixels
    total = pixels[..., 0] * np.int32(_BLUE)
    total += pixels[..., 1] * np.int32(_GREEN)
    total += pixels[..., 2] * np.int32(_RED)
    total += _HALF
    total >>= _BITS
    return total.astype(np.uint8)


def laplacian(above: Pixels, here: Pixels, below: Pixels) -> NDArray[np.int16]:
    """Of the rows in `here`, given the rows on either side of each."""
    wide = np.pad(here, ((0, 0), (1, 1)), mode="reflect")
    total = np.add(above, below, dtype=np.int16)
    total += wide[:, :-2]
    total += wide[:, 2:]
    total -= np.left_shift(here, 2, dtype=np.int16)
    return total


def _bands(pixels: Pixels, exact: bool) -> Iterator[tuple[Pixels, Pixels, Pixels]]:
    """Rows of luma to look at, between the rows above and the rows below them."""
    rows = pixels.shape[0]
    step = 1 if exact else pixels.shape[0] * pixels.shape[1] // SAMPLED_px
    if step > 1 and rows > 2:
        first = 1 + (rows - 3) % step // 2  # neither the first row nor the last one is looked at, which lack a neighbour
        last = first + (rows - 2 - first) // step * step
        above, here, below = (grey(pixels[first + by : last + by + 1 : step]) for by in (-1, 0, 1))
        yield above, here, below
        return
    for top in range(0, rows, BAND_rows):
        end = top + BAND_rows
        plane = np.pad(grey(pixels[max(0, top - 1) : end + 1]), ((top == 0, end >= rows), (0, 0)), mode="reflect")
        yield plane[:-2], plane[1:-1], plane[2:]


class _Moments:
    """Sums of whole numbers, so that nothing is rounded before the end."""

    def __init__(self) -> None:
        self._count = self._sum = self._squares = 0

    def add(self, numbers: NDArray[np.int16] | Pixels) -> None:
        self._count += numbers.size
        self._sum += int(numbers.sum(dtype=np.int64))
        self._squares += int(np.square(numbers, dtype=np.int32).sum(dtype=np.int64))

    @property
    def mean(self) -> float:
        return self._sum / self._count

    @property
    def variance(self) -> float:
        return (self._squares * self._count - self._sum**2) / self._count**2
