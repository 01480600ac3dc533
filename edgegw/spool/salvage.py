"""Takes over from a ruined spool that was set aside what can be read of it.

What tells how far the sinks are is taken over at once, when the new file is begun; the records follow page by page, each piece one
transaction that also notes how far it came, so that a salvage which is interrupted goes on where it was. A record keeps its
position, and positions given from now on lie beyond all of the old ones: so cursors and spans mean what they meant, and nothing
can be taken twice. Until all of it is there the sinks are not shown the old positions, or their cursors would pass what comes later.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from edgegw.spool import file, heads, remains, settle
from edgegw.spool.pages import INDEX, INNER_INDEX, TABLE, Pages
from edgegw.spool.taker import Taker

FRESH_bits = 40
FRESH_positions = 1 << FRESH_bits  # the file that replaces the ruined one of number n counts on from n times this
_PIECE_pages, _PIECE_bytes = 256, 1 << 20
_AT_WORK = "SELECT number, page, torn, purged FROM salvaged WHERE NOT done ORDER BY number LIMIT 1"


class Salvaged(msgspec.Struct, frozen=True):
    """What became of one file that was set aside."""

    number: int  # it is called spool.db.damaged-NUMBER
    done: bool  # False: it is being read, or was interrupted
    records: int  # taken over, as are
    readings: int
    missing: int  # readings that a sink had still to get by the books, and that could not be read


def said(db: sqlite3.Connection) -> list[Salvaged]:
    """Of all files that were set aside, as far as this spool knows."""
    rows = db.execute("SELECT number, done, records, readings, missing FROM salvaged ORDER BY number").fetchall()
    return [Salvaged(number, bool(done), *counts) for number, done, *counts in rows]


def floor(db: sqlite3.Connection) -> int:
    """The position up to which nothing may be looked at yet, because more may come there; 0: all may."""
    row = db.execute("SELECT max(number) FROM salvaged WHERE NOT done").fetchone()
    return int(row[0] or 0) * FRESH_positions


def begin(db: sqlite3.Connection, path: Path) -> None:
    """While a spool is opened whose sinks are known: where it is begun in the place of ruined files, take over what these tell."""
    if db.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'record'").fetchone():
        return
    numbers = list(itertools.takewhile(lambda number: file.aside_name(path, number).exists(), itertools.count(1)))
    for number in numbers:
        aside = file.aside_name(path, number)
        if not remains.mark_of(aside).exists():
            torn = heads.take(db, aside, number * FRESH_positions)
            db.execute("INSERT INTO salvaged (number, torn) VALUES (?, ?)", (number, " ".join(sorted(torn))))
    if numbers:
        db.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (numbers[-1] * FRESH_positions,))


class Salvor:
    """Reads what was set aside, in pieces, for the one who writes to the spool."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._known = {one.number for one in said(db) if one.done}
        self.at_work = _pending(db)

    def work(self, transaction: Callable[[], AbstractContextManager[None]], max_bytes: int) -> bool:
        """Take over the next piece, if there is one; True when that was the last of its file. The spool may grow to `max_bytes` for it.

        That is more than it may hold: what was once taken in is not turned away, and what is new waits until there is room again.
        """
        if not self.at_work:
            return False
        with transaction():
            file.limit(self._db, max_bytes)
            ended = _step(self._db, self._path)
        self.at_work = _pending(self._db)
        if ended:  # or a later spool would take it for new
            for one in said(self._db):
                if one.done and file.aside_name(self._path, one.number).exists():
                    remains.mark_of(file.aside_name(self._path, one.number)).touch(mode=0o600)
        return ended

    def ended(self) -> list[Salvaged]:
        """The files that are done, and were not when this was asked before."""
        new = [one for one in said(self._db) if one.done and one.number not in self._known]
        self._known |= {one.number for one in new}
        return new


def _pending(db: sqlite3.Connection) -> bool:
    return db.execute(_AT_WORK).fetchone() is not None


def _step(db: sqlite3.Connection, path: Path) -> bool:
    """Within a transaction: take over the next piece. True when that was the last one of its file."""
    number, page, torn, purged = db.execute(_AT_WORK).fetchone()
    try:
        pages = Pages(file.aside_name(path, number))
    except OSError:  # somebody took it away: what is not here yet is missing
        return _end(db, number)
    with contextlib.closing(pages):
        if page < pages.count and not torn:
            page = pages.count
        if page < pages.count:
            done = _heads(db, number, pages, page, torn.split())
        else:
            taker = Taker(db, number * FRESH_positions, torn="run" in torn.split(), purged=bool(purged))
            done = _rows(db, number, pages, page, taker)
        db.execute("UPDATE salvaged SET page = ? WHERE number = ?", (done, number))
        return done >= 2 * pages.count and _end(db, number)


def _heads(db: sqlite3.Connection, number: int, pages: Pages, page: int, torn: list[str]) -> int:
    """Rows of the tables that SQLite cannot read, in the next pages; returns how many pages have been read."""
    end = min(page + 8 * _PIECE_pages, pages.count)
    for at in range(page, end):
        for _, _, row in pages.rows(at + 1, INDEX, INNER_INDEX):
            if (table := heads.table_of(row)) in torn:
                heads.keep(db, table, [row], number * FRESH_positions)
    return end


def _rows(db: sqlite3.Connection, number: int, pages: Pages, page: int, taker: Taker) -> int:
    """As _heads(), of the tables that may be long, in the pages once more from the first."""
    taken_bytes, end = 0, min(page + _PIECE_pages, 2 * pages.count)
    while page < end and taken_bytes < _PIECE_bytes:
        page += 1
        for kind, rowid, row in pages.rows(page - pages.count, TABLE, INDEX, INNER_INDEX):
            taken_bytes += taker.take(rowid, row) if kind == TABLE else taker.letter(row)
    taker.note()
    counts = (taker.records, taker.readings, number)
    db.execute("UPDATE salvaged SET records = records + ?, readings = readings + ? WHERE number = ?", counts)
    return page


def _end(db: sqlite3.Connection, number: int) -> bool:
    """All that can be had of this file is here; after the last of them the books are settled."""
    torn = any("run" in names.split() for (names,) in db.execute("SELECT torn FROM salvaged WHERE NOT done"))
    db.execute("UPDATE salvaged SET done = 1 WHERE number = ?", (number,))
    if not _pending(db):
        missing = settle.settle(db, number * FRESH_positions, torn=torn)
        db.execute("UPDATE salvaged SET missing = ? WHERE number = ?", (missing, number))
        db.execute("DELETE FROM salvaging")
    return True
