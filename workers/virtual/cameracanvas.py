"""What a virtual camera's picture is drawn on: rows of blue, green and red, or three planes of YUV; with stamps that are laid on it.

A stamp is converted once and laid on many times, in whole numbers only: eight cameras of 30 frames a second share two cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.camera.picture import Picture, Pixels, Planes

Format = Literal["bgr", "yuv420"]
Light = NDArray[np.float32]  # rows × columns × (blue, green, red), 0 to 255
Cover = NDArray[np.float32]  # rows × columns, from 0, clear, to 1, opaque
Steps = NDArray[np.int16]
Ink = tuple[Steps, ...]  # one colour, in each layer
COVERED_bits = 7  # an opaque stamp covers by 128: times any step of a picture, that still fits 16 bits

# ITU-R BT.601, luma from 16 to 235 and colours from 16 to 240; a row for each of Y, U and V, a column for each of blue, green and red.
_TO_YUV = np.array([[24.966, 128.553, 65.481], [112.0, -74.203, -37.797], [-18.214, -93.786, 112.0]], np.float32) / np.float32(255)
_FROM_YUV = np.linalg.inv(_TO_YUV).astype(np.float32)
_ZERO = np.array([16.0, 128.0, 128.0], np.float32)


class Stamp(NamedTuple):
    """A small picture with its outline; one array for each layer of the format."""

    inks: tuple[Steps, ...]  # with the cover multiplied in
    covers: tuple[Steps, ...]  # 0 to 128

    @property
    def height_px(self) -> int:
        """As it is laid on."""
        return int(self.inks[0].shape[0])


class Layer(NamedTuple):
    """The colours together, or one plane."""

    pixels: Pixels
    every_px: int  # of the picture, for one of the layer
    level: int  # what daylight has added to it

    def part(self, top_px: int, left_px: int, bottom_px: int, right_px: int) -> Pixels:
        """Between these edges, given in pixels of the picture; what lies outside is left out."""
        by = self.every_px
        return self.pixels[max(0, top_px) // by : -(-max(0, bottom_px) // by), max(0, left_px) // by : -(-max(0, right_px) // by)]


class Canvas:
    """One frame under way. Whatever sticks out of it is cut off."""

    def __init__(self, layers: list[Layer]) -> None:
        self._layers = layers
        self.height_px = int(layers[0].pixels.shape[0])

    def fill(self, top_px: int, left_px: int, bottom_px: int, right_px: int, ink: Ink) -> None:
        """A rectangle, as bright as the daylight makes it."""
        for layer, value in zip(self._layers, ink, strict=True):
            layer.part(top_px, left_px, bottom_px, right_px)[...] = value + layer.level

    def lay(self, stamp: Stamp, top_px: int, left_px: int) -> None:
        """As bright as the daylight makes it."""
        for layer, ink, cover in zip(self._layers, stamp.inks, stamp.covers, strict=True):
            top, left = top_px // layer.every_px, left_px // layer.every_px
            under = layer.pixels[max(0, top) : max(0, top + ink.shape[0]), max(0, left) : max(0, left + ink.shape[1])]
            part = _same(under, top, left)
            change = np.subtract(under, layer.level, dtype=np.int16) if layer.level else under.astype(np.int16)
            change *= cover[part]
            change >>= COVERED_bits
            change -= ink[part]
            np.subtract(under, change, out=under, casting="unsafe")

    def shine(self, light: Light, top_px: int, left_px: int, limit: float) -> None:
        """Add light, up to that limit; from an even row and column on."""
        parts = [layer.part(top_px, left_px, top_px + light.shape[0], left_px + light.shape[1]) for layer in self._layers]
        total = np.minimum(_seen(parts) + light[_same(parts[0], top_px, left_px)], np.float32(limit))
        for part, values in zip(parts, _split("bgr" if len(parts) == 1 else "yuv420", total, 1.0), strict=True):
            np.copyto(part, values, casting="unsafe")

    def add(self, noise: Pixels) -> None:
        """To every colour, or to the luma alone."""
        first = self._layers[0].pixels
        first += noise

    def picture(self) -> Picture:
        """The finished frame."""
        return joined([layer.pixels for layer in self._layers])


def ground(format_: Format, light: Light) -> tuple[Pixels, ...]:
    """What canvases of this format start from."""
    return tuple(np.clip(np.rint(layer), 0, 255).astype(np.uint8) for layer in _split(format_, light, 1.0))


def joined(layers: Sequence[Pixels]) -> Picture:
    """The picture that these layers are."""
    if len(layers) == 1:
        return layers[0]
    y, u, v = layers
    return Planes(y, u, v, full=False)


def canvas(under: tuple[Pixels, ...], level: float) -> Canvas:
    """A copy of that ground in one buffer, by `level` of 255 brighter."""
    buffer = np.empty(sum(plane.size for plane in under), np.uint8)
    layers: list[Layer] = []
    for plane in under:
        fresh, buffer = buffer[: plane.size].reshape(plane.shape), buffer[plane.size :]
        if layers:
            np.copyto(fresh, plane)
            layers.append(Layer(fresh, 2, 0))
        else:
            steps = round(level * luma_gain("bgr" if len(under) == 1 else "yuv420"))
            np.add(plane, np.uint8(steps), out=fresh)
            layers.append(Layer(fresh, 1, steps))
    return Canvas(layers)


def stamp(format_: Format, light: Light, cover: Cover) -> Stamp:
    """Of light with the cover multiplied in."""
    inks = tuple(np.rint(layer).astype(np.int16) for layer in _split(format_, light, cover))
    whole = np.rint(cover * (1 << COVERED_bits)).astype(np.int16)
    if format_ == "bgr":
        return Stamp(inks, (np.repeat(whole[..., None], 3, axis=2),))  # one for each colour: numpy is quicker without broadcasting
    small = np.rint(_halved(cover) * (1 << COVERED_bits)).astype(np.int16)
    return Stamp(inks, (whole, small, small))


def ink(format_: Format, colour: ArrayLike) -> Ink:
    """Of one blue, green and red."""
    return tuple(np.rint(layer[0, 0]).astype(np.int16) for layer in _split(format_, np.asarray(colour, np.float32).reshape(1, 1, 3), 1.0))


def luma_gain(format_: Format) -> float:
    """How many steps of the first layer one step of grey is."""
    return 1.0 if format_ == "bgr" else 219 / 255


def _split(format_: Format, light: Light, cover: Cover | float) -> list[Light]:
    """Into layers; of light with the cover multiplied in."""
    if format_ == "bgr":
        return [light]
    yuv, whole = _turned(light, _TO_YUV), np.asarray(cover, np.float32)
    luma, blue, red = (yuv[..., i] + whole * _ZERO[i] for i in range(3))
    return [luma, _halved(blue), _halved(red)]


def _seen(parts: list[Pixels]) -> Light:
    """Blue, green and red of a piece in layers."""
    if len(parts) == 1:
        return parts[0].astype(np.float32)
    rows, columns = parts[0].shape
    wide = [part.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns] for part in parts[1:]]
    return _turned(np.stack([parts[0], *wide], axis=-1) - _ZERO, _FROM_YUV)


def _turned(light: Light, matrix: Light) -> Light:
    """Into other colours, all pixels in one product."""
    turned: Light = light.reshape(-1, 3) @ matrix.T
    return turned.reshape(light.shape)


def _halved(values: Light) -> Light:
    """The mean of each two by two; at an odd edge, of those that are there."""
    rows, columns = values.shape
    even = np.pad(values, ((0, rows % 2), (0, columns % 2)), mode="edge") if rows % 2 or columns % 2 else values
    total: Light = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    total *= np.float32(0.25)
    return total


def _same(under: Pixels, top: int, left: int) -> tuple[slice, slice]:
    """Which part of something laid on from there covers `under`, which begins there or at the picture's edge."""
    above, before = max(0, -top), max(0, -left)
    return slice(above, above + under.shape[0]), slice(before, before + under.shape[1])
