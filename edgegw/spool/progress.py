"""How far the sinks are, as the writer keeps it: cursors, what was delivered ahead of them, dead letters."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from edgegw.reading import Letter
from edgegw.spool import aside, books, letters
from edgegw.spool.work import Commit, Span


def serve(db: sqlite3.Connection, sinks: Sequence[str]) -> None:
    """From now on these are the sinks; those that are gone are forgotten, new ones begin at the oldest record."""
    gone = [(sink,) for (sink,) in db.execute("SELECT sink FROM cursor").fetchall() if sink not in sinks]
    db.executemany("DELETE FROM cursor WHERE sink = ?", gone)
    db.executemany("DELETE FROM span WHERE sink = ?", gone)
    new = [sink for sink in sinks if db.execute("INSERT OR IGNORE INTO cursor VALUES (?, 0)", (sink,)).rowcount > 0]
    books.serve(db, new)


def write(db: sqlite3.Connection, work: Commit) -> None:
    """All that the sinks have done."""
    db.executemany("UPDATE cursor SET position = max(position, ?) WHERE sink = ?", [(at, sink) for sink, at in work.cursors.items()])
    _spans(db, work.spans)
    books.deliver(db, "delivered", work.delivered)
    letters.retried(db, work.retried, work.letters)
    _letters(db, [each for each in work.letters if (each.run.id, each.reading.seq) not in work.retried.get(each.sink, ())])
    for sink in {sink for sink, _ in work.damaged}:
        aside.passed(db, sink, [position for of, position in work.damaged if of == sink])


def _spans(db: sqlite3.Connection, spans: Mapping[str, Sequence[Span]]) -> None:
    for sink, ahead in spans.items():
        db.execute("DELETE FROM span WHERE sink = ?", (sink,))
        db.executemany("INSERT INTO span VALUES (?,?,?)", [(sink, first, last) for first, last in ahead])


def _letters(db: sqlite3.Connection, fresh: Sequence[Letter]) -> None:
    letters.bury(db, fresh)
    books.deliver(db, "dead", Counter((letter.run.id, letter.sink) for letter in fresh))

