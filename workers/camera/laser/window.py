"""A small part of a picture in colours, whatever the picture is made of. Pure; numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Picture, Pixels, Planes

# Where a value of the colours' planes stands among its four pixels, from the upper left one on. In a JPEG's in the middle (JFIF); a
# video's may be there, at the left (MPEG-2), or where the one pixel is that was taken for all four: between these it is off by 0.35 px.
SITE_px, SITE_video_px = 0.5, 0.25
Window = NDArray[np.int16]  # rows × columns × (blue, green, red); out of planes it may reach beyond 0 and 255


def cut(picture: Picture, top: int, bottom: int, left: int, right: int) -> Window:
    """Rows from `top` and columns from `left`, without `bottom` and `right`; all of them in the picture, which has colours."""
    if isinstance(picture, Planes):
        return _from_planes(picture, top, bottom, left, right)
    return picture[top:bottom, left:right].astype(np.int16)


def at_most_red(picture: Picture, top: int, bottom: int, left: int, right: int) -> float:
    """No pixel of that part is higher in red: at a tenth of what it costs to cut it out."""
    if not isinstance(picture, Planes):
        return float(picture[top:bottom, left:right, 2].max())
    luma, red = (
        float(picture.y[top:bottom, left:right].max()),
        float(picture.v[top // 2 : bottom // 2 + 1, left // 2 : right // 2 + 1].max()),
    )
    if not picture.full:
        luma, red = (luma - 16) * 255 / 219, (red - 128) * 255 / 224 + 128
    return luma + 1.402 * (red - 128) + 1


def _from_planes(picture: Planes, top: int, bottom: int, left: int, right: int) -> Window:
    luma = picture.y[top:bottom, left:right].astype(np.float32)
    site_px = SITE_px if picture.full else SITE_video_px
    down, across = _places(top, bottom, len(picture.v), site_px), _places(left, right, picture.v.shape[1], site_px)
    blue, red = (_widened(plane, down, across) - 128 for plane in (picture.u, picture.v))
    if not picture.full:
        luma = (luma - 16) * np.float32(255 / 219)
        blue, red = blue * np.float32(255 / 224), red * np.float32(255 / 224)
    window = np.stack((luma + 1.772 * blue, luma - 0.344136 * blue - 0.714136 * red, luma + 1.402 * red), axis=2)
    return np.asarray(np.rint(window), np.int16)


class _Places(NamedTuple):
    """Between which two values of a plane each row lies, or each column, and how much nearer to the second one."""

    first: int
    last: int
    before: NDArray[np.intp]  # counted from the first
    after: NDArray[np.intp]
    share: NDArray[np.float32]


def _places(begin: int, end: int, length: int, site_px: float) -> _Places:
    at = np.clip((np.arange(begin, end, dtype=np.float32) - site_px) / 2, 0, length - 1)
    before = at.astype(np.intp)
    after = np.minimum(before + 1, length - 1)
    return _Places(int(before[0]), int(after[-1]), before - before[0], after - before[0], np.asarray(at - before, np.float32))


def _widened(plane: Pixels, down: _Places, across: _Places) -> NDArray[np.float32]:
    """A part of a plane of half the resolution in full, interpolated."""
    part = plane[down.first : down.last + 1, across.first : across.last + 1].astype(np.float32)
    tall = part[down.before] + (part[down.after] - part[down.before]) * down.share[:, None]
    return tall[:, across.before] + (tall[:, across.after] - tall[:, across.before]) * across.share
