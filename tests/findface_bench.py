"""Faces to send, a sink that sends them to a fake FindFace, and what it says to the log."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edgegw.reading import Attachment, Record
from edgegw.sinks.findface import Camera, FindFaceSink, Server
from edgegw.sinks.schema import KINDS
from edgegw.testing import FakeClock
from edgegw.testing.findface import FakeFindFace
from tests.records import START_ns, a_reading, a_record, a_run

GATE, YARD = 3, 7  # cameras at FindFace
TOKENS = {GATE: "gate-detector-token", YARD: "yard-detector-token"}
API_TOKEN = "api-token-0123456789"
CAMERAS = {"gate": Camera(GATE, lambda: TOKENS[GATE]), "yard": Camera(YARD, lambda: TOKENS[YARD])}
ABOUT = {"left_px": 40.0, "top_px": 30.5, "right_px": 119.2, "bottom_px": 140.0, "score": 0.93, "track": 17.0}
BEFORE_ns = 700_000_000


class Journal:
    """Stands for a logger: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.told.append((event, dict(fields)))

    def of(self, event: str) -> list[dict[str, Any]]:
        """The fields of every line that is this event."""
        return [fields for name, fields in self.told if name == event]


def picture(seq: int, sensor: str = "gate") -> bytes:
    """Bytes that begin and end as a JPEG does, and hold what a form must be able to carry."""
    return b"\xff\xd8\xff\xe0" + f"{sensor} {seq}\r\n--boundary\r\n\0".encode() * 50 + b"\xff\xd9"


def digest(seq: int, sensor: str = "gate") -> str:
    """How the fake server names that picture."""
    return hashlib.sha256(picture(seq, sensor)).hexdigest()


def attachment(seq: int, sensor: str = "gate", gone: str = "") -> Attachment:
    """What rides with the reading `seq`."""
    return Attachment("image/jpeg", b"" if gone else picture(seq, sensor), BEFORE_ns, dict(ABOUT), gone)


def leaves(seqs: Iterable[int], sensor: str = "gate", run: int = 0, gone: str = "", replay: bool = False) -> Record:
    """A record of faces that leave, each with its picture; between them updates, which have none."""
    seqs = list(seqs)
    readings = []
    for seq in seqs:
        readings.append(_face(2 * seq, seq, "update"))
        readings.append(_face(2 * seq + 1, seq, "leave"))
    record = a_record(a_run(run, sensor, kinds={"face": KINDS["face"]}), readings, "face")
    pictures = {2 * seq + 1: attachment(2 * seq + 1, sensor, gone) for seq in seqs}
    return msgspec.structs.replace(record, attachments=pictures, replay=replay)


def _face(seq: int, track: int, event: str) -> Any:
    return a_reading(seq, (track, event, 10.0, 20.0, 30.0, 40.0, 0.9, 1.5), START_ns + seq * 1_000_000_000)


def sent(server: FakeFindFace) -> list[str]:
    """Which pictures it has, in order, twice where it has one twice."""
    return [event.digest for event in server.events]


def expected(seqs: Iterable[int], sensor: str = "gate") -> list[str]:
    """The pictures of `leaves(seqs)`."""
    return [digest(2 * seq + 1, sensor) for seq in seqs]


def server_of(fake: FakeFindFace, **changes: Any) -> Server:
    """How to reach the fake; `changes` over what is usual, where token and password may be text or a function that gives it."""
    usual: dict[str, Any] = {"url": fake.url, "cameras": CAMERAS, "token": API_TOKEN, "timeout_s": 30.0, "connections": 4}
    given = usual | changes
    texts = {name: given[name] for name in ("token", "password") if isinstance(given.get(name), str)}
    secrets = [text for text in (*texts.values(), *TOKENS.values()) if text]
    return Server(**{"secrets": secrets, **given, **{name: partial(str, text) for name, text in texts.items()}})


class Bench:
    """A sink, and everything it is given."""

    def __init__(self, fake: FakeFindFace, sent: Path | None = None, **changes: Any) -> None:
        self.journal = Journal()
        self.clock = FakeClock()
        self.sink = FindFaceSink(server_of(fake, **changes), self.journal, self.clock, sent)  # type: ignore[arg-type] # of a logger it needs no more

    def deliver(self, *records: Record) -> None:
        self.sink.deliver(records)


def records(count: int, each: int = 1) -> list[Record]:
    """`count` records of `each` faces."""
    numbers = itertools.count()
    return [leaves(itertools.islice(numbers, each)) for _ in range(count)]


def parts(given: Sequence[Record]) -> list[Record]:
    """Each reading as a record of its own, as halving leaves them."""
    return [
        msgspec.structs.replace(record, batch=msgspec.structs.replace(record.batch, readings=(reading,)))
        for record in given
        for reading in record.batch.readings
    ]
