"""The books after a salvage: what they say was kept, and neither is here nor went anywhere, was damaged; what is here is right.

A table of which nothing could be read says zero, and its readings are counted as damaged though a sink may have them. Where the
cursors were not to be read, what is here is sent once more, and what the books say was delivered of it is taken back.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

import msgspec

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Counts
from edgegw.spool import books
from edgegw.spool.work import Handed

_FATES = ("evicted", "damaged", "delivered", "missed", "discarded", "dead")  # in this order they are taken back
_TAKERS = "SELECT sink FROM cursor WHERE sink NOT IN (SELECT sink FROM outbox)"
_DELIVERIES = f"SELECT run, sink, {', '.join(_FATES)} FROM delivery"  # noqa: S608 - constants
_LETTERS = "SELECT run, sink, count(*) FROM dead_letter WHERE sink IN (SELECT sink FROM cursor) GROUP BY run, sink"
_WAITING = (  # what was read of the ruined file, and what has come since
    "SELECT run, sink, waiting FROM salvaging UNION ALL"
    " SELECT run, sink, sum(count) FROM (SELECT position, run, count FROM record UNION ALL SELECT position, run, count FROM damaged) AS row"
    " JOIN cursor ON row.position > max(cursor.position, ?1) WHERE NOT EXISTS"
    " (SELECT 1 FROM span WHERE span.sink = cursor.sink AND row.position BETWEEN first AND last) GROUP BY run, sink"
)
_RUNS = "SELECT id, body, kept, produced, filtered, dropped, refused, closed, held FROM run"


class _Book(msgspec.Struct):
    """What is counted of one run before its readings go their ways."""

    id: str
    body: bytes
    kept: int
    produced: int
    filtered: int
    dropped: int
    refused: int
    closed: int
    held: int

    @property
    def gone(self) -> int:
        """Readings that never were to be kept."""
        return self.filtered + self.dropped + self.refused


def heard(db: sqlite3.Connection, run: str, counts: Counts) -> None:
    """A record of `run` was found that knows so much of it."""
    db.execute(
        "UPDATE run SET produced = max(produced, ?), filtered = max(filtered, ?), dropped = max(dropped, ?) WHERE id = ?",
        (counts.produced, counts.filtered, counts.dropped, run),
    )


def begun_before(db: sqlite3.Connection, handed: Sequence[Handed]) -> None:
    """Runs that are about to be noted, and began before a ruined file took their books with it: what went before counts as damaged."""
    if not db.execute("SELECT 1 FROM salvaged LIMIT 1").fetchone():
        return
    first: dict[str, Handed] = {}
    for each in handed:
        if each.run.id not in first or each.batch.first_seq < first[each.run.id].batch.first_seq:
            first[each.run.id] = each
    for run, each in first.items():
        acked, kept, refused = db.execute("SELECT acked, kept, refused FROM run WHERE id = ?", (run,)).fetchone() or (-1, 0, 0)
        before = each.batch.first_seq - each.batch.counts.dropped - refused - kept
        if acked < 0 < before and each.number >= len(each.run.fields):  # of a new run with several kinds, the first need not come first
            books.enrol(db, each.run)
            db.execute("UPDATE run SET kept = kept + ? WHERE id = ?", (before, run))
            books.deliver(db, "damaged", {(run, sink): before for (sink,) in db.execute(_TAKERS).fetchall()})


def settle(db: sqlite3.Connection, base: int, *, torn: bool) -> int:
    """Make them balance; `torn`: the table of runs could not be read. Returns the readings that are missing somewhere."""
    takers = [sink for (sink,) in db.execute(_TAKERS)]
    waiting: Counter[tuple[str, str]] = Counter()
    for run, sink, count in db.execute(_WAITING, (base,)):
        waiting[run, sink] += count
    fates = {(run, sink): list(counts) for run, sink, *counts in db.execute(_DELIVERIES)}
    for run, sink, letters in db.execute(_LETTERS):
        found = fates.setdefault((run, sink), [0] * len(_FATES))
        found[-1] = max(found[-1], letters)
    missing = 0
    for row in db.execute(_RUNS).fetchall():
        book = _Book(*row)
        lowest = max([waiting[book.id, sink] for sink in takers], default=0)
        mended = _mended(book, lowest, torn=torn)
        if mended != book:
            db.execute("UPDATE run SET kept = ?, produced = ? WHERE id = ?", (mended.kept, mended.produced, book.id))
        lacks = [_settle(db, mended, sink, waiting[book.id, sink], fates.get((book.id, sink), [0] * len(_FATES))) for sink in takers]
        missing += max(lacks, default=0)
    return missing


def _mended(book: _Book, lowest: int, *, torn: bool) -> _Book:
    """No less kept than is here, and no more than was produced; where only the records told of the run, what came before them was kept."""
    most = book.produced - book.gone
    kept = max(book.kept, most) if torn else book.kept
    kept = max(lowest, min(kept, most))
    produced = max(book.produced, book.gone + kept)
    if torn and (window := _window(book.body)):
        produced = min(produced, book.gone + kept + (book.held if book.closed and book.held >= 0 else window))
    return msgspec.structs.replace(book, kept=kept, produced=produced)


def _window(body: bytes) -> int:
    try:
        return codec.decode_run(body).window
    except CodecError:
        return 0


def _settle(db: sqlite3.Connection, book: _Book, sink: str, waiting: int, fates: list[int]) -> int:
    """One run at one sink; returns the readings that are missing there."""
    lacking = book.kept - waiting - sum(fates)
    after = list(fates)
    after[_FATES.index("damaged")] += max(0, lacking)
    over = max(0, -lacking)
    for at, count in enumerate(after):
        taken = min(over, count)
        after[at], over = count - taken, over - taken
    db.execute(
        f"INSERT OR REPLACE INTO delivery (run, sink, {', '.join(_FATES)}) VALUES (?,?,{','.join('?' * len(_FATES))})",  # noqa: S608 - constants
        (book.id, sink, *after),
    )
    return max(0, lacking)
