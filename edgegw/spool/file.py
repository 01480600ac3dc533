"""The spool's database file: its tables, its pragmas, its checksums."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

from edgegw.errors import SpoolError

FORMAT = 2  # PRAGMA user_version; 1 had no attachments
PAGE_bytes = 4096
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
        db.executescript(f"BEGIN; {_ATTACHED} PRAGMA user_version={FORMAT}; COMMIT;")
    db.execute("PRAGMA secure_delete=OFF")  # Debian builds it ON: each page that trimming frees would be written once more, as zeros
    db.execute("PRAGMA synchronous=FULL")
    if db.execute("PRAGMA synchronous").fetchone()[0] != _FULL:  # builds may forbid it; then nothing would survive a power cut
        raise Unfit("this SQLite refuses synchronous=FULL")
    db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_pages}")
    db.execute(f"PRAGMA journal_size_limit={4 * _CHECKPOINT_pages * PAGE_bytes}")
    limit(db, max_bytes)


def limit(db: sqlite3.Connection, max_bytes: int) -> None:
    """The file shall not grow beyond `max_bytes` from here on (never less than 256 KiB; what is larger already stays so)."""
    db.execute(f"PRAGMA max_page_count={max(max_bytes // PAGE_bytes, 64)}")


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
    db.executescript(f"BEGIN; {_TABLES} {_ATTACHED} PRAGMA user_version={FORMAT}; COMMIT;")


def ruined(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file is no database, or one with a broken structure; not that it cannot be had just now."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


@contextlib.contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Turn what SQLite or the file system raise inside the block into a SpoolError; `what` was tried with `path`."""
    try:
        yield
    except (OSError, OverflowError, sqlite3.Error, Unfit) as error:  # overflow: a number that SQLite has no room for
        raise SpoolError(f"cannot {what} the spool {path}: {error}") from error


def checksum(key: str, payload: bytes) -> int:
    """CRC32 over key and payload."""
    return zlib.crc32(payload, zlib.crc32(key.encode()))


def set_aside(path: Path) -> tuple[Path, int]:
    """Rename a ruined file and its WAL, which may hold readings; returns where it went, and how many have gone that way."""
    names = ((path.with_name(f"{path.name}.damaged-{number}"), number) for number in itertools.count(1))
    aside, number = next((name, number) for name, number in names if not name.exists())
    path.rename(aside)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(f"{aside}-wal")
    return aside, number
