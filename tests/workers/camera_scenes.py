"""Pictures with and without a laser's dot, made from a seed: walls, red things that are no laser, glare, noise, and the dot itself."""

from __future__ import annotations

import enum
import math
import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workers.camera.picture import Planes

WIDTH_px, HEIGHT_px = 320, 240
FWHM = 2.3548  # of a Gaussian, in its standard deviations
EDGE_px = 20  # between the dot's centre and the picture's edge
CLEAR_px = 12  # between the dot and anything red or glaring

Canvas = NDArray[np.float32]


class Scene(NamedTuple):
    """A picture (blue, green, red), and where the dot was planted, if one was."""

    pixels: NDArray[np.uint8]
    dot: tuple[float, float] | None
    across_px: float = 0.0  # the dot's width at half its height
    seed: int = 0


class Siting(enum.Enum):
    """Where a value of the colours' planes stands among its four pixels."""

    MIDDLE = "middle"  # JPEG
    LEFT = "left"  # MPEG-2
    CORNER = "corner"  # who takes one pixel for all four


def scene(seed: int, dot: bool, width_px: int = WIDTH_px, height_px: int = HEIGHT_px, lit: bool = True) -> Scene:
    """Everything in it follows from the seed; with `dot` there is one of 3 to 15 px, or would be, were the laser lit."""
    chance, drawing = random.Random(seed), np.random.default_rng(seed)
    canvas = _wall(chance, drawing, width_px, height_px)
    taken: list[tuple[float, float, float]] = []  # x, y and reach of what stands in the picture
    for _ in range(chance.randrange(6)):
        chance.choice((_surface, _glare, _glare_on_red, _cap, _line))(canvas, chance, taken)
    place, across_px = None, 0.0
    if dot:
        place, across_px = _free_place(chance, taken, width_px, height_px), chance.uniform(3, 15)
        before = canvas.copy()
        _shine(canvas, place, across_px, chance)
        canvas = canvas if lit else before
    canvas = _blurred(canvas, chance.choice((0, 0, 1)))
    canvas += drawing.normal(0, chance.uniform(0.5, 4), canvas.shape).astype(np.float32)
    return Scene(np.clip(np.rint(canvas), 0, 255).astype(np.uint8), place, across_px, seed)


def planted(pixels: NDArray[np.uint8], place: tuple[float, float], across_px: float, times: float, leak: float = 0.1) -> NDArray[np.uint8]:
    """A copy with a dot at `place` (x, y), so many times as bright as the sensor can tell; other colours see `leak` of it."""
    canvas = pixels.astype(np.float32)
    _add_light(canvas, place, across_px, times, leak)
    return np.rint(canvas).astype(np.uint8)


def planes(pixels: NDArray[np.uint8], full: bool = True, siting: Siting = Siting.MIDDLE) -> Planes:
    """The same picture in planes, after BT.601."""
    blue, green, red = (pixels[..., colour].astype(np.float32) for colour in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (_halved((colour - luma) / span, siting) for colour, span in ((blue, 1.772), (red, 1.402)))
    scales = (1.0, 0.0, 1.0) if full else (219 / 255, 16.0, 224 / 255)
    return Planes(_bytes(luma * scales[0] + scales[1]), _bytes(u * scales[2] + 128), _bytes(v * scales[2] + 128), full)


def _halved(plane: Canvas, siting: Siting) -> Canvas:
    even = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), mode="edge")
    if siting is Siting.CORNER:
        return even[::2, ::2]
    rows = (even[::2] + even[1::2]) / 2
    if siting is Siting.MIDDLE:
        return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 2, np.float32)
    wide = np.pad(rows, ((0, 0), (1, 0)), mode="edge")
    return np.asarray((wide[:, :-1:2] + 2 * rows[:, ::2] + rows[:, 1::2]) / 4, np.float32)


