"""The spool's database file: its tables, its pragmas, its checksums."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

from edgegw.errors import SpoolError
from edgegw.paths import sync_names

FORMAT = 3  # PRAGMA user_version; 1 had no attachments, 2 no count of what each sink got
PAGE_bytes = 4096
LEAST_pages = 64
_CHECKPOINT_pages = 256  # the WAL stays near 1 MB, so a full disk can be drained (deleting needs room in the WAL first)
_FULL = 2  # PRAGMA synchronous

# record.total: readings up to and with this record, so that a backlog is counted by two look-ups instead of a scan
_TABLES = """
CREATE TABLE run (
    id TEXT PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL, acked INTEGER NOT NULL DEFAULT -1, kept INTEGER NOT NULL DEFAULT 0,
    produced INTEGER NOT NULL DEFAULT 0, filtered INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
    closed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE record (
    position INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, count INTEGER NOT NULL, total INTEGER NOT NULL, crc INTEGER NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE damaged (
    position INTEGER PRIMARY KEY, run TEXT NOT NULL, count INTEGER NOT NULL, total INTEGER NOT NULL, crc INTEGER NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE cursor (sink TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letter (
    sink TEXT NOT NULL, run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, reading BLOB NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, time_ns INTEGER NOT NULL, PRIMARY KEY (sink, run, seq)) WITHOUT ROWID;
"""
_ATTACHED = """
CREATE TABLE attachment (
    position INTEGER NOT NULL, seq INTEGER NOT NULL, boot_id TEXT NOT NULL, boot_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
    gone TEXT NOT NULL DEFAULT '', about BLOB NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (position, seq));
CREATE TABLE outbox (sink TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# span: what a sink is done with beyond its cursor. delivery: what became of a run's readings at a sink. retry: dead letters that are
# to be given to their sink again. mark: when a boot's clock was set; its records up to `position` had been shown to the sinks as they
# were. written: bytes a day, for the card's sake. salvaged: files that were set aside, and how far they are read (purged: no picture of
# theirs is wanted any more); salvaging: what of them waits for a sink.
# run.bytes: what the spool holds of it; by triggers, because records go by many ways and nobody can afford to count them anew.
_ACCOUNTED = """
CREATE TABLE span (sink TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (sink, first)) WITHOUT ROWID;
CREATE TABLE delivery (
    run TEXT NOT NULL, sink TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
    damaged INTEGER NOT NULL DEFAULT 0, evicted INTEGER NOT NULL DEFAULT 0, missed INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, sink)) WITHOUT ROWID;
CREATE TABLE retry (sink TEXT NOT NULL, run TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (sink, run, seq)) WITHOUT ROWID;
CREATE TABLE mark (
    boot_id TEXT PRIMARY KEY, position INTEGER NOT NULL DEFAULT 0, given_up INTEGER NOT NULL DEFAULT 0,
    boot_ns INTEGER NOT NULL DEFAULT 0, wall_ns INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE written (day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE salvaged (
    number INTEGER PRIMARY KEY, page INTEGER NOT NULL DEFAULT 0, torn TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0,
    records INTEGER NOT NULL DEFAULT 0, readings INTEGER NOT NULL DEFAULT 0, missing INTEGER NOT NULL DEFAULT 0,
    purged INTEGER NOT NULL DEFAULT 0);
CREATE TABLE salvaging (run TEXT NOT NULL, sink TEXT NOT NULL, waiting INTEGER NOT NULL, PRIMARY KEY (run, sink)) WITHOUT ROWID;
ALTER TABLE run ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN held INTEGER NOT NULL DEFAULT -1;
ALTER TABLE run ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER record_in AFTER INSERT ON record BEGIN
    UPDATE run SET bytes = bytes + coalesce(length(new.payload), 0) WHERE id = new.run; END;
CREATE TRIGGER record_out AFTER DELETE ON record BEGIN
    UPDATE run SET bytes = bytes - coalesce(length(old.payload), 0) WHERE id = old.run; END;
CREATE TRIGGER attachment_in AFTER INSERT ON attachment BEGIN
    UPDATE run SET bytes = bytes + coalesce(length(new.data), 0) WHERE id = (SELECT run FROM record WHERE position = new.position); END;
CREATE TRIGGER attachment_out AFTER DELETE ON attachment BEGIN
    UPDATE run SET bytes = bytes - coalesce(length(old.data), 0) WHERE id = coalesce(
        (SELECT run FROM record WHERE position = old.position), (SELECT run FROM damaged WHERE position = old.position)); END;
"""
# What a spool of format 2 knows of deliveries, it knows by difference.
_TAKE_OVER = """
INSERT INTO run (id, body, crc, bytes)
SELECT run, x'', 0, sum(length(payload)) FROM record WHERE run IN (SELECT id FROM run) GROUP BY run
ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes;
INSERT INTO run (id, body, crc, bytes)
SELECT run, x'', 0, sum(length(data)) FROM attachment JOIN record USING (position) WHERE run IN (SELECT id FROM run) GROUP BY run
ON CONFLICT (id) DO UPDATE SET bytes = bytes + excluded.bytes;
INSERT INTO delivery (run, sink, dead, damaged, delivered)
SELECT id, sink, dead, damaged, max(0, kept - waiting - dead - damaged) FROM (
    SELECT id, sink, kept, (SELECT count(*) FROM dead_letter WHERE run = id AND dead_letter.sink = cursor.sink) AS dead,
        (SELECT coalesce(sum(count), 0) FROM damaged WHERE run = id AND damaged.position <= cursor.position) AS damaged,
        (SELECT coalesce(sum(count), 0) FROM record WHERE run = id AND record.position > cursor.position)
        + (SELECT coalesce(sum(count), 0) FROM damaged WHERE run = id AND damaged.position > cursor.position) AS waiting
    FROM run JOIN cursor WHERE sink NOT IN (SELECT sink FROM outbox));
"""

_HINTS = {  # what SQLite says of a disk → what to do about it
    sqlite3.SQLITE_READONLY: " (see why its file system is read-only, and mount it writable again)",
    sqlite3.SQLITE_CANTOPEN: " (see that its directory is there and the gateway's user may write to it and that the disk is not read-only)",
    sqlite3.SQLITE_IOERR: " (look at the disk or card, and at what the kernel says of it)",
}


class Unfit(Exception):
    """A database that opens but cannot be this spool; str() says why."""


def connect(path: Path, mode: str = "rwc") -> sqlite3.Connection:
    """A connection in autocommit: transactions are begun by hand. `mode` as in SQLite's URIs."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=5)


def prepare(db: sqlite3.Connection, max_bytes: int) -> None:
    """Make `db` a durable spool of this format, with the tables it needs. Raises Unfit or sqlite3.Error."""
    found = form(db)
    if found == 0:
        _create(db)
    elif found < FORMAT:
        _take_over(db, found)
    db.execute("PRAGMA secure_delete=OFF")  # Debian builds it ON: each page that trimming frees would be written once more, as zeros
    db.execute("PRAGMA synchronous=FULL")
    if db.execute("PRAGMA synchronous").fetchone()[0] != _FULL:  # builds may forbid it; then nothing would survive a power cut
        raise Unfit("this SQLite refuses synchronous=FULL")
    db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_pages}")
    db.execute(f"PRAGMA journal_size_limit={4 * _CHECKPOINT_pages * PAGE_bytes}")
    limit(db, max_bytes)


def limit(db: sqlite3.Connection, max_bytes: int) -> None:
    """The file shall not grow beyond `max_bytes` from here on (never less than 256 KiB; what is larger already stays so)."""
    db.execute(f"PRAGMA max_page_count={max(max_bytes // PAGE_bytes, LEAST_pages)}")


def form(db: sqlite3.Connection) -> int:
    """FORMAT or an older one; 0 where the database is new and empty. Raises Unfit where it is anything else, or sqlite3.Error."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= found <= FORMAT:
        raise Unfit(f"it has format {found}, this edgegw reads {FORMAT}: drain it with the version that wrote it")
    if found == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise Unfit("it is the database of another program")
    return found


def _create(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA page_size={PAGE_bytes}")
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":  # it needs shared memory, which network file systems lack
        raise Unfit("its file system cannot hold a SQLite database in WAL mode: use a local disk")
    db.executescript(f"BEGIN; {_TABLES} {_ATTACHED} {_ACCOUNTED} PRAGMA user_version={FORMAT}; COMMIT;")


def _take_over(db: sqlite3.Connection, found: int) -> None:
    """A spool of an older format, with all that is in it."""
    attached = _ATTACHED if found < 2 else ""
    db.executescript(f"BEGIN; {attached} {_ACCOUNTED} {_TAKE_OVER} PRAGMA user_version={FORMAT}; COMMIT;")


def ruined(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file is no database, or one with a broken structure; not that it cannot be had just now."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def met_ruin(error: SpoolError) -> bool:
    """Whether that is why."""
    return isinstance(error.__cause__, sqlite3.Error) and ruined(error.__cause__)


@contextlib.contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Turn what SQLite or the file system raise inside the block into a SpoolError; `what` was tried with `path`."""
    try:
        yield
    except (OSError, OverflowError, sqlite3.Error, Unfit) as error:  # overflow: a number that SQLite has no room for
        raise SpoolError(f"cannot {what} the spool {path}: {error}{_hint(error)}") from error


def _hint(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return " (it was removed while it was in use, and is begun anew where that can be done)"
    return _HINTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")


def checksum(key: str, payload: bytes) -> int:
    """CRC32 over key and payload."""
    return zlib.crc32(payload, zlib.crc32(key.encode()))


def write_anew(db: sqlite3.Connection) -> None:
    """Of a commit whose sync failed, the page cache may have what the disk has not, and no later sync writes it: write all of it again."""
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:  # on a full disk the sinks have to be served first
            raise


def sync_place(directory: Path) -> None:
    """Make the names in `directory`, and its own, safe: SQLite passes over a failure of that. Raises OSError."""
    sync_names(directory)
    with contextlib.suppress(PermissionError):  # the one above may be for others only, who made this one
        sync_names(directory.parent)


def set_aside(path: Path) -> Path:
    """Rename a ruined file and its WAL, which may hold readings; returns where it went."""
    aside = next(name for number in itertools.count(1) if not (name := aside_name(path, number)).exists())
    log, kept = path.with_name(f"{path.name}-wal"), path.with_name(f"{aside.name}-wal")
    kept.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it has none, or the file system has no links
        os.link(log, kept)  # before the file goes: a process that ends in between must not leave a WAL that belongs to nothing
    path.rename(aside)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        log.replace(kept)  # of two names of one file, rename(2) leaves both
        log.unlink()
    return aside


def aside_name(path: Path, number: int) -> Path:
    """What the ruined file of that number is called."""
    return path.with_name(f"{path.name}.damaged-{number}")
