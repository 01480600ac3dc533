"""The books of the runs, as a reader finds them: what was kept, and what became of it at each sink."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

import msgspec

from edgegw.errors import CodecError
from edgegw.reading import Counts, Run
from edgegw.spool import salvage

_BEHIND = (  # readings in these rows that a sink is not done with
    "SELECT run, sink, sum(count) FROM {rows} AS row JOIN cursor ON row.position > cursor.position"
    " WHERE sink NOT IN (SELECT sink FROM outbox) AND NOT EXISTS ("
    "SELECT 1 FROM span WHERE span.sink = cursor.sink AND row.position BETWEEN span.first AND span.last) GROUP BY run, sink"
)
_UNREAD = _BEHIND.format(rows="record")
_UNMET = _BEHIND.format(rows="damaged")  # set aside, and not passed by this sink yet
_UNSENT = (  # also of what is set aside, which the outbox has still to pass
    "SELECT run, sink, count(*) FROM attachment JOIN (SELECT position, run FROM record UNION ALL SELECT position, run FROM damaged) AS row"
    " USING (position) JOIN cursor ON row.position > cursor.position WHERE sink IN (SELECT sink FROM outbox) GROUP BY run, sink"
)
_DELIVERY = "SELECT run, sink, delivered, dead, damaged, evicted, missed, discarded FROM delivery"
_AGAIN = "SELECT run, sink, count(*) FROM retry GROUP BY run, sink"
_SINKS = "SELECT sink, sink IN (SELECT sink FROM outbox) FROM cursor ORDER BY sink"
_RUNS = "SELECT id, acked, kept, produced, filtered, dropped, refused, closed, cut, held FROM run ORDER BY id"


class Outcome(msgspec.Struct, frozen=True):
    """What became of a run's readings at one sink; of an outbox, of its attachments."""

    waiting: int = 0  # in the spool, not yet at the sink
    delivered: int = 0  # the sink has confirmed them
    dead: int = 0  # the sink rejected them; they are among the dead letters
    damaged: int = 0  # their record in the spool failed its checksum
    evicted: int = 0  # given up for want of room, as the configuration asks
    missed: int = 0  # let go of before this sink was configured
    discarded: int = 0  # dead letters that somebody gave up

    @property
    def total(self) -> int:
        """All of them: what the run handed over, if the books balance."""
        return self.waiting + self.delivered + self.dead + self.damaged + self.evicted + self.missed + self.discarded


class Book(msgspec.Struct, frozen=True):
    """One run in the ledger: kept is the total of each sink that takes everything."""

    run: Run
    acked: int  # number of the last batch committed
    kept: int  # readings that were ever committed here
    counts: Counts
    refused: int  # readings turned away for want of room, as the configuration asks
    closed: bool
    cut: bool  # closed without its worker's last word: the counts are those of the last batch that came
    sinks: Mapping[str, Outcome]  # those of which there is anything to say
    held: int = -1  # readings not acknowledged when its worker left in order; -1: it did not, or has not yet


class Ledger(msgspec.Struct, frozen=True):
    """All the books at one moment."""

    books: list[Book]
    sinks: tuple[str, ...]  # that take everything
    outboxes: tuple[str, ...]  # that take attachments, and are counted in them


def ledger(db: sqlite3.Connection, run_of: Callable[[str], Run]) -> Ledger:
    """Of a run whose record is damaged, no more than its id is known, and its counts. To be called within one transaction."""

    def known(id_: str) -> Run:
        try:
            return run_of(id_)
        except CodecError:  # one flipped bit must not hide all the books
            return Run("", "", "", id_, "", 0, {})

    names = [(sink, bool(outbox)) for sink, outbox in db.execute(_SINKS)]
    return Ledger(
        books=books(db, known),
        sinks=tuple(name for name, is_outbox in names if not is_outbox),
        outboxes=tuple(name for name, is_outbox in names if is_outbox),
    )


def books(db: sqlite3.Connection, run_of: Callable[[str], Run]) -> list[Book]:
    """Every run that the spool remembers, oldest first (a UUIDv7 sorts by time). Raises what `run_of` raises."""
    outcomes = _outcomes(db)
    found = [
        Book(
            run=run_of(id_),
            acked=acked,
            kept=kept,
            counts=Counts(produced, filtered, dropped),
            refused=refused,
            closed=bool(closed),
            cut=bool(cut),
            sinks=outcomes.get(id_, {}),
            held=held,
        )
        for id_, acked, kept, produced, filtered, dropped, refused, closed, cut, held in db.execute(_RUNS).fetchall()
    ]
    return [_with_unread(db, book) for book in found] if salvage.floor(db) else found


def _with_unread(db: sqlite3.Connection, book: Book) -> Book:
    """What is still to be read of a file that was set aside waits, too; what cannot be read of it is counted at the end."""
    takers = [sink for sink, outbox in db.execute(_SINKS) if not outbox]
    outcomes = {sink: book.sinks.get(sink, Outcome()) for sink in takers}
    unread = {sink: msgspec.structs.replace(of, waiting=of.waiting + max(0, book.kept - of.total)) for sink, of in outcomes.items()}
    return msgspec.structs.replace(book, sinks={**book.sinks, **unread})


def unclosed(db: sqlite3.Connection) -> list[str]:
    """The ids of runs whose workers live, or whose end nobody has noted."""
    return [id_ for (id_,) in db.execute("SELECT id FROM run WHERE NOT closed ORDER BY id")]


def _outcomes(db: sqlite3.Connection) -> dict[str, dict[str, Outcome]]:
    found: dict[str, dict[str, Outcome]] = {}
    for run, sink, *counts in db.execute(_DELIVERY):
        found.setdefault(run, {})[sink] = Outcome(0, *counts)
    for question in (_UNREAD, _UNMET, _UNSENT):
        for run, sink, count in db.execute(question):
            before = found.setdefault(run, {}).get(sink, Outcome())
            found[run][sink] = msgspec.structs.replace(before, waiting=before.waiting + count)
    for run, sink, count in db.execute(_AGAIN):
        before = found.setdefault(run, {}).get(sink, Outcome())
        again = min(count, before.dead)  # letters of before a sink was configured anew are in no book
        found[run][sink] = msgspec.structs.replace(before, dead=before.dead - again, waiting=before.waiting + again)
    return found
