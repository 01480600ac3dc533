"""What is in a spool and how much room is left, in one look; for people, so a time is worth more than a position."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgegw.clock import NS_PER_S
from edgegw.spool import file, salvage
from edgegw.spool.extract import ANY_BOOT
from edgegw.spool.reader import Reader
from edgegw.spool.salvage import Salvaged

_RATE_records = 1000
_LETTERS = "SELECT sink, code, count(*), min(reason) FROM dead_letter GROUP BY sink, code ORDER BY sink, count(*) DESC"


class Backlog(msgspec.Struct, frozen=True):
    """What one sink has still to get."""

    sink: str
    readings: int  # of an outbox: attachments
    outbox: bool
    oldest_ns: int  # wall clock of the first of them; 0 where none waits


class Letters(msgspec.Struct, frozen=True):
    """Readings that a sink rejected with one code."""

    sink: str
    code: str
    readings: int
    example: str  # a reason given with it


class State(msgspec.Struct, frozen=True):
    """All of it at about one moment."""

    used_bytes: int
    records: int
    readings: int
    oldest_ns: int  # wall clock; 0 where there is none
    rate_hz: float | None  # readings, taken in lately; None where what is there does not tell
    backlog: list[Backlog]
    letters: list[Letters]
    set_aside: int  # readings of damaged records
    written: Mapping[int, int]  # day since the epoch → bytes; day 0 stands for days that nobody knows
    salvaged: list[Salvaged]

    @property
    def growth_bytes(self) -> float | None:
        """A second, if no sink took anything."""
        return self.rate_hz * self.used_bytes / self.readings if self.rate_hz and self.readings else None


def look(path: Path) -> State:
    """The spool at `path`, also while a gateway writes to it. Raises SpoolError."""
    with (
        contextlib.closing(Reader(path, ANY_BOOT)) as reader,
        file.explained(path, "read"),
        contextlib.closing(file.connect(path, "ro")) as db,
    ):
        records, readings = db.execute("SELECT count(*), coalesce(sum(count), 0) FROM record").fetchone()
        (aside,) = db.execute("SELECT coalesce(sum(count), 0) FROM damaged").fetchone()
        sinks = db.execute("SELECT sink, sink IN (SELECT sink FROM outbox) FROM cursor ORDER BY sink").fetchall()
        return State(
            used_bytes=(_pragma(db, "page_count") - _pragma(db, "freelist_count")) * file.PAGE_bytes,
            records=records,
            readings=readings,
            oldest_ns=_time_ns(reader, 1),
            rate_hz=_rate_hz(db, reader),
            backlog=[_backlog(reader, sink, outbox=bool(outbox)) for sink, outbox in sinks],
            letters=[Letters(*row) for row in db.execute(_LETTERS)],
            set_aside=aside,
            written=dict(db.execute("SELECT day, bytes FROM written ORDER BY day")),
            salvaged=salvage.said(db),
        )


def _backlog(reader: Reader, sink: str, *, outbox: bool) -> Backlog:
    reach = reader.reach(sink)
    if outbox:
        waiting = reader.outgoing(reach.cursor, 0).records
        return Backlog(sink, reader.unsent(reach.cursor), True, waiting[0].batch.readings[0].time_ns if waiting else 0)
    readings = reader.undone(sink)
    gap = reach.gap(reader.newest())
    return Backlog(sink, readings, False, _time_ns(reader, gap[0]) if readings and gap else 0)


def _time_ns(reader: Reader, first: int, last: int | None = None) -> int:
    """Of the first reading from position `first` on; 0 where there is none."""
    found = reader.piece(first, last, 1).records
    return found[0].batch.readings[0].time_ns if found else 0


def _rate_hz(db: sqlite3.Connection, reader: Reader) -> float | None:
    """By the records that were taken in last: readings between the first and the last of them, and their times."""
    newest = db.execute("SELECT position, count FROM record ORDER BY position DESC LIMIT ?", (_RATE_records,)).fetchall()
    if len(newest) < 2:
        return None
    (last, _), (first, _) = newest[0], newest[-1]
    over_ns = _time_ns(reader, last, last) - _time_ns(reader, first, first)
    return sum(count for _, count in newest[1:]) * NS_PER_S / over_ns if over_ns >= NS_PER_S else None


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
