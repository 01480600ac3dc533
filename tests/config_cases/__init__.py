"""Configurations that are wrong, each fault marked where it stands, and the drivers that they name.

A mark is a remark at the end of the line that a problem must name:   #! key | part of what | part of the suggestion
A line that starts with   #!0   marks a problem of the file as a whole. The marks of a file are all the problems it has, in order.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgegw.errors import EdgegwError, Problem

HERE = Path(__file__).parent


class Lidar(msgspec.Struct, frozen=True, kw_only=True):
    """On a serial port."""

    port: Annotated[str, Meta(min_length=1, examples=["/dev/serial0"])]
    baud: Literal[9600, 115200] = 115200
    rate_hz: Annotated[float, Meta(ge=0.2, le=250)] = 100
    echo: bool = True


class Imu(msgspec.Struct, frozen=True, kw_only=True):
    """On an I2C bus, with a rule over two keys and a list."""

    bus: Annotated[int, Meta(ge=0)]
    address: Annotated[int, Meta(ge=0x68, le=0x69)] = 0x68
    low_hz: float = 1
    high_hz: float = 2
    axes: tuple[Literal["x", "y", "z"], ...] = ("x",)

    def __post_init__(self) -> None:
        if self.low_hz > self.high_hz:
            raise ValueError("low_hz must not be above high_hz")


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """Read from a URL, which may hold a password."""

    source: str
    hints: dict[str, Any] = {}


class Greedy(msgspec.Struct, frozen=True, kw_only=True):
    """Has an option that every sensor has."""

    window: int = 1


DRIVERS: dict[str, type[msgspec.Struct]] = {"lidar": Lidar, "imu": Imu, "camera": Camera, "greedy": Greedy}


def options_of(name: str) -> type[msgspec.Struct]:
    """As edgegw.driver would, without its modules."""
    if name == "broken":
        raise ImportError("No module named 'smbus9'")
    if name not in DRIVERS:
        raise EdgegwError(f"there is no driver {name!r} (did you mean lidar?)")
    return DRIVERS[name]


class Mark(msgspec.Struct, frozen=True):
    """A problem as a case file announces it."""

    line: int
    key: str
    what: str
    suggestion: str

    def fits(self, problem: Problem) -> bool:
        """Whether `problem` is the one announced."""
        same = (problem.line, problem.key) == (self.line, self.key)
        return same and self.what in problem.what and self.suggestion in problem.suggestion


def marks(text: str) -> list[Mark]:
    """The problems that `text` announces: line by line, those of the whole file last."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for whole, mark in re.findall(r"#!(0?) (.*?)(?= #!|$)", line):
            key, what, suggestion = (part.strip() for part in mark.split("|"))
            found.append(Mark(0 if whole else number, key, what, suggestion))
    return sorted(found, key=lambda mark: not mark.line)
