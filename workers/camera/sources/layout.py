"""How a frame of YUV 4:2:0 lies in memory. Pure: a size and a count of bytes in, views out; numpy only.

rpicam-vid writes its buffers as they are: rows of luma with padding at their ends, then the rows of both colours, each half as long.
How long a padded row is depends on the board's image processor (a multiple of 64 pixels up to Raspberry Pi 4, of 128 on 5), and
stands nowhere in the bytes: it is worked out from how many bytes a frame has.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Planes

ALIGNED_px = (64, 128, 32, 16, 256)  # the rows of the boards there are, then of those there may be
PADDING_px = 256  # no row has more
PAGE_bytes = 4096  # a buffer may end with a piece of a page
PI5 = b"bcm2712"


class Layout(NamedTuple):
    """Of one frame: what is seen is even in both directions, for two pixels each way share their colours."""

    width_px: int
    height_px: int
    stride_px: int  # from one row of luma to the next; half of it for the colours
    frame_bytes: int

    def planes(self, buffer: NDArray[np.uint8]) -> Planes:
        """Views into a buffer of `frame_bytes`. rpicam-vid asks for the colours of a JPEG: ITU-R BT.601, luma from 0 to 255."""
        luma, chroma = self.stride_px * self.height_px, self.stride_px * self.height_px // 4
        rows, columns = self.height_px // 2, self.width_px // 2
        u, v = (buffer[at : at + chroma].reshape(rows, -1)[:, :columns] for at in (luma, luma + chroma))
        return Planes(buffer[:luma].reshape(self.height_px, -1)[:, : self.width_px], u, v, full=True)


def aligned(width_px: int, height_px: int, to_px: int) -> Layout:
    """With rows that are a multiple of `to_px` long."""
    stride_px = -(-width_px // to_px) * to_px
    return Layout(width_px, height_px, stride_px, stride_px * height_px * 3 // 2)


def fitting(width_px: int, height_px: int, frame_bytes: int) -> Layout | None:
    """The layout of frames that have so many bytes; None where there is none."""
    likely = [aligned(width_px, height_px, to_px) for to_px in ALIGNED_px]
    exact = [each for each in likely if each.frame_bytes == frame_bytes]
    near = [each._replace(frame_bytes=frame_bytes) for each in likely if 0 < frame_bytes - each.frame_bytes < PAGE_bytes]
    stride_px, rest = divmod(frame_bytes * 2, height_px * 3)
    if not rest and stride_px % 2 == 0 and width_px <= stride_px <= width_px + PADDING_px:
        exact.append(Layout(width_px, height_px, stride_px, frame_bytes))
    return next(iter(exact + near), None)


def board_aligns_px(compatible: bytes) -> int:
    """What a board's rows are a multiple of, by its /proc/device-tree/compatible."""
    return 128 if PI5 in compatible else 64
