"""The oldest records of a sensor give way: gone from the spool, and counted for each sink that had not got them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.spool import attached, books
from edgegw.spool.work import Span

_RUNS_at_once = 500  # SQLite of old takes no more than 999 values in a statement
_RECORDS = (
    "SELECT position, run, count, length(payload)"
    " + coalesce((SELECT sum(length(data)) FROM attachment WHERE attachment.position = record.position), 0) FROM record"
)
_BODIES = "SELECT id, body FROM run WHERE bytes > 0"


class Eldest:
    """Where the oldest records of each sensor are, so that nobody has to look through all of the others for them.

    An index by run would be as quick, and write one page more for each sensor in every commit. Both notes here stay true when a
    transaction is rolled back: runs may have no record any more, and the oldest record may lie further behind.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        """Of what is in the spool now; append() has to be told of what comes."""
        self._runs: dict[str, set[str]] = {}
        self._from: dict[str, int] = {}  # sensor → position before which there is nothing of it
        for run, body in db.execute(_BODIES):
            try:
                self.enrol(codec.decode_run(body).sensor, run)
            except (CodecError, TypeError):  # damaged; its records are let go of when the sinks have passed them
                continue

    def enrol(self, sensor: str, run: str) -> None:
        """There may be records of this run."""
        self._runs.setdefault(sensor, set()).add(run)

    def held_bytes(self, db: sqlite3.Connection, sensor: str) -> int:
        """What the spool holds of it, without what the database needs to keep it."""
        return sum(self._living(db, sensor).values())

    def records(self, db: sqlite3.Connection, sensor: str) -> Iterator[tuple[int, str, int, int]]:
        """(position, run, readings, bytes), oldest first."""
        runs = sorted(self._living(db, sensor))[:_RUNS_at_once]  # a UUIDv7 sorts by time
        marks = ",".join("?" * len(runs))
        found = db.execute(
            f"{_RECORDS} WHERE position >= ? AND run IN ({marks}) ORDER BY position",  # question marks
            (self._from.get(sensor, 0), *runs),
        )
        for at, (position, run, count, bytes_) in enumerate(found):
            if at == 0:
                self._from[sensor] = position
            yield position, run, count, bytes_

    def _living(self, db: sqlite3.Connection, sensor: str) -> dict[str, int]:
        runs = self._runs.get(sensor, set())
        held = {run: _bytes(db, run) for run in runs}
        if len(runs) > 1:
            runs -= {run for run, bytes_ in held.items() if bytes_ <= 0 and run != max(runs)}
        return {run: bytes_ for run, bytes_ in held.items() if bytes_ > 0}


class Sinks:
    """How far the sinks are in this very transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._cursors: dict[str, int] = dict(db.execute("SELECT sink, position FROM cursor"))
        self._outboxes: Collection[str] = {sink for (sink,) in db.execute("SELECT sink FROM outbox")}
        self._spans: dict[str, list[Span]] = {}
        for sink, first, last in db.execute("SELECT sink, first, last FROM span"):
            self._spans.setdefault(sink, []).append((first, last))

    def without(self, position: int, count: int, attachments: int) -> dict[str, int]:
        """Sink → readings of the record there that it has not got; of an outbox, what is attached to them."""
        lacking = [sink for sink, cursor in self._cursors.items() if cursor < position and not _in(position, self._spans.get(sink, ()))]
        each = {sink: attachments if sink in self._outboxes else count for sink in lacking}
        return {sink: number for sink, number in each.items() if number}


def evict(db: sqlite3.Connection, eldest: Eldest, sensor: str, bytes_: int, in_hand: Sequence[Span]) -> tuple[int, int]:
    """Give up the oldest records of `sensor` until so many bytes are free, but none in hand; (bytes, readings) that went."""
    sinks, evicted = Sinks(db), Counter[tuple[str, str]]()
    going: list[tuple[int, str, int]] = []
    freed = readings = 0
    for position, run, count, size in eldest.records(db, sensor):
        if freed >= bytes_:
            break
        if not _in(position, in_hand):
            going.append((position, run, count))
            freed += size
    for position, run, count in going:
        lacking = sinks.without(position, count, attached.give_up(db, position))
        evicted.update({(run, sink): number for sink, number in lacking.items()})
        readings += count if lacking else 0
        db.execute("DELETE FROM record WHERE position = ?", (position,))
    books.deliver(db, "evicted", evicted)
    return freed, readings


def _in(position: int, spans: Sequence[Span]) -> bool:
    return any(first <= position <= last for first, last in spans)


def _bytes(db: sqlite3.Connection, run: str) -> int:
    row = db.execute("SELECT bytes FROM run WHERE id = ?", (run,)).fetchone()
    return int(row[0]) if row else 0
