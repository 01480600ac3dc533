"""Rows of a ruined file that are what they seem to be, taken over into the spool that has its place."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter

import msgspec

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Batch, Reading
from edgegw.spool import attached, file, settle
from edgegw.spool.evict import Sinks
from edgegw.spool.pages import Row

_ALL_HAVE = "SELECT coalesce(min(position), 0) FROM cursor"  # nobody waits for anything up to there
_WAITS = (
    "INSERT INTO salvaging (run, sink, waiting) VALUES (?,?,?) ON CONFLICT (run, sink) DO UPDATE SET waiting = waiting + excluded.waiting"
)


class Taker:
    """Takes over the rows of one piece of a ruined file, all of whose positions are no higher than `upto`."""

    def __init__(self, db: sqlite3.Connection, upto: int, *, torn: bool, purged: bool = False) -> None:
        """`torn`: its table of runs could not be read, so each record is asked for what it knows of its run. `purged`: no pictures."""
        self._db = db
        self._upto = upto
        self._torn = torn
        self._purged = purged
        self._sinks = Sinks(db)
        (self._done,) = db.execute(_ALL_HAVE).fetchone()
        self._outbox = db.execute("SELECT 1 FROM outbox").fetchone() is not None
        self._waiting: Counter[tuple[str, str]] = Counter()
        self.records = self.readings = 0

    def take(self, rowid: int, row: Row) -> int:
        """A row of a table with a rowid, if it is a record or an attachment that is whole; returns its bytes."""
        match row:
            case [None, str() as run, int(), int() as total, int() as crc, bytes() as payload]:
                return self._record(rowid, run, total, crc, payload)
            case [int(), int(), str(), int(), int(), str() as gone, bytes() as about, int() as crc, bytes() as data] if self._outbox:
                whole = bool(gone) or crc == file.checksum("", about + data)
                return self._attachment(row) if whole else 0
        return 0

    def letter(self, row: Row) -> int:
        """A row of a table without one, if it is a dead letter."""
        match row:
            case [str(), str(), int() as seq, str(), bytes() as body, str(), str(), int()]:
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    if msgspec.msgpack.decode(body, type=Reading).seq == seq:
                        self._db.execute("INSERT OR IGNORE INTO dead_letter VALUES (?,?,?,?,?,?,?,?)", row)
                        return len(body)
        return 0

    def note(self) -> None:
        """How much of what was taken over each sink has still to get."""
        self._db.executemany(_WAITS, [(run, sink, count) for (run, sink), count in self._waiting.items()])

    def _record(self, position: int, run: str, total: int, crc: int, payload: bytes) -> int:
        if not self._done < position <= self._upto or crc != file.checksum(run, payload):
            return 0
        try:
            batch = codec.decode_batch(payload)
        except CodecError:
            return 0
        count = len(batch.readings)
        row = (position, run, count, total, crc, payload)
        if not self._db.execute("INSERT OR IGNORE INTO record VALUES (?,?,?,?,?,?)", row).rowcount:
            return 0
        self.records, self.readings = self.records + 1, self.readings + count
        self._waiting.update({(run, sink): lacking for sink, lacking in self._sinks.without(position, count, 0).items()})
        self._enrol(run, position, batch)
        return len(payload)

    def _enrol(self, run: str, position: int, batch: Batch) -> None:
        if self._outbox:  # what is attached may have come first, and was nobody's then
            attached = "SELECT coalesce(sum(length(data)), 0) FROM attachment WHERE position = ?"
            self._db.execute(f"UPDATE run SET bytes = bytes + ({attached}) WHERE id = ?", (position, run))  # noqa: S608 - a constant
        if self._torn:
            self._db.execute("INSERT OR IGNORE INTO run (id, body, crc, bytes) VALUES (?, x'', 0, ?)", (run, 0))
            settle.heard(self._db, run, batch.counts)

    def _attachment(self, row: Row) -> int:
        if self._purged:
            row = [*row[:5], row[5] or "purged", row[6], 0, b""]
        with attached.zeroing(self._db):
            self._db.execute("INSERT OR IGNORE INTO attachment VALUES (?,?,?,?,?,?,?,?,?)", row)
        return len(row[8]) if isinstance(row[8], bytes) else 0
