"""Luminosity and sharpness of a picture. Pure: a picture in, numbers out; numpy only.

Luminosity is the mean of the luma, 0 to 255, where luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded to a whole number as
OpenCV rounds it. Sharpness is the variance of the luma's Laplacian (each pixel's four neighbours less four times itself, the picture
mirrored at its edges). It grows with detail and with the sensor's noise, and depends on the size of the picture: figures
compare only between pictures of one camera in one setting.

Of a picture in planes the luma is there already, and is taken as it is. A video's runs from 16 to 235: its figures are brought to the
scale of 0 to 255 at the end, as (luma - 16) × 255 / 219, for that is linear and commutes with sums; no pixel is rounded or cut by it.

A large picture is sampled: whole rows at even distances, each with its two neighbours, at full resolution. That estimates the
same figures, where a smaller picture would have others.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Picture, Pixels, Planes

SAMPLED_px = 1 << 19
SAMPLED_luma_px = 1 << 18  # where the luma is there already: whoever takes planes has no time to lose
DIGEST_rows = 4  # of what is looked at, from one that counts for the digest to the next: noise is in every row
BAND_rows = 64  # worked through at a time: pieces that fit a processor's cache
VIDEO_BLACK, VIDEO_STEPS = 16, 219  # a video's luma (BT.601)
# In units of 1/32768, as OpenCV has them: every sum of these times bytes is a whole number that float32 holds exactly.
_WEIGHTS = np.array([3735, 19235, 9798], np.float32) / 32768


class Look(NamedTuple):
    """What a picture looks like."""

    luminosity: float  # 0 to 255
    contrast: float  # the luma's standard deviation
    sharpness: float
    digest: int  # of the rows that were looked at: equal for equal pictures


def look(picture: Picture, exact: bool = False) -> Look:
    """Measure a picture of any size, in colour, in planes or of luma alone; `exact` looks at every pixel of a large one, too."""
    luma, edges, digest = _Moments(), _Moments(), 0
    pixels = picture.y if isinstance(picture, Planes) else picture
    most = SAMPLED_luma_px if pixels.ndim == 2 else SAMPLED_px
    for above, here, below in _bands(pixels, pixels.size if exact else most):
        luma.add(here)
        edges.add(laplacian(above, here, below))
        digest = zlib.crc32(here[::DIGEST_rows].tobytes(), digest)
    found = Look(luma.mean, luma.variance**0.5, edges.variance, digest)
    return _from_video(found) if isinstance(picture, Planes) and not picture.full else found


def grey(pixels: Pixels) -> Pixels:
    """The luma of these pixels."""
    if pixels.ndim == 2:
        return pixels
    total = np.matmul(pixels.astype(np.float32), _WEIGHTS)  # several times quicker than whole numbers that lie three bytes apart
    total += np.float32(0.5)
    return np.asarray(total, np.uint8)


def _from_video(found: Look) -> Look:
    """On the scale of 0 to 255. Noise goes below black and above white in a video: their mean does not."""
    scale = 255 / VIDEO_STEPS
    luminosity = min(max((found.luminosity - VIDEO_BLACK) * scale, 0.0), 255.0)
    return Look(luminosity, found.contrast * scale, found.sharpness * scale**2, found.digest)


def laplacian(above: Pixels, here: Pixels, below: Pixels) -> NDArray[np.int16]:
    """Of the rows in `here`, given the rows on either side of each."""
    total = np.add(above, below, dtype=np.int16)
    middle = here.astype(np.int16)
    total[:, 1:] += middle[:, :-1]
    total[:, :-1] += middle[:, 1:]
    total[:, 0] += middle[:, min(1, middle.shape[1] - 1)]
    total[:, -1] += middle[:, max(-2, -middle.shape[1])]
    middle <<= 2
    total -= middle
    return total


def _bands(pixels: Pixels, most: int) -> Iterator[tuple[Pixels, Pixels, Pixels]]:
    """Rows of luma to look at, of about so many pixels in all, between the rows above and the rows below them."""
    rows = pixels.shape[0]
    step = _prime(pixels.shape[0] * pixels.shape[1] // most)
    return _sampled(pixels, step) if step > 1 and rows > 2 else _whole(pixels)


def _prime(most: int) -> int:
    """The largest prime up to that, or 1: rows so far apart do not beat with tiles, blinds or a sensor's own pattern."""
    return next((step for step in range(most, 1, -1) if all(step % part for part in range(2, math.isqrt(step) + 1))), 1)


def _sampled(pixels: Pixels, step: int) -> Iterator[tuple[Pixels, Pixels, Pixels]]:
    last = pixels.shape[0] - 2  # neither the first row nor the last one is looked at, which lack a neighbour
    first = 1 + (last - 1) % step // 2
    for top in range(first, last + 1, BAND_rows * step):
        end = min(top + BAND_rows * step, last + 1)
        above, here, below = (grey(pixels[top + by : end + by : step]) for by in (-1, 0, 1))
        yield above, here, below


def _whole(pixels: Pixels) -> Iterator[tuple[Pixels, Pixels, Pixels]]:
    rows = pixels.shape[0]
    for top in range(0, rows, BAND_rows):
        end = top + BAND_rows
        band = grey(pixels[max(0, top - 1) : end + 1])
        if top == 0 or end >= rows:
            band = np.pad(band, ((top == 0, end >= rows), (0, 0)), mode="reflect")
        yield band[:-2], band[1:-1], band[2:]


class _Moments:
    """Sums of whole numbers, so that nothing is rounded before the end."""

    def __init__(self) -> None:
        self._count = self._sum = self._squares = 0

    def add(self, numbers: NDArray[np.int16] | Pixels) -> None:
        """A band of them: BAND_rows × 1020², the most that a column's squares can be, fits 32 bits, which sum up twice as fast as 64."""
        self._count += numbers.size
        self._sum += int(numbers.sum(axis=0, dtype=np.int32).sum(dtype=np.int64))
        self._squares += int(np.square(numbers, dtype=np.int32).sum(axis=0, dtype=np.int32).sum(dtype=np.int64))

    @property
    def mean(self) -> float:
        return self._sum / self._count

    @property
    def variance(self) -> float:
        return (self._squares * self._count - self._sum**2) / self._count**2
