"""What the stand-in for rpicam-vid is told: by its command line, which is the program's own, and by a file, how to misbehave."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta

from workers.virtual.asked import behaviour_as, values_of

FILE = "FAKE_RPICAM"
Fault = Literal[
    "none", "hang", "deaf", "crash", "lost", "nocam", "in_use", "freeze", "restart", "lose", "garbage", "oversize", "flood", "end"
]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it behaves."""

    fault: Annotated[Fault, Meta(description="what goes wrong, see _fail in rpicamvid; freeze: one and the same picture")] = "none"
    after: Annotated[int, Meta(ge=0, description="so many frames after it was started")] = 0
    once: Annotated[bool, Meta(description="whoever is started after it is well: 1 or 0")] = False
    first_s: Annotated[float, Meta(ge=0, description="how long the first frame takes")] = 0.0
    burst: Annotated[int, Meta(ge=1, description="frames at once, followed by as long a pause")] = 1
    align_px: Annotated[int, Meta(ge=1, description="what rows are a multiple of: 64 on boards up to 4, 128 on 5")] = 64
    gives: Annotated[str, Meta(pattern=r"^(\d+x\d+)?$", description="the size that it gives in place of the one asked for")] = ""
    notes: Annotated[Literal["punctual", "late", "none"], Meta(description="when it writes its notes on frames")] = "punctual"

    def leave(self) -> None:
        """For those that are started after it: a camera that is lost stays away."""
        if os.environ.get(FILE) and (self.once or self.fault == "lost"):
            Path(os.environ[FILE]).write_text("" if self.once else "fault=nocam")


class Arguments(argparse.Namespace):
    """The part of the command line that it minds."""

    camera: int
    codec: str
    width: int
    height: int
    framerate: float
    frames: int
    metadata: str
    metadata_format: str
    list_cameras: bool


class Ended(Exception):
    """What rpicam-vid calls an error, and ends with."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Ended(message)


def wanted() -> Behaviour:
    """As the file has it by now."""
    name = os.environ.get(FILE, "")
    text = Path(name).read_text().strip() if name and Path(name).exists() else ""
    return behaviour_as(Behaviour, "rpicam-vid", values_of(text, "fault=hang&after=20"))


def understood(arguments: Sequence[str]) -> Arguments:
    """Raises Ended for an option that the program has not, in its words."""
    parser = _Parser("rpicam-vid", allow_abbrev=False)
    parser.add_argument("--camera", type=int, default=0)
    parser.add_argument("--codec", choices=["yuv420", "mjpeg"], required=True)  # the default, h264, is none that the stand-in can make
    for name, usual in {"--width": 640, "--height": 480, "--frames": 0}.items():
        parser.add_argument(name, type=int, default=usual)
    parser.add_argument("--framerate", type=float, default=30.0)
    parser.add_argument("--metadata", default="")
    parser.add_argument("--metadata-format", choices=["json", "txt"], default="json")
    for names in (["-t", "--timeout"], ["-o", "--output"], ["-q", "--quality"], ["--mode"], ["--buffer-count"]):
        parser.add_argument(*names)
    for names in (["-n", "--nopreview"], ["--flush"], ["--list-cameras"]):
        parser.add_argument(*names, action="store_true")
    if "--list-cameras" in arguments:
        arguments = [*arguments, "--codec", "yuv420"]
    asked, unknown = parser.parse_known_args(arguments, Arguments())
    if unknown:
        raise Ended(f"unrecognised option '{unknown[0]}'")
    if (asked.output, asked.timeout) != ("-", "0") and not asked.list_cameras:
        raise Ended("the stand-in writes to standard output for ever: --timeout 0 --output -")
    return asked
