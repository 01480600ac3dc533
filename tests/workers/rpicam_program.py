"""The stand-in for rpicam-vid, put where it is found; and its pictures read by eye."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from workers.camera.picture import Planes, size
from workers.virtual.rpicamshow import BITS, BLUE, DARK, LIGHT, RED, SQUARE_px

ROOT = Path(__file__).parents[2]


def install(place: Path, name: str = "rpicam-vid") -> Path:
    """A program of that name in the directory `place`; the file that says how it misbehaves."""
    place.mkdir(parents=True, exist_ok=True)
    fault = place / "fault"
    put(place / name, f'PYTHONPATH={ROOT} FAKE_RPICAM={fault} exec {sys.executable} -P -m workers.virtual.rpicamvid "$@"')
    return fault


def put(program: Path, script: str) -> None:
    """A shell script as a program."""
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def path_with(place: Path) -> str:
    """PATH with `place` first."""
    return os.pathsep.join([str(place), os.environ["PATH"]])


def number(picture: Any) -> int:
    """What is written on it."""
    luma = picture.y if isinstance(picture, Planes) else picture[..., 0]
    squares = luma[:SQUARE_px, : min(BITS, size(picture).width_px // SQUARE_px) * SQUARE_px].reshape(SQUARE_px, -1, SQUARE_px)
    return int(sum((value > (DARK + LIGHT) / 2) << bit for bit, value in enumerate(squares.mean(axis=(0, 2)))))


def intact(planes: Planes) -> bool:
    """Whether every pixel below the number is where it belongs: no padding in it, no plane shifted."""
    slope = np.linspace(60, 120, size(planes).width_px).astype(np.uint8)
    return bool((planes.y[SQUARE_px:] == slope).all() and (planes.u == BLUE).all() and (planes.v == RED).all() and planes.full)
