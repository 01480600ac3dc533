"""What rpicam-vid writes with --codec mjpeg: one JPEG after the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from workers.camera.sources.mjpeg import Cut, Cutter, decoded

if TYPE_CHECKING:
    from workers.camera.picture import Pixels

_CHUNK_bytes = 1 << 18


class PipedJpegs:
    """Each picture has the size that it says it has."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self.number = 0
        self._more = False  # there may be one more in what is here

    def read(self, file: int) -> int:
        """Nothing while there may be a picture in what was read before."""
        if self._more:
            return 1
        data = os.read(file, _CHUNK_bytes)
        self._cutter.feed(data)
        return len(data)

    def cut(self, notes: int, drained: bool) -> Cut | None:
        """A JPEG tells by itself where it ends."""
        cut = self._cutter.cut()
        self._more = cut is not None
        self.number += self._more
        return cut

    def picture(self) -> Pixels | None:
        """Decoded only now."""
        return decoded(self._cutter.jpeg)
