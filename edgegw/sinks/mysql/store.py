"""The store itself: multi-row inserts, one transaction a delivery, idempotent with the rights to INSERT and SELECT alone.

ON DUPLICATE KEY UPDATE seq = seq would demand more: without UPDATE, MariaDB 10.11 answers 1142, and with UPDATE (seq) still
1143, for it wants the right on every column of the clustered key. An account that can rewrite history is too much for a gateway.
So: a plain INSERT; where a key is already there (1062), ask in the same transaction which ones are, and insert the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pymysql.connections import Connection
from pymysql.err import IntegrityError, MySQLError

from edgegw.errors import Refused, Rejected, SinkError, Unavailable
from edgegw.reading import Letter, Record, Stored
from edgegw.sinks import schema, sql
from edgegw.sinks.mysql import errors, link

Rows = dict[str, str]  # literals of the key → literals of the rest; as a dict, so that no statement names a key twice

_STATEMENT_bytes = 1 << 20
_CLASHES = 5
_KIND_TABLES = "SELECT table_name FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name = 'boot_ns'"
_KEY = ", ".join(f"`{name}`" for name in schema.KEY)
# As a key of Rows spells them; four columns apart would take PyMySQL twice as long to read.
_LITERALS = "CONCAT_WS(',', `sensor_id`, QUOTE(`time`), `run_id`, `seq`)"


class MySQLSink:
    """A Store in MySQL 8 or MariaDB 10.11; waits at most `timeout_s` for any one answer of the server."""

    name = "mysql"

    def __init__(self, server: link.Server, batch_rows: int = 500, timeout_s: float = 30.0) -> None:
        """`batch_rows` a statement, 1 to 1000: more than 500 are no faster, and above 1000 MariaDB plans an IN list as a join."""
        if not 1 <= batch_rows <= 1000:
            raise ValueError(f"batch_rows must be 1 to 1000, not {batch_rows}")
        self._server, self._batch_rows, self._timeout_s = server, batch_rows, timeout_s
        self._connection: Connection[Any] | None = None
        self._clashes = 0  # deliveries in a row that were given up for a lock

    def open(self) -> None:
        """Connect afresh and see that the tables are ours. Raises Unavailable or Refused."""
        self.close()
        self._connection = link.connect(self._server, self._timeout_s)
        with self._translated() as connection:
            ((version, self._packet_bytes),) = link.rows(connection, "SELECT MAX(version), @@max_allowed_packet FROM `schema_version`")
            if version != schema.VERSION:
                cure = "update edgegw" if (version or 0) > schema.VERSION else errors.SCHEMA
                what = f"the tables of {self._server.database} are of version {version}, this edgegw knows {schema.VERSION}"
                raise Refused(f"MySQL at {self._server.where}: {what}; {cure}")
        self._dimensions = sql.Dimensions(self._one, self._add, "%s")
        self._literals = _literals(connection)

    def version(self) -> str:
        """The server's own words, as 10.11.6-MariaDB. Raises Unavailable or Refused."""
        with self._translated() as connection:
            return str(link.rows(connection, "SELECT VERSION()")[0][0])

    def deliver(self, records: Sequence[Record]) -> None:
        """As Sink says, all of `records` in one transaction; after five clashes over locks in halves, after ten in quarters, ..."""
        with self._translated() as connection:
            tables = {table: self._rows(of) for table, of in sql.by_table(records).items()}
            halvings = self._clashes // _CLASHES
            most = max(1, min(self._batch_rows, sum(map(len, tables.values())) >> halvings))
            connection.begin()
            for (kind, fields), rows in tables.items():
                for chunk in _chunks(rows, most, min(_STATEMENT_bytes, self._packet_bytes // 4)):
                    self._insert(connection, kind, fields, chunk)
                    if halvings:  # no lock is held longer than a part takes, and what went in stays in
                        connection.commit()
                        connection.begin()
            connection.commit()
            self._clashes = 0

    def bury(self, letter: Letter) -> None:
        """Into dead_letter, once."""
        with self._translated():
            row = sql.dead_letter(letter)
            self._add(f"{sql.insert_into('dead_letter', sql.DEAD_LETTER)} VALUES ({', '.join(['%s'] * len(row))})", row)

    def stored(self) -> dict[tuple[str, str], Stored]:
        """As Store says; reads the key of every kind table once, so give it a sink with a longer timeout where they are large."""
        with self._translated() as connection:
            kinds = [name for (name,) in link.rows(connection, _KIND_TABLES) if schema.is_kind(name)]
            return sql.stored(row for kind in kinds for row in link.rows(connection, sql.count(kind)))

    def close(self) -> None:
        """As Sink says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # there may be nobody left to say goodbye to
                connection.close()

    def _rows(self, records: Iterable[Record]) -> Rows:
        rows: Rows = {}
        for record in records:
            ids = self._dimensions.ids(record.run)
            values = sql.convert(record, self._literals)
            for reading, literals in zip(record.batch.readings, values, strict=True):
                key = f"{ids.sensor},'{sql.time_text(reading.time_ns)}',{ids.run},{reading.seq:d}"
                rows[key] = f"{reading.boot_ns:d},'{reading.quality}','{reading.clock}',{','.join(literals)}"
        return rows

    def _insert(self, connection: Connection[Any], kind: str, fields: Sequence[str], rows: Rows) -> None:
        statement = _statement(kind, fields, rows)
        if len(statement) > self._packet_bytes:  # the server would hang up in the middle, and that looks like an outage
            raise Rejected(str(errors.PACKET_TOO_LARGE), f"{len(statement)} bytes are more than max_allowed_packet of the server")
        try:
            connection.query(statement)
        except IntegrityError as error:
            if not _already_there(error):
                raise
            self._insert_missing(connection, kind, fields, rows)

    def _insert_missing(self, connection: Connection[Any], kind: str, fields: Sequence[str], rows: Rows) -> None:
        keys = "),(".join(rows)
        there = {key for (key,) in link.rows(connection, f"SELECT {_LITERALS} FROM `{kind}` WHERE ({_KEY}) IN (({keys}))")}  # noqa: S608 - ours
        missing = {key: rest for key, rest in rows.items() if key not in there}
        try:
            if missing:
                connection.query(_statement(kind, fields, missing))
        except IntegrityError as error:
            if not _already_there(error):
                raise
            # There for the server, not for our snapshot: our own last transaction, given up on a timeout, has committed only now.
            raise Unavailable(f"MySQL at {self._server.where}: another connection is writing these very readings; tried again") from error

    def _one(self, statement: str, parameters: sql.Row) -> int | None:
        found = link.rows(self._opened(), statement, parameters)
        return found[0][0] if found else None

    def _add(self, statement: str, parameters: sql.Row) -> None:
        try:
            link.rows(self._opened(), statement, parameters)  # outside begin() every statement commits itself
        except IntegrityError as error:
            if error.args[0] != errors.DUPLICATE:
                raise

    def _opened(self) -> Connection[Any]:
        if self._connection is None:
            raise Unavailable(f"MySQL at {self._server.where} is not connected")
        return self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[Connection[Any]]:
        """The connection; what goes wrong comes out as ours, with the transaction rolled back or the connection dropped."""
        try:
            yield self._opened()
        except (MySQLError, UnicodeEncodeError, SinkError) as error:
            ours = _ours(error, self._server)
            self._clashes += bool(error.args) and error.args[0] in errors.LOCKS
            if isinstance(ours, Rejected):
                self._roll_back()  # the next delivery is half of this one, on the same connection
            else:
                self.close()
            if ours is error:
                raise
            raise ours from error

    def _roll_back(self) -> None:
        try:
            self._opened().rollback()
        except (MySQLError, Unavailable):
            self.close()  # the next delivery finds nothing open and says Unavailable


def _ours(error: MySQLError | UnicodeEncodeError | SinkError, server: link.Server) -> SinkError:
    if isinstance(error, MySQLError):
        return link.translate(error, server)
    if isinstance(error, UnicodeEncodeError):
        return Rejected("encoding", f"text that is not Unicode: {error.reason}")
    return error


def _already_there(error: IntegrityError) -> bool:
    """Whether the primary key is what collided: the operator may have added others, and those are not ours to overlook."""
    return error.args[0] == errors.DUPLICATE and "PRIMARY'" in error.args[1]


def _statement(kind: str, fields: Sequence[str], rows: Mapping[str, str]) -> bytes:
    values = "),(".join([f"{key},{rest}" for key, rest in rows.items()])
    return f"{sql.insert_into(kind, (*schema.COMMON, *fields))} VALUES ({values})".encode()


def _chunks(rows: Rows, most: int, most_characters: int) -> Iterator[Rows]:
    """`rows` in parts of at most that many rows and characters, or one row."""
    chunk: Rows = {}
    length = 0
    for key, rest in rows.items():
        length += len(key) + len(rest) + 3
        if chunk and (len(chunk) == most or length > most_characters):
            yield chunk
            chunk, length = {}, len(key) + len(rest) + 3
        chunk[key] = rest
    if chunk:
        yield chunk


def _literals(connection: Connection[Any]) -> Mapping[str, sql.Converter]:
    """How a value becomes a literal, by the type of its column; text by the driver, which knows how this server quotes."""
    none = {type(None): _null}
    return {
        "float": {float: _float, int: lambda value: _float(float(value)), **none},
        "int": {int: str, float: lambda value: str(sql.whole(value)), **none},
        "text": {str: connection.escape, **none},
    }


def _null(_value: None) -> str:
    return "NULL"


def _float(value: float) -> str:
    """The shortest literal that reads back as the same number; the exponent keeps it from being taken for a DECIMAL."""
    text = repr(sql.finite(value))
    return text if "e" in text else f"{text}e0"
