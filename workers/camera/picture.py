"""What a camera's picture is: rows of blue, green and red, rows of luma alone, or the three planes of YUV 4:2:0.

Planes stay planes for as long as nobody needs colours: the luma is there already, and the conversion of 12 megapixels costs 15 ms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # rows × columns × (blue, green, red), or rows × columns of luma


class Planes(NamedTuple):
    """YUV 4:2:0 after ITU-R BT.601, as views into the buffer that it came in, padding left out; never written to."""

    y: Pixels  # rows × columns
    u: Pixels  # blue less luma, 128 for none; half the rows and half the columns, rounded up
    v: Pixels  # red less luma, as u
    full: bool = False  # luma from 0 to 255, as in a JPEG; else from 16 to 235 and colours from 16 to 240, as in video


Picture = Pixels | Planes


class Size(NamedTuple):
    """Of a picture, in pixels."""

    width_px: int
    height_px: int


def size(picture: Picture) -> Size:
    """Of any picture."""
    height_px, width_px = (picture.y if isinstance(picture, Planes) else picture).shape[:2]
    return Size(int(width_px), int(height_px))
