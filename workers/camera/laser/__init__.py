"""Finds the dot of a red laser in a picture. Pure: a picture in, a dot or None out; numpy only.

Redness alone would find every red cap in the picture. A laser's dot is light, not paint, and is told by all of these together:

    red       more red than green and blue, at the rim at least: the middle overexposes the sensor and comes out white
    bright    near the end of the sensor's scale in red
    small     up to about 30 px across, and about as wide as it is high
    peaked    brighter towards its middle, where a patch of paint is flat
    apart     all of this much more than in the ring around it: the rim of a white glare on a red surface is no redder than the surface

So a dot on a surface that is bright red itself is not found, nor one on a wall that is nearly as bright as the sensor can tell, nor one
in a picture without colour. And a red light as small as a dot, such as an LED, is one: nothing in a single picture tells the two apart.
Two pictures do, where the laser is switched on and off between them: then only what comes and goes is looked at.
"""

from __future__ import annotations

from workers.camera.laser.hotspots import candidates
from workers.camera.laser.spot import ACROSS_px, Box, Dot, Found, examined
from workers.camera.masks import Masks
from workers.camera.picture import Picture, Planes, Size, size

__all__ = ["Dot", "find"]

Region = tuple[float, float, float, float]
EVERYWHERE: Region = (0.0, 0.0, 1.0, 1.0)


def find(picture: Picture, region: Region = EVERYWHERE, dark: Picture | None = None, masks: Masks | None = None) -> Dot | None:
    """The brightest dot with its centre in the region, or None. A picture of luma alone has none.

    The region is left, top, right and bottom as fractions of the picture. `dark` is a picture taken just before, with the laser off if
    it is on in this one, or on if it is off: the dot is then what comes and goes. It is left out of account where it is none of the
    same size and kind. What is masked is no dot.
    """
    if not _has_colours(picture):
        return None
    if dark is not None and not _alike(picture, dark):
        dark = None
    whole = size(picture)
    left, top, right, bottom = (round(share * of) for share, of in zip(region, (*whole, *whole), strict=True))
    best: Found | None = None
    for box in candidates(picture, dark, _grown(Box(top, bottom, left, right), whole), masks):
        found = examined(picture, dark, box)
        if found is None or (best and best.light >= found.light) or _hidden(found, whole, masks):
            continue
        if left <= found.dot.x_px + 0.5 <= right and top <= found.dot.y_px + 0.5 <= bottom:
            best = found
    return best.dot if best else None


def _has_colours(picture: Picture) -> bool:
    return isinstance(picture, Planes) or picture.ndim == 3


def _alike(picture: Picture, other: Picture) -> bool:
    """Whether one can be taken from the other: both in planes or both in colours, and of one size."""
    return isinstance(picture, Planes) == isinstance(other, Planes) and _has_colours(other) and size(picture) == size(other)


def _grown(box: Box, whole: Size) -> Box:
    """By as much as a dot is across, so that none is cut by the border of the region."""
    top, left = max(0, box.top - ACROSS_px) // 2 * 2, max(0, box.left - ACROSS_px) // 2 * 2  # even, where values of the planes begin
    return Box(top, min(whole.height_px, box.bottom + ACROSS_px), left, min(whole.width_px, box.right + ACROSS_px))


def _hidden(found: Found, whole: Size, masks: Masks | None) -> bool:
    if not masks:
        return False
    rows, columns = found.body.shape
    return bool((masks.over(whole)[found.top : found.top + rows, found.left : found.left + columns] & found.body).any())
