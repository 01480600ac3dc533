"""A picture as a run of bytes: its size and format say where each plane begins, and there is nothing between them."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

import numpy as np

from workers.camera.picture import Picture, Pixels, Planes, size


class Format(enum.StrEnum):
    """What the bytes are."""

    BGR = "bgr"
    LUMA = "luma"
    VIDEO = "yuv420"  # luma from 16 to 235
    JPEG = "yuv420full"  # luma from 0 to 255


class Packing(NamedTuple):
    """Of one picture, and of every other of the same size and format."""

    width_px: int
    height_px: int
    format: Format

    @property
    def bytes(self) -> int:
        """Of the whole picture."""
        return sum(map(math.prod, self._shapes()))

    def picture(self, data: Pixels) -> Picture:
        """What lies in so many bytes, as views into them."""
        planes: list[Pixels] = []
        at = 0
        for shape in self._shapes():
            planes.append(data[at : at + math.prod(shape)].reshape(shape))
            at += math.prod(shape)
        if len(planes) == 1:
            return planes[0]
        y, u, v = planes
        return Planes(y, u, v, full=self.format is Format.JPEG)

    def _shapes(self) -> list[tuple[int, ...]]:
        width, height = self.width_px, self.height_px
        if self.format is Format.BGR:
            return [(height, width, 3)]
        if self.format is Format.LUMA:
            return [(height, width)]
        half = ((height + 1) // 2, (width + 1) // 2)
        return [(height, width), half, half]


def packing(picture: Picture) -> Packing:
    """Of that picture."""
    if isinstance(picture, Planes):
        return Packing(*size(picture), Format.JPEG if picture.full else Format.VIDEO)
    return Packing(*size(picture), Format.BGR if picture.ndim == 3 else Format.LUMA)


def packed(picture: Picture) -> list[memoryview]:
    """Its planes, to be written one behind the other: rows that had padding between them are copied."""
    planes = [picture.y, picture.u, picture.v] if isinstance(picture, Planes) else [picture]
    return [np.ascontiguousarray(plane).data for plane in planes]
