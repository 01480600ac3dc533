"""From whatever a picture is to luma or to blue, green and red: all of it, a part, or a smaller one. Converts no more than is asked for."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from workers.camera.cv import cv2
from workers.camera.picture import Picture, Pixels, Planes, size


def luma(picture: Picture, step: int = 1) -> Pixels:
    """Luma of every so many-th pixel of every so many-th row. That of planes is as it came: a view, in the range of the planes."""
    if isinstance(picture, Planes):
        return picture.y[::step, ::step]
    thin = picture[::step, ::step]
    return thin if thin.ndim == 2 else _bytes(cv2.cvtColor(np.ascontiguousarray(thin), cv2.COLOR_BGR2GRAY))


def bgr(picture: Picture) -> Pixels:
    """Blue, green and red of the whole picture, 0 to 255, after ITU-R BT.601; the picture itself where it is that already."""
    if isinstance(picture, Planes):
        return _of_planes(picture)
    return picture if picture.ndim == 3 else _bytes(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))


def part(picture: Picture, left: int, top: int, right: int, bottom: int) -> Pixels:
    """A copy, in blue, green and red, of what the picture has from `left` up to `right` and from `top` up to `bottom` (pixels, those two
    excluded). What lies outside of the picture is left out, so the copy may be smaller, and empty.
    """
    width_px, height_px = size(picture)
    left, right = (min(max(side, 0), width_px) for side in (left, right))
    top, bottom = (min(max(side, 0), height_px) for side in (top, bottom))
    if left >= right or top >= bottom:
        return np.empty((0, 0, 3), np.uint8)
    if not isinstance(picture, Planes):
        return bgr(picture[top:bottom, left:right].copy())
    x, y = left // 2, top // 2  # in the planes of colour, of which each pixel belongs to two columns and two rows
    colour = np.s_[y : (bottom + 1) // 2, x : (right + 1) // 2]
    cut = Planes(picture.y[2 * y : bottom, 2 * x : right], picture.u[colour], picture.v[colour], picture.full)
    return _of_planes(cut)[top - 2 * y :, left - 2 * x :].copy()


def shrunk(picture: Picture, width_px: int, height_px: int) -> Pixels:
    """The picture in blue, green and red at that size (pixels), whatever its proportions; itself where it is that already. Planes are
    converted when they are small.
    """
    if not isinstance(picture, Planes):
        return bgr(_shrunk(picture, width_px, height_px))
    luma = _shrunk(picture.y, width_px, height_px)
    u, v = (_shrunk(plane, (width_px + 1) // 2, (height_px + 1) // 2) for plane in (picture.u, picture.v))
    return _of_planes(Planes(luma, u, v, picture.full))


def _shrunk(pixels: Pixels, width_px: int, height_px: int) -> Pixels:
    """In two steps, because the mean over all pixels of 12 megapixels takes 50 ms: every so many-th pixel, up to twice the size that is
    wanted, and the mean over four of these.
    """
    if pixels.shape[0] > 2 * height_px or pixels.shape[1] > 2 * width_px:
        twice = min(2 * width_px, pixels.shape[1]), min(2 * height_px, pixels.shape[0])
        pixels = _bytes(cv2.resize(pixels, twice, interpolation=cv2.INTER_LINEAR))
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    exactly_half = pixels.shape[:2] == (2 * height_px, 2 * width_px)
    return _bytes(cv2.resize(pixels, (width_px, height_px), interpolation=cv2.INTER_AREA if exactly_half else cv2.INTER_LINEAR))


def _of_planes(planes: Planes) -> Pixels:
    height_px, width_px = planes.y.shape
    y = planes.y
    if height_px % 2 or width_px % 2:  # OpenCV takes even sides only
        y = np.pad(y, ((0, height_px % 2), (0, width_px % 2)), mode="edge")
    pixels = _of_full_range(y, planes.u, planes.v) if planes.full else _of_video_range(y, planes.u, planes.v)
    return pixels[:height_px, :width_px]


def _of_video_range(y: Pixels, u: Pixels, v: Pixels) -> Pixels:
    return _bytes(cv2.cvtColorTwoPlane(y, cv2.merge((u, v)), cv2.COLOR_YUV2BGR_NV12))


def _of_full_range(y: Pixels, u: Pixels, v: Pixels) -> Pixels:
    """OpenCV takes planes of this range only where they are of one size; it wants red before blue then."""
    wide = (cv2.resize(plane, y.shape[::-1], interpolation=cv2.INTER_NEAREST) for plane in (v, u))
    return _bytes(cv2.cvtColor(cv2.merge((y, *wide)), cv2.COLOR_YCrCb2BGR))


def _bytes(made: Any) -> Pixels:
    """What OpenCV makes of bytes are bytes, which its types do not say."""
    return cast("Pixels", made)
