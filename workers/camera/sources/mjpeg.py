"""Motion JPEG: cuts a stream of bytes into pictures, each a JPEG of its own, and decodes one.

A JPEG is a row of segments, FF and a marker, from SOI (FF D8) to EOI (FF D9). Segments carry their length, and may carry anything
else, FF D9 included; only behind SOS comes data without a length, in which an FF that means nothing is followed by 00 (ITU-T T.81,
B.1.1). So segments are walked by their lengths, and a picture's end is looked for in the data behind SOS only. What does not hold to
this is spoilt, and let go up to the next FF D8 FF. libjpeg would not mind: where data is missing it paints grey.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from workers.camera.picture import Pixels

PICTURE_bytes = 32 << 20  # more than a picture of 64 megapixels has
PICTURE_px = 1 << 26  # the largest sensor for a ribbon cable has 64 megapixels; a forged header may say 4 295, and ask for 13 GB
_BEGIN = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)
_MARKER_IN_DATA = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)  # neither stuffing, nor one of the marks to restart at
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, the segments that tell the picture's size
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # without a length


class Cut(enum.Enum):
    """What has been cut off."""

    WHOLE = "whole"
    SPOILT = "spoilt"


class Cutter:
    """Fed with bytes as they come; cut() says whether the next picture is there, and `jpeg` is the one that was cut off last."""

    def __init__(self) -> None:
        self.jpeg = b""
        self._bytes = bytearray()
        self._inside = False  # the first byte is a picture's
        self._told = False  # that what comes before the next picture is spoilt
        self._segment = self._at = 0  # where the segment begins that was walked last, and where it ends
        self._data = False  # it was SOS

    def feed(self, data: bytes) -> None:
        """At the end of what is there. Call cut() until it says None before more is fed: that bounds what is kept."""
        self._bytes += data

    def cut(self) -> Cut | None:
        """The next picture, or the want of one; None where more bytes are needed to tell."""
        if not self._inside:
            skipped = self._begin()
            if skipped or not self._inside:
                return skipped
        while True:
            found = (_MARKER_IN_DATA.search if self._data else _MARKER.match)(self._bytes, self._at)
            if not found:
                return self._unmarked()
            marker, self._at = found[0][-1], found.start()
            if marker == _EOI:
                return self._whole(found.end()) if self._data else self._spoilt(found.end())
            if marker == _SOI:
                return self._spoilt(found.end() - 2)
            end = self._end(marker, found.end())
            if end is None:
                return self._spoilt(self._segment + 2)
            if end > len(self._bytes):
                return self._more()
            self._segment, self._at, self._data = self._at, end, marker == _SOS

    def _begin(self) -> Cut | None:
        """Let go of what comes before a picture; spoilt where that was anything, and has not been told before."""
        begin = self._bytes.find(_BEGIN)
        rest = begin if begin >= 0 else max(0, len(self._bytes) - len(_BEGIN) + 1)
        del self._bytes[:rest]
        blame = rest > 0 and not self._told
        self._inside = begin >= 0
        self._told = not self._inside and (self._told or blame)
        self._segment, self._at, self._data = 0, 2, False
        return Cut.SPOILT if blame else None

    def _end(self, marker: int, at: int) -> int | None:
        """Where the segment ends whose length stands there, or as far as is needed to tell; None where it cannot be one."""
        if marker in _ALONE:
            return at
        head = self._bytes[at : at + 7]
        if len(head) < 7:
            return at + 7  # even the shortest is followed by as much
        height_px, width_px = int.from_bytes(head[3:5]), int.from_bytes(head[5:7])
        if marker in _SIZES and height_px * width_px > PICTURE_px:
            return None
        length = int.from_bytes(head[:2])
        return at + length if length >= 2 else None

    def _unmarked(self) -> Cut | None:
        if self._data:
            self._at = len(self._bytes) - self._bytes.endswith(b"\xff")
        elif self._bytes[self._at :].lstrip(b"\xff"):
            return self._spoilt(self._segment + 2)
        return self._more()

    def _more(self) -> Cut | None:
        return self._spoilt(self._at) if len(self._bytes) > PICTURE_bytes else None

    def _whole(self, end: int) -> Cut:
        self.jpeg = bytes(self._bytes[:end])
        del self._bytes[:end]
        self._inside = False
        return Cut.WHOLE

    def _spoilt(self, end: int) -> Cut:
        del self._bytes[:end]
        self._inside, self._told = False, True
        return Cut.SPOILT


def decoded(jpeg: bytes) -> Pixels | None:
    """Blue, green and red; None where it cannot be decoded."""
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return cast("Pixels", pixels)


def encoded(pixels: Pixels, quality: int = 90) -> bytes:
    """As a JPEG, from blue, green and red or from luma alone; quality from 1 to 100."""
    import cv2

    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
