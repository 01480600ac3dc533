"""The books of the runs, as the writer keeps them: what a worker counted, what was kept here, what became of it at each sink.

For every run and sink that takes everything: kept = missed + delivered + dead + damaged + evicted + discarded + what still
waits for it. (A dead letter that is to be given again is still counted as dead here, and as waiting by who reads this.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from edgegw import codec
from edgegw.reading import Counts, Run
from edgegw.spool import file
from edgegw.spool.work import Closed, Handed

_MISSED = (
    "WITH present AS (SELECT run, sum(count) AS count FROM (SELECT run, count FROM record UNION ALL SELECT run, count FROM damaged)"
    " GROUP BY run)"
    " INSERT INTO delivery (run, sink, missed)"
    " SELECT id, ?, kept - coalesce(count, 0) FROM run LEFT JOIN present ON run = id WHERE kept > coalesce(count, 0)"
)
_KEPT_RUNS = 10_000  # when more books than this are closed, the older half is forgotten


def enrol(db: sqlite3.Connection, run: Run) -> None:
    """There is such a run. A body that was damaged is put right: without it nothing of this run could be read."""
    body = codec.encode_run(run)
    db.execute(
        "INSERT INTO run (id, body, crc) VALUES (?,?,?)"
        " ON CONFLICT (id) DO UPDATE SET body = excluded.body, crc = excluded.crc WHERE body != excluded.body OR crc != excluded.crc",
        (run.id, body, file.checksum(run.id, body)),
    )


def note(db: sqlite3.Connection, handed: Handed) -> None:
    """A batch of a run that is enrolled was kept, and brought its worker's counts."""
    kept = len(handed.batch.readings)
    db.execute("UPDATE run SET acked = max(acked, ?), kept = kept + ? WHERE id = ?", (handed.number, kept, handed.run.id))
    _count(db, handed.run.id, handed.batch.counts, closed=False)


def refuse(db: sqlite3.Connection, handed: Handed) -> None:
    """A batch was turned away for want of room; its worker need not keep it, and it is counted here."""
    enrol(db, handed.run)
    turned_away = len(handed.batch.readings)
    db.execute("UPDATE run SET acked = max(acked, ?), refused = refused + ? WHERE id = ?", (handed.number, turned_away, handed.run.id))
    _count(db, handed.run.id, handed.batch.counts, closed=False)


def close(db: sqlite3.Connection, closed: Closed) -> None:
    """The last word of a run; of one that was cut, the last that is known."""
    if closed.run.fields:  # of a run whose body is damaged nobody knows more than its id
        enrol(db, closed.run)
    _count(db, closed.run.id, closed.counts, closed=True)
    db.execute("UPDATE run SET cut = max(cut, ?), held = ? WHERE id = ?", (closed.cut, closed.held, closed.run.id))


def serve(db: sqlite3.Connection, sinks: Sequence[str]) -> None:
    """These sinks are new: what was let go of before they came is none of theirs, and what one of that name had before is forgotten."""
    for sink in sinks:
        db.execute("DELETE FROM delivery WHERE sink = ?", (sink,))
        db.execute(_MISSED, (sink,))


def deliver(db: sqlite3.Connection, column: str, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to what became of readings, by (run, sink); `column` is delivered, dead, damaged or evicted."""
    db.executemany(
        f"INSERT INTO delivery (run, sink, {column}) VALUES (?,?,?)"  # noqa: S608 - one of four names, none of them from outside
        f" ON CONFLICT (run, sink) DO UPDATE SET {column} = {column} + excluded.{column}",
        [(run, sink, count) for (run, sink), count in counts.items()],
    )


def forget(db: sqlite3.Connection) -> None:
    """The older half of the closed books, when there are too many."""
    if db.execute("SELECT count(*) FROM run").fetchone()[0] <= _KEPT_RUNS:
        return
    db.execute(
        "DELETE FROM run WHERE closed"
        " AND id NOT IN (SELECT run FROM record UNION SELECT run FROM dead_letter UNION SELECT run FROM damaged)"
        " AND id < (SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (_KEPT_RUNS // 2,),
    )
    db.execute("DELETE FROM delivery WHERE run NOT IN (SELECT id FROM run)")


def _count(db: sqlite3.Connection, run: str, counts: Counts, *, closed: bool) -> None:
    db.execute(
        "UPDATE run SET produced = max(produced, ?), filtered = max(filtered, ?), dropped = max(dropped, ?), closed = max(closed, ?)"
        " WHERE id = ?",
        (counts.produced, counts.filtered, counts.dropped, closed, run),
    )
