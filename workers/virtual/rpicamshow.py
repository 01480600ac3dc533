"""What the stand-in for rpicam-vid sees: a grey slope with its frame's number written on it in light and dark squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.virtual.rpicamscript import Arguments, Behaviour

SQUARE_px, BITS = 8, 12  # the number stands along the upper edge, least bit first
DARK, LIGHT = 40, 200
BLUE, RED = 100, 160  # the colours of the whole picture
PADDING = 0xEE
_ODD_JPEG_bytes = 40 << 20


class Show:
    """Frames by their number."""

    def __init__(self, asked: Arguments, behaviour: Behaviour) -> None:
        width, _, height = behaviour.gives.partition("x")
        self.width_px, self.height_px = int(width or asked.width), int(height or asked.height)
        self._jpeg = asked.codec == "mjpeg"
        self._stride_px = -(-self.width_px // behaviour.align_px) * behaviour.align_px
        self._scene = np.broadcast_to(np.linspace(60, 120, self.width_px).astype(np.uint8), (self.height_px, self.width_px))

    def frame(self, number: int) -> bytes:
        """A JPEG, or all the bytes of a buffer with its padding."""
        luma = self._scene.copy()
        for bit in range(min(BITS, self.width_px // SQUARE_px)):
            luma[:SQUARE_px, bit * SQUARE_px : (bit + 1) * SQUARE_px] = LIGHT if number >> bit & 1 else DARK
        if self._jpeg:
            from workers.camera.sources.mjpeg import encoded

            return encoded(luma)
        half = (self.height_px // 2, self.width_px // 2)
        return b"".join(
            (self._padded(luma, 1), self._padded(np.full(half, BLUE, np.uint8), 2), self._padded(np.full(half, RED, np.uint8), 2))
        )

    def spoilt(self, data: bytes, fault: str) -> bytes:
        """As it comes out when something goes wrong with it."""
        if fault == "lose":
            return data[: len(data) // 3] + data[len(data) // 3 + 1 :]
        if fault == "garbage":
            return data[: len(data) // 2] + bytes(range(256)) * 8 + data
        if fault == "oversize":
            return data[: len(data) // 2] + bytes(_ODD_JPEG_bytes) + data
        return data

    def _padded(self, plane: NDArray[np.uint8], share: int) -> bytes:
        padded = np.full((plane.shape[0], self._stride_px // share), PADDING, np.uint8)
        padded[:, : plane.shape[1]] = plane
        return padded.tobytes()
