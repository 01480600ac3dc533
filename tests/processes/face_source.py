"""A driver of another package for the tests: people who leave one after the other, each with a picture of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgegw.clock import SystemClock, every
from edgegw.reading import Attachment, Sample, Value
from workers.camera import fields as camera

FIELDS = {"face": camera.FIELDS["face"]}
PICTURE_bytes = 20_000


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many, how fast, and where it is noted how far it is, so that a second start goes on from there."""

    count: Annotated[int, Meta(description="people")]
    rate_hz: Annotated[float, Meta(description="people a second")]
    note: Annotated[str, Meta(description="file")]
    send_faces: Annotated[bool, Meta(description="as a camera has it")] = True


def grain(number: int) -> bytes:
    """Of which a picture is full: in each piece of one, of 63 bytes or more, there is one."""
    return hashlib.sha256(str(number).encode()).digest()


def picture(number: int) -> bytes:
    """Begins and ends as a JPEG does; no two are equal."""
    return b"\xff\xd8" + grain(number) * (PICTURE_bytes // len(grain(number))) + b"\xff\xd9"


def digest(number: int) -> str:
    """By which a picture is known again."""
    return hashlib.sha256(picture(number)).hexdigest()


def read(options: Options) -> Generator[Sample | None, None, None]:
    """One after the other; then None for ever."""
    note = Path(options.note)
    beats = every(1 / options.rate_hz, SystemClock())
    for number in range(int(note.read_text()) if note.exists() else 0, options.count):
        next(beats)
        values: dict[str, Value] = {**dict.fromkeys(FIELDS["face"], 9.0), "track": number, "event": "leave"}
        sides = {"left_px": 4.0, "top_px": 4.0, "right_px": 60.0, "bottom_px": 60.0}
        yield Sample(values, kind="face", attachment=Attachment("image/jpeg", picture(number), 5_000_000, sides))
        _write(note, number + 1)
    while True:
        next(beats)
        yield None


def _write(note: Path, number: int) -> None:
    part = note.with_suffix(".part")
    part.write_text(str(number))
    os.replace(part, note)


def install(directory: Path) -> None:
    """As a package with an entry point, which a gateway with that directory on PYTHONPATH finds."""
    (directory / "face_source.py").write_text(Path(__file__).read_text())
    info = directory / "face_source-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: face-source\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgegw.drivers]\nface_source = face_source\n")
