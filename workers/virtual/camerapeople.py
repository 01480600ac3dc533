"""Who walks past a virtual camera, and where: a number of people on their way from one side of the picture to the other."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from workers.virtual import cameraface
from workers.virtual.cameracanvas import Canvas, Format, ink, stamp

CAST = 6  # different people; after them the first one comes again, as somebody new
ROOM = 1.8  # width of head and shoulders, in heights of a face
TALLEST, SMALLEST = 0.40, 0.16  # height of a face, in heights of the picture
SWAY, SWAY_s = 0.06, 3.1  # how far a head moves back and forth beside the way it goes, in heights of a face
BOB, BOB_s = 0.04, 0.9  # and up and down


class Walker(NamedTuple):
    """Somebody at one moment."""

    number: int  # counted from the start of the camera; never used again
    role: int  # which of the cast
    x_px: float  # the middle of the face
    y_px: float
    unit_px: int  # height of the face


class Face(NamedTuple):
    """Where a face really is, in pixels from the picture's upper left corner. It may stick out of the picture."""

    number: int  # of the person, as in Walker
    left: int
    top: int
    width: int
    height: int


class People:
    """At most `count` at a time, each `stay_s` in the picture: they follow one another at even distances, so that nobody hides a face."""

    def __init__(self, width_px: int, height_px: int, count: int, stay_s: float, chance: random.Random) -> None:
        self._count, self._stay_s = count, stay_s
        self._width_px = width_px
        self._leftwards = chance.random() < 0.5
        most_px = min(TALLEST * height_px, width_px / max(1, count) / (ROOM + 4 * SWAY))
        least_px = min(SMALLEST * height_px, most_px)
        self.units_px = [max(8, round(chance.uniform(least_px, most_px))) for _ in range(CAST)]
        self._middles_px = [height_px * chance.uniform(0.3, 0.55) for _ in range(CAST)]
        self._phases = [chance.uniform(0, math.tau) for _ in range(CAST)]
        self._out_px = most_px * ROOM / 2

    def at(self, at_s: float) -> Iterator[Walker]:
        """Everybody who is at least in part in the picture then, the one who came first before the others."""
        if not self._count:
            return
        every_s = self._stay_s / self._count
        newest = math.floor(at_s / every_s)
        for number in range(max(0, newest - self._count + 1), newest + 1):
            yield self._walker(number, at_s - number * every_s)

    def _walker(self, number: int, since_s: float) -> Walker:
        role = number % CAST
        unit_px, phase = self.units_px[role], self._phases[role]
        way_px = self._width_px + 2 * self._out_px
        gone_px = way_px * since_s / self._stay_s - self._out_px
        across_px = self._width_px - gone_px if self._leftwards else gone_px
        x_px = across_px + SWAY * unit_px * math.sin(math.tau * since_s / SWAY_s + phase)
        y_px = self._middles_px[role] + BOB * unit_px * math.sin(math.tau * since_s / BOB_s + phase)
        return Walker(number, role, x_px, y_px, unit_px)


class Cast:
    """What these people look like: painted once each, and laid on where they are."""

    def __init__(self, format_: Format, people: People, drawing: np.random.Generator) -> None:
        self._people = people
        looks = [cameraface.look(drawing) for _ in people.units_px]
        self._boxes = [person.box for person in looks]
        self._shirts = [ink(format_, person.shirt) for person in looks]
        self._stamps = [
            stamp(format_, *cameraface.portrait(person, unit_px)) for person, unit_px in zip(looks, people.units_px, strict=True)
        ]

    def draw(self, frame: Canvas, at_s: float) -> None:
        """Everybody who is there at that time, with clothes down to the lower edge."""
        for walker in self._people.at(at_s):
            left_px, top_px = _corner(walker)
            person, half_px = self._stamps[walker.role], round(cameraface.BODY * walker.unit_px)
            frame.lay(person, top_px, left_px)
            x_px = round(walker.x_px)
            frame.fill(top_px + person.height_px, x_px - half_px, frame.height_px, x_px + half_px, self._shirts[walker.role])

    def faces(self, at_s: float) -> list[Face]:
        """Whose face is where at that time, as it is drawn."""
        return [self._face(walker) for walker in self._people.at(at_s)]

    def _face(self, walker: Walker) -> Face:
        x_px, brow_px = round(walker.x_px), _corner(walker)[1] + cameraface.ABOVE * walker.unit_px
        left, top, right, bottom = (edge * walker.unit_px for edge in self._boxes[walker.role])
        return Face(walker.number, round(x_px + left), round(brow_px + top), round(right - left), round(bottom - top))


def _corner(walker: Walker) -> tuple[int, int]:
    """Of the stamp: left and top."""
    return round(walker.x_px) - round(cameraface.ASIDE * walker.unit_px), round(walker.y_px - cameraface.ABOVE * walker.unit_px)
