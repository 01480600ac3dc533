"""What rpicam-vid writes with --codec yuv420: bare planes, one frame after the other, with nothing between them to go by."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgegw.errors import DeviceError
from workers.camera.sources.layout import Layout, aligned, board_aligns_px, fitting
from workers.camera.sources.mjpeg import Cut

if TYPE_CHECKING:
    from workers.camera.picture import Planes, Size

COMPATIBLE = Path("/proc/device-tree/compatible")
SCRATCH_bytes = 1 << 20
UNNOTED, NOTED = 3, 24  # frames that are measured in vain, without a note and with some, before the board has to tell


class PipedPlanes:
    """How long a frame is, the first two tell, which are let go: when note n has come, and nothing more does, n of them have.

    Notes may come late, from a program that does not flush them. Then there is no telling, and a frame is what it is by the board.
    """

    def __init__(self, size: Callable[[], Size]) -> None:
        """`size` is asked when a frame has been measured."""
        self._size = size
        self._layout: Layout | None = None
        self._measured = self._noted = self._likely = 0  # bytes so far; with how many notes; and what was a frame by them
        self._filling = np.empty(SCRATCH_bytes, np.uint8)
        self._whole = self._filling[:0]
        self._kept = False  # somebody may hold the whole one
        self._torn = False  # the beginning of the one that is being filled was let go
        self._punctual = False  # notes come right behind their frames
        self._have = 0
        self.number = 0

    def read(self, file: int) -> int:
        """Never beyond the end of a frame, once that is known."""
        got = os.readv(file, [self._filling[self._have :].data])
        if self._layout:
            self._have += got
        else:
            self._measured += got
        return got

    def cut(self, notes: int, drained: bool) -> Cut | None:
        """Raises DeviceError where frames differ in length: all that follows would be shifted."""
        if self._layout is None:
            self._measure(notes, drained)
            return None
        if self._have == self._layout.frame_bytes:
            return self._pass_on()
        if drained and (notes > self.number or (self._punctual and self.number > notes + 1)):
            raise DeviceError("bytes are missing or too many in what rpicam-vid gives, and nothing says where: it is started anew")
        return None

    def picture(self) -> Planes | None:
        """Views: nothing is copied, and nothing is written there again."""
        assert self._layout is not None
        self._kept = True
        return self._layout.planes(self._whole)

    def _measure(self, notes: int, drained: bool) -> None:
        """Twice the same, for a frame that has begun to come would be taken for a piece of the one before."""
        if drained and notes > self._noted:
            frame_bytes, rest = divmod(self._measured, notes)
            if not rest and frame_bytes == self._likely:
                self._punctual = True
                self._begin(self._fitting(frame_bytes))
            elif not rest:
                self._likely = frame_bytes
            self._noted = notes
            return
        layout = aligned(*self._size(), board_aligns_px(COMPATIBLE.read_bytes() if COMPATIBLE.exists() else b""))
        if self._measured > layout.frame_bytes * (NOTED if notes else UNNOTED):
            self._begin(layout)

    def _fitting(self, frame_bytes: int) -> Layout:
        width_px, height_px = self._size()
        layout = fitting(width_px, height_px, frame_bytes)
        if layout is None:
            raise DeviceError(
                f"rpicam-vid gives frames of {frame_bytes} bytes, which are no {width_px}x{height_px} pixels: "
                "set width_px and height_px to a size that the camera has"
            )
        return layout

    def _begin(self, layout: Layout) -> None:
        self._layout = layout
        self.number, self._have = divmod(self._measured, layout.frame_bytes)
        self._torn = self._have > 0
        self._filling = np.empty(layout.frame_bytes, np.uint8)

    def _pass_on(self) -> Cut | None:
        """The frame that is full, unless it is torn; the next is written where nobody looks any more."""
        self.number, self._have = self.number + 1, 0
        if self._torn:
            self._torn = False
            return None
        spare = np.empty_like(self._filling) if self._kept or not self._whole.size else self._whole
        self._whole, self._filling, self._kept = self._filling, spare, False
        return Cut.WHOLE
