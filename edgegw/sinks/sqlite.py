"""The embedded store: the same tables as MySQL's in one SQLite file that other processes may read at any time.

It makes its tables itself, those of unknown kinds when the first reading comes. After a power cut it holds what it said it holds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgegw.errors import Refused, Rejected, SinkError, Unavailable
from edgegw.reading import Letter, Record, Run, Stored
from edgegw.sinks import schema, sql

_PRAGMAS: Final = (
    ("journal_mode", "WAL", "wal"),  # readers and the writer do not wait for each other
    ("synchronous", "FULL", 2),  # NORMAL loses the last commits in a power cut, and builds differ in the default
    ("foreign_keys", "ON", 1),
    ("journal_size_limit", str(4 << 20), 4 << 20),  # a reader that stayed long leaves a long log behind: cut it
)
_OLDEST: Final = (3, 37, 0)
_FULL = "the disk is full: free some space; the readings are kept and tried again"
_CONFLICT = f"ON CONFLICT ({', '.join(f'`{name}`' for name in schema.KEY)}) DO NOTHING"  # any other constraint must surface
_KIND_TABLES = "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'boot_ns'"

# By primary result code, the low byte of what SQLite answers.
_CODES: Final[Mapping[int, tuple[type[SinkError], str]]] = {
    sqlite3.SQLITE_FULL: (Unavailable, _FULL),
    sqlite3.SQLITE_IOERR: (Unavailable, "the disk does not do what it is told: see the kernel's log"),
    sqlite3.SQLITE_BUSY: (Unavailable, "another process has been writing to it for too long"),
    sqlite3.SQLITE_LOCKED: (Unavailable, "another process has been writing to it for too long"),
    sqlite3.SQLITE_NOTADB: (Refused, "that file is no database: move it away or name another"),
    sqlite3.SQLITE_CORRUPT: (Refused, "the database is damaged: move the file away, with its -wal and -shm, and restart"),
    sqlite3.SQLITE_CANTOPEN: (Refused, "see that the directory exists and may be written to"),
    sqlite3.SQLITE_READONLY: (Refused, "file and directory must be writable for the gateway"),
    sqlite3.SQLITE_PERM: (Refused, "file and directory must be writable for the gateway"),
    sqlite3.SQLITE_AUTH: (Refused, "file and directory must be writable for the gateway"),
    sqlite3.SQLITE_ERROR: (Refused, "its tables are not those of this edgegw: move the file away or name another"),
    sqlite3.SQLITE_CONSTRAINT: (Rejected, ""),
    sqlite3.SQLITE_MISMATCH: (Rejected, ""),
    sqlite3.SQLITE_TOOBIG: (Rejected, ""),
}


class SQLiteSink:
    """A Store in one file of the local disk; waits up to `busy_timeout_s` for another process that writes to it."""

    name = "sqlite"

    def __init__(self, path: Path, busy_timeout_s: float = 5.0) -> None:
        self._path, self._busy_timeout_s = path, busy_timeout_s
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or create the file and its tables. Raises Unavailable or Refused."""
        self.close()
        if sqlite3.sqlite_version_info < _OLDEST:
            raise Refused(f"SQLite {sqlite3.sqlite_version} has no STRICT tables: install {'.'.join(map(str, _OLDEST))} or later")
        with self._translated():
            # One thread at a time calls us, as Sink says; but the one that closes need not be the one that opened.
            self._connection = connection = sqlite3.connect(
                self._path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            _configure(connection)
            _create(connection)
            self._inode = _inode(self._path)
        self._tables: dict[str, set[str]] = {}
        self._dimensions = sql.Dimensions(self._one, self._add, "?")

    def version(self) -> str:
        """As SQLite 3.40.1."""
        return f"SQLite {sqlite3.sqlite_version}"

    def deliver(self, records: Sequence[Record]) -> None:
        """As Sink says, all of `records` in one transaction."""
        with self._translated():
            connection, rows = self._opened(), []
            for (kind, fields), of in sql.by_table(records).items():
                self._make_room(connection, kind, of[0].run)
                head = sql.insert_into(kind, (*schema.COMMON, *fields))
                marks = ", ".join(["?"] * (len(schema.COMMON) + len(fields)))
                rows.append((f"{head} VALUES ({marks}) {_CONFLICT}", [row for record in of for row in self._rows(record)]))
            connection.execute("BEGIN IMMEDIATE")
            for statement, parameters in rows:
                connection.executemany(statement, parameters)
            connection.execute("COMMIT")
            self._still_there()

    def bury(self, letter: Letter) -> None:
        """Into dead_letter, once."""
        with self._translated():
            row = sql.dead_letter(letter)
            self._add(f"{sql.insert_into('dead_letter', sql.DEAD_LETTER)} VALUES ({', '.join(['?'] * len(row))})", row)
            self._still_there()

    def stored(self) -> dict[tuple[str, str], Stored]:
        """As Store says; reads the key of every kind table once."""
        with self._translated():
            connection = self._opened()
            kinds = [name for (name,) in connection.execute(_KIND_TABLES).fetchall() if schema.is_kind(name)]
            return sql.stored(row for kind in kinds for row in connection.execute(sql.count(kind)))

    def close(self) -> None:
        """As Sink says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _rows(self, record: Record) -> Iterator[sql.Row]:
        ids = self._dimensions.ids(record.run)
        values = sql.convert(record, _VALUES)
        for reading, converted in zip(record.batch.readings, values, strict=True):
            key = (ids.sensor, sql.time_text(reading.time_ns), ids.run, reading.seq)
            yield (*key, reading.boot_ns, reading.quality, reading.clock, *converted)

    def _make_room(self, connection: sqlite3.Connection, kind: str, run: Run) -> None:
        """The table and the columns of a kind, looked at once a connection and field set."""
        fields = run.fields[kind]
        if self._tables.get(kind, set()) >= fields.keys():
            return
        connection.execute(schema.table(schema.Dialect.SQLITE, kind, fields))
        there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (kind,))}
        for statement in schema.additions(schema.Dialect.SQLITE, kind, fields, sql.present(there, fields)):
            connection.execute(statement)
        self._tables[kind] = there | fields.keys()

    def _still_there(self) -> None:
        """SQLite goes on writing to a file that has been deleted or replaced; what we just said is stored would be gone."""
        if _inode(self._path) != self._inode:
            raise Unavailable(f"{self._path} has been taken away while it was in use; it is made anew")

    def _one(self, statement: str, parameters: sql.Row) -> int | None:
        found = self._opened().execute(statement, parameters).fetchone()
        return found[0] if found else None

    def _add(self, statement: str, parameters: sql.Row) -> None:
        self._opened().execute(f"{statement} ON CONFLICT DO NOTHING", parameters)  # outside BEGIN every statement commits itself

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Unavailable(f"{self._path} is not open")
        return self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """What goes wrong comes out as ours, with the transaction rolled back or the file closed."""
        try:
            yield
        except (sqlite3.Error, UnicodeEncodeError, OverflowError, OSError, SinkError) as error:
            ours = _ours(error, self._path)
            if isinstance(ours, Rejected):
                self._roll_back()
            else:
                self.close()
            if ours is error:
                raise
            raise ours from error

    def _roll_back(self) -> None:
        try:
            if self._opened().in_transaction:
                self._opened().execute("ROLLBACK")
        except (sqlite3.Error, Unavailable):
            self.close()


def _configure(connection: sqlite3.Connection) -> None:
    for name, value, wanted in _PRAGMAS:
        connection.execute(f"PRAGMA {name} = {value}")
        ((found,),) = connection.execute(f"PRAGMA {name}").fetchall()
        if found != wanted:  # a pragma that is not heeded says nothing
            raise Refused(f"SQLite will not set {name} to {value} (it stays {found}): put the store on a local disk")


def _create(connection: sqlite3.Connection) -> None:
    for statement in schema.tables(schema.Dialect.SQLITE):
        connection.execute(statement)
    row = (schema.VERSION, sql.time_text(time.time_ns()))
    connection.execute("INSERT INTO `schema_version` SELECT ?, ? WHERE NOT EXISTS (SELECT * FROM `schema_version`)", row)
    ((version,),) = connection.execute("SELECT MAX(`version`) FROM `schema_version`")
    if version != schema.VERSION:
        raise Refused(f"the embedded store has tables of version {version}, this edgegw knows {schema.VERSION}; update edgegw")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _ours(error: Exception, path: Path) -> SinkError:
    if isinstance(error, SinkError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return Rejected("encoding", f"text that is not Unicode: {error.reason}")
    if isinstance(error, OverflowError):
        return Rejected("range", "an integer that does not fit 64 bits")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    kind, advice = _CODES.get(getattr(error, "sqlite_errorcode", -1) & 0xFF, (Unavailable, "the readings are kept and tried again"))
    if kind is Rejected:
        return Rejected(name, str(error))
    return kind(f"{path}: {error} ({name}); {advice}")


def _same(value: Any) -> Any:
    return value


_NONE: Final[sql.Converter] = {type(None): _same}
_VALUES: Final[Mapping[str, sql.Converter]] = {
    "float": {float: sql.finite, int: float, **_NONE},
    "int": {int: _same, float: sql.whole, **_NONE},
    "text": {str: _same, **_NONE},
}