def _bytes(plane: Canvas) -> NDArray[np.uint8]:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def _wall(chance: random.Random, drawing: np.random.Generator, width_px: int, height_px: int) -> Canvas:
    """Tiles of any shade, plain or patterned, under light that falls off."""
    tile_px = chance.choice((6, 16, 40, 400))
    shape = (height_px // tile_px + 1, width_px // tile_px + 1, 1)
    dark, light = sorted((chance.uniform(5, 150), chance.uniform(5, 150)))
    grey = drawing.uniform(dark, light, shape)
    tint = np.array([chance.uniform(0.8, 1.1) for _ in range(3)])
    tiles = (grey * tint).repeat(tile_px, axis=0).repeat(tile_px, axis=1)[:height_px, :width_px]
    return (tiles * np.linspace(chance.uniform(0.5, 1), 1, width_px)[None, :, None]).astype(np.float32)


def _red(chance: random.Random) -> tuple[float, float, float]:
    """The colour of red things by daylight, as blue, green and red: never as bright in red as light itself."""
    red = chance.uniform(110, 215)
    return red * chance.uniform(0.1, 0.5), red * chance.uniform(0.1, 0.5), red


def _ellipse(canvas: Canvas, x: float, y: float, a: float, b: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    inside: NDArray[np.bool_] = ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1
    return inside


def _somewhere(canvas: Canvas, chance: random.Random) -> tuple[float, float]:
    return chance.uniform(0, canvas.shape[1]), chance.uniform(0, canvas.shape[0])


def _surface(canvas: Canvas, chance: random.Random, taken: list[tuple[float, float, float]]) -> None:
    """A red thing of any size."""
    (x, y), a, b = _somewhere(canvas, chance), chance.uniform(3, 60), chance.uniform(3, 60)
    canvas[_ellipse(canvas, x, y, a, b)] = _red(chance)
    taken.append((x, y, max(a, b)))


def _glare(canvas: Canvas, chance: random.Random, taken: list[tuple[float, float, float]]) -> None:
    """A lamp, or the sun on something shiny: white, with a halo."""
    (x, y), wide = _somewhere(canvas, chance), chance.uniform(1, 12)
    rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    light = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * wide**2)) * chance.uniform(200, 900)
    canvas += light[..., None] * np.array([chance.uniform(0.8, 1), chance.uniform(0.85, 1), 1], np.float32)
    np.minimum(canvas, 255, out=canvas)
    taken.append((x, y, 4 * wide))


def _glare_on_red(canvas: Canvas, chance: random.Random, taken: list[tuple[float, float, float]]) -> None:
    """The same on red paint."""
    (x, y), a = _somewhere(canvas, chance), chance.uniform(20, 50)
    canvas[_ellipse(canvas, x, y, a, a)] = _red(chance)
    wide = chance.uniform(1, 6)
    rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    light = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * wide**2)) * chance.uniform(200, 600)
    canvas += light[..., None].astype(np.float32)
    np.minimum(canvas, 255, out=canvas)
    taken.append((x, y, max(a, 4 * wide)))


def _cap(canvas: Canvas, chance: random.Random, taken: list[tuple[float, float, float]]) -> None:
    """As small as a dot, and red, but flat: a screw's cap, a sticker."""
    (x, y), a = _somewhere(canvas, chance), chance.uniform(1.5, 8)
    canvas[_ellipse(canvas, x, y, a, a)] = _red(chance)
    taken.append((x, y, a))


def _line(canvas: Canvas, chance: random.Random, taken: list[tuple[float, float, float]]) -> None:
    """A red wire, brighter than paint."""
    (x, y), thick, length = _somewhere(canvas, chance), chance.randrange(1, 5), chance.randrange(20, 120)
    left, top = int(x), int(y)
    canvas[top : top + thick, left : left + length] = (40, 40, chance.uniform(180, 255))
    taken += [(left + i, top, thick) for i in range(0, length, 8)]


def _free_place(chance: random.Random, taken: list[tuple[float, float, float]], width_px: int, height_px: int) -> tuple[float, float]:
    while True:
        x, y = chance.uniform(EDGE_px, width_px - EDGE_px), chance.uniform(EDGE_px, height_px - EDGE_px)
        if all(math.hypot(x - at_x, y - at_y) > reach + CLEAR_px for at_x, at_y, reach in taken):
            return x, y


def _shine(canvas: Canvas, place: tuple[float, float], across_px: float, chance: random.Random) -> None:
    """Red light on the wall, from just enough to six times too much for the sensor; the other colours see a little of it."""
    _add_light(canvas, place, across_px, math.exp(chance.uniform(0, math.log(6))), chance.uniform(0.02, 0.25))


def _add_light(canvas: Canvas, place: tuple[float, float], across_px: float, times: float, leak: float) -> None:
    sigma = across_px / FWHM
    reach = math.ceil(7 * sigma)  # beyond it nothing of the light is left
    left, top = max(0, int(place[0]) - reach), max(0, int(place[1]) - reach)
    part = canvas[top : int(place[1]) + reach + 1, left : int(place[0]) + reach + 1]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    light = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * sigma**2)) * 255 * times
    part += (light[..., None] * np.array([leak, leak, 1])).astype(np.float32)
    np.minimum(part, 255, out=part)


def _blurred(canvas: Canvas, times: int) -> Canvas:
    """As by a lens that is not quite in focus: a little of each neighbour."""
    for _ in range(times):
        wide = np.pad(canvas, ((1, 1), (1, 1), (0, 0)), mode="edge")
        shifted = [wide[y : y + canvas.shape[0], x : x + canvas.shape[1]] * weight for y, x, weight in _KERNEL]
        canvas = np.sum(shifted, axis=0, dtype=np.float32)
    return canvas


_KERNEL = [(y, x, (2 - abs(y - 1)) * (2 - abs(x - 1)) / 16) for y in range(3) for x in range(3)]
