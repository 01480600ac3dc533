"""Damaged records: put where no sink trips over them, and counted by every sink that passes them there.

A checksum that fails does not say which bits are wrong. What the books need of such a record is whose it was and how many readings
it held, so neither is believed unless something else agrees with it: for the run, that there is such a run, or one whose name
differs in a single character, or one that the payload still names; for the number, the total of the record before. Where nothing
agrees, the number is what the books lack.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.spool import books

_ROW = (
    "SELECT CAST(run AS BLOB), count, CAST(payload AS BLOB), typeof(count) = 'integer' AND count = total - (SELECT total FROM"
    " (SELECT position, total FROM record UNION ALL SELECT position, total FROM damaged) WHERE position = ?1 - 1)"
    " FROM record WHERE position = ?1"
)
_ASIDE = "SELECT run, count FROM damaged WHERE position = ? AND run IN (SELECT id FROM run)"
_COUNT = "SELECT count FROM record WHERE position = ?1 AND run = ?2 UNION ALL SELECT count FROM damaged WHERE position = ?1 AND run = ?2"
_LACKING = (
    "SELECT kept - coalesce((SELECT missed + delivered + dead + damaged + evicted + discarded FROM delivery"
    " WHERE run = id AND sink = ?2), 0)"
    " - (SELECT coalesce(sum(count), 0) FROM (SELECT position, run, count FROM record UNION ALL SELECT position, run, count FROM damaged)"
    " AS row WHERE row.run = ?1 AND row.position != ?3 AND row.position > (SELECT position FROM cursor WHERE sink = ?2)"
    " AND NOT EXISTS (SELECT 1 FROM span WHERE span.sink = ?2 AND row.position BETWEEN first AND last)) FROM run WHERE id = ?1"
)


def passed(db: sqlite3.Connection, sink: str, positions: Sequence[int]) -> None:
    """`sink`, whose cursor and spans and all else are written already, has passed the damaged records there."""
    for number, position in enumerate(positions):
        _set_aside(db, sink, position, positions[number + 1 :])
        _count(db, sink, position)


def _count(db: sqlite3.Connection, sink: str, position: int) -> None:
    for run, count in db.execute(_ASIDE, (position,)).fetchall():
        if db.execute("SELECT 1 FROM outbox WHERE sink = ?", (sink,)).fetchone():
            (count,) = db.execute("SELECT count(*) FROM attachment WHERE position = ?", (position,)).fetchone()
        books.deliver(db, "damaged", {(run, sink): count})


def _set_aside(db: sqlite3.Connection, sink: str, position: int, later: Sequence[int]) -> None:
    row = db.execute(_ROW, (position,)).fetchone()
    if row is None:
        return
    name, count, payload, agreed = row
    run = _run(db, bytes(name or b"").decode(errors="replace"), payload or b"")
    if not agreed:
        count = _lacking(db, sink, run, position, later)
    db.execute(
        "INSERT INTO damaged (position, run, count, total, crc, payload)"
        " SELECT position, ?2, ?3, coalesce(total, 0), coalesce(crc, 0), coalesce(payload, x'') FROM record WHERE position = ?1",
        (position, run, count),
    )
    db.execute("DELETE FROM record WHERE position = ?", (position,))


def _lacking(db: sqlite3.Connection, sink: str, run: str, position: int, later: Sequence[int]) -> int:
    """What the books of `run` lack with this sink, beside what waits and what is damaged and will be counted next."""
    found = db.execute(_LACKING, (run, sink, position)).fetchone()
    counted = [count for at in later for (count,) in db.execute(_COUNT, (at, run)) if isinstance(count, int)]
    return max(0, found[0] - sum(counted)) if found else 0


def _run(db: sqlite3.Connection, name: str, payload: bytes) -> str:
    known = {str(run) for (run,) in db.execute("SELECT id FROM run")}
    try:
        named = codec.decode_batch(payload).run
    except CodecError:
        named = ""
    alike = [run for run in sorted(known) if len(run) == len(name) and sum(map(str.__ne__, run, name)) == 1]
    return next((run for run in (name, named, *alike) if run in known), name)
