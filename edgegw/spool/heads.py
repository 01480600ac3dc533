"""What a ruined file says of runs, sinks and clocks, taken over into a new one: without it nobody could tell what its records are.

Asked of SQLite as far as that can read; the tables that it cannot read to the end are looked for page by page. Whatever is said
twice is said at different times, and all of it only grows: so the larger one is right.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.spool import file
from edgegw.spool.pages import Row
from edgegw.spool.reach import Reach

_RUN = (
    "INSERT INTO run (id, body, crc, acked, kept, produced, filtered, dropped, closed, refused, cut, held) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT (id) DO UPDATE SET body = iif(length(body) = 0, excluded.body, body), crc = iif(length(body) = 0, excluded.crc, crc),"
    " acked = max(acked, excluded.acked), kept = max(kept, excluded.kept), produced = max(produced, excluded.produced),"
    " filtered = max(filtered, excluded.filtered), dropped = max(dropped, excluded.dropped), closed = max(closed, excluded.closed),"
    " refused = max(refused, excluded.refused), cut = max(cut, excluded.cut), held = max(held, excluded.held)"
)
_DELIVERY = (
    "INSERT INTO delivery (run, sink, delivered, dead, damaged, evicted, missed, discarded) VALUES (?,?,?,?,?,?,?,?)"
    " ON CONFLICT (run, sink) DO UPDATE SET delivered = max(delivered, excluded.delivered), dead = max(dead, excluded.dead),"
    " damaged = max(damaged, excluded.damaged), evicted = max(evicted, excluded.evicted), missed = max(missed, excluded.missed),"
    " discarded = max(discarded, excluded.discarded)"
)
_MARK = (
    "INSERT INTO mark (boot_id, position, given_up, boot_ns, wall_ns) VALUES (?,?,?,?,?) ON CONFLICT (boot_id) DO UPDATE SET"
    " position = excluded.position, boot_ns = excluded.boot_ns, wall_ns = excluded.wall_ns WHERE mark.wall_ns = 0"
)
_WRITTEN = "INSERT INTO written (day, bytes) VALUES (?,?) ON CONFLICT (day) DO UPDATE SET bytes = max(bytes, excluded.bytes)"
_COLUMNS = {
    "run": "id, body, crc, acked, kept, produced, filtered, dropped, closed, refused, cut, held",
    "cursor": "sink, position",
    "span": "sink, first, last",
    "delivery": "run, sink, delivered, dead, damaged, evicted, missed, discarded",
    "mark": "boot_id, position, given_up, boot_ns, wall_ns",
    "written": "day, bytes",
}
_BESIDE = frozenset(["written"])  # of tables with a rowid; a few days of it are not worth looking for
_LARGEST = 1 << 62


def take(db: sqlite3.Connection, aside: Path, base: int) -> frozenset[str]:
    """All that SQLite can read of `aside`, whose positions lie below `base`; returns the tables that it could not read to the end."""
    found, torn = _found(aside)
    for table, rows in found.items():
        keep(db, table, rows, base)
    return torn


def _found(aside: Path) -> tuple[dict[str, list[Row]], frozenset[str]]:
    torn: set[str] = set()
    found: dict[str, list[Row]] = {}
    try:
        with contextlib.closing(file.connect(aside, "ro")) as old:
            old.text_factory = lambda text: text.decode(errors="replace")
            for table in _COLUMNS:
                found[table] = list(_read(old, table, torn))
    except sqlite3.DatabaseError:
        torn.update(_COLUMNS)
    finally:
        aside.with_name(f"{aside.name}-shm").unlink(missing_ok=True)
    return found, frozenset(torn - _BESIDE)


def keep(db: sqlite3.Connection, table: str, rows: Iterable[Row], base: int) -> None:
    """These rows of that table, as far as they can be right."""
    _KEEPERS[table](db, rows, base)


def table_of(row: Row) -> str:
    """Which of the tables WITHOUT ROWID such a row is of, by its shape; "" where it is of none of them."""
    shape = "".join({str: "t", bytes: "b", int: "i"}.get(type(value), "?") for value in row)
    if shape.startswith("tbiiiiiii"):
        return "run"
    return {"ti": "cursor", "tii": "span", "ttiiiiii": "delivery", "tiiii": "mark"}.get(shape, "")


def _read(old: sqlite3.Connection, table: str, torn: set[str]) -> Iterator[Row]:
    """From both ends, where there is a hole in the middle."""
    for order in ("ASC", "DESC"):
        try:
            yield from map(list, old.execute(f"SELECT {_COLUMNS[table]} FROM {table} ORDER BY 1 {order}"))  # noqa: S608 - constants
        except (sqlite3.DatabaseError, OverflowError):
            torn.add(table)
        else:
            return


def _runs(db: sqlite3.Connection, rows: Iterable[Row], base: int) -> None:
    for id_, body, crc, acked, kept, produced, filtered, dropped, closed, *rest in rows:
        counts = (kept, produced, filtered, dropped, closed)
        refused, cut, held = (*rest[:3], 0, 0, -1)[:3] if len(rest) < 3 else rest[:3]
        if not isinstance(id_, str) or not _counts(*counts, refused, cut) or not _counts(acked, held, least=-1):
            continue
        if not _is_run(id_, body, crc):
            body, crc = b"", 0  # its worker heals it, if it lives
        db.execute(_RUN, (id_, body, crc, acked, *counts, refused, cut, held))


def _is_run(id_: str, body: object, crc: object) -> bool:
    try:
        return isinstance(body, bytes) and crc == file.checksum(id_, body) and codec.decode_run(body).id == id_
    except CodecError:
        return False


def _cursors(db: sqlite3.Connection, rows: Iterable[Row], base: int) -> None:
    found = [(position, sink) for sink, position in rows if isinstance(sink, str) and _counts(position) and _below(position, base)]
    db.executemany("UPDATE cursor SET position = max(position, ?) WHERE sink = ?", found)


def _spans(db: sqlite3.Connection, rows: Iterable[Row], base: int) -> None:
    reaches = {sink: _reach(db, sink, position) for sink, position in db.execute("SELECT sink, position FROM cursor").fetchall()}
    for sink, first, last in rows:
        if isinstance(sink, str) and sink in reaches and _counts(first, last, least=1) and _below(last, base) and _below(first, last):
            reaches[sink] = reaches[sink].with_((first, last))  # type: ignore[arg-type] # they are integers
    for sink, reach in reaches.items():
        db.execute("UPDATE cursor SET position = ? WHERE sink = ?", (reach.cursor, sink))
        db.execute("DELETE FROM span WHERE sink = ?", (sink,))
        db.executemany("INSERT INTO span VALUES (?,?,?)", [(sink, *span) for span in reach.ahead])


def _reach(db: sqlite3.Connection, sink: str, cursor: int) -> Reach:
    reach = Reach(cursor)
    for span in db.execute("SELECT first, last FROM span WHERE sink = ?", (sink,)):
        reach = reach.with_(span)
    return reach


def _deliveries(db: sqlite3.Connection, rows: Iterable[Row], base: int) -> None:
    sinks = {sink for (sink,) in db.execute("SELECT sink FROM cursor")}
    for run, sink, *counts in rows:
        if isinstance(run, str) and sink in sinks and _counts(*counts):
            db.execute(_DELIVERY, (run, sink, *counts))


def _marks(db: sqlite3.Connection, rows: Iterable[Row], base: int) -> None:
    db.executemany(_MARK, [row for row in rows if isinstance(row[0], str) and _counts(*row[1:])])


def _written(db: sqlite3.Connection, rows: Iterable[Row], base: int) -> None:
    db.executemany(_WRITTEN, [row for row in rows if _counts(*row)])


def _counts(*values: object, least: int = 0) -> bool:
    return all(type(value) is int and least <= value < _LARGEST for value in values)


def _below(position: object, most: object) -> bool:
    return isinstance(position, int) and isinstance(most, int) and position <= most


_KEEPERS: dict[str, Callable[[sqlite3.Connection, Iterable[Row], int], None]] = {
    "run": _runs,
    "cursor": _cursors,
    "span": _spans,
    "delivery": _deliveries,
    "mark": _marks,
    "written": _written,
}
