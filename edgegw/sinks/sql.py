"""What both stores do alike: turn records into rows, runs into ids, and the rows of the kind tables into counts."""

from __future__ import annotations

import contextlib
import datetime
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from edgegw import codec
from edgegw.errors import Rejected
from edgegw.reading import Letter, Record, Run, Stored, Value
from edgegw.sinks import schema

Converter = Mapping[type, Callable[[Any], Any]]  # type of a value → what goes into the statement; another type is refused
Row = tuple[Any, ...]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FIRST_ns = (datetime.datetime(1000, 1, 1, tzinfo=datetime.UTC) - _EPOCH).days * 86400 * 10**9
_END_ns = (datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC) - _EPOCH).days * 86400 * 10**9 + 86400 * 10**9
_NAME, _UUID = 128, 36  # characters of a name and of an id, as the tables have them
_INT64 = 1 << 63
_RUNS_KEPT = 1024  # a sensor that restarts every minute makes half a million runs a year
DEAD_LETTER = ("sink", "gateway", "sensor", "run", "seq", "kind", "reading", "reason", "code", "time")


class Ids(msgspec.Struct, frozen=True):
    """What stands for a run's sensor and for the run itself in the kind tables."""

    sensor: int
    run: int


class Dimensions:
    """Ids of gateways, sensors and runs, looked up or inserted, and remembered as long as the connection lives.

    Every insert is its own transaction, committed before the id is used: so no rollback can make a remembered id wrong.
    """

    def __init__(self, one: Callable[[str, Row], int | None], add: Callable[[str, Row], None], mark: str) -> None:
        self._one = one  # the first column of the first row, or None
        self._add = add  # inserts and commits; a duplicate is fine, somebody else was quicker
        self._mark = mark  # how the driver spells a parameter
        self._known: dict[tuple[str, str, str], Ids] = {}

    def ids(self, run: Run) -> Ids:
        """The ids of a run; makes its rows when it is new."""
        key = (run.gateway, run.sensor, run.id)
        if key not in self._known:
            if len(self._known) >= _RUNS_KEPT:
                self._known.clear()
            self._known[key] = self._resolve(run)
        return self._known[key]

    def _resolve(self, run: Run) -> Ids:
        gateway = self._id("gateway", {"name": run.gateway})
        kind = next(iter(run.fields), "")
        sensor = self._id("sensor", {"gateway_id": gateway, "name": run.sensor, "kind": kind, "driver": run.driver})
        started = {"boot_id": run.boot_id, "started": time_text(run.started_ns)}
        return Ids(sensor, self._id("run", {"sensor_id": sensor, "uuid": run.id}, started))

    def _id(self, table: str, key: Mapping[str, Value], rest: Mapping[str, Value] | None = None) -> int:
        where = " AND ".join(f"`{name}` = {self._mark}" for name in key)
        select = f"SELECT `{table}_id` FROM `{table}` WHERE {where}"  # noqa: S608 - the names are literals of this file
        found = self._one(select, tuple(key.values()))
        if found is None:
            row = {**key, **(rest or {})}
            self._add(f"{insert_into(table, row)} VALUES ({', '.join([self._mark] * len(row))})", tuple(row.values()))
            found = self._one(select, tuple(key.values()))
        if found is None:
            raise Rejected("dimension", f"the row of {table} {key} cannot be found again after inserting it")
        return found


def insert_into(table: str, columns: Iterable[str]) -> str:
    """The head of an INSERT, up to VALUES; the names have passed schema.check or are our own."""
    return f"INSERT INTO `{table}` ({', '.join(f'`{name}`' for name in columns)})"


def by_table(records: Iterable[Record]) -> dict[tuple[str, tuple[str, ...]], list[Record]]:
    """Records by what one INSERT can take: the kind and the fields present. Raises Rejected for one that fits no table."""
    groups: dict[tuple[str, tuple[str, ...]], list[Record]] = {}
    for record in records:
        kind, fields = record.batch.kind, record.run.fields.get(record.batch.kind, {})
        try:
            schema.check(kind, fields)
            _check_case(kind, fields)
        except ValueError as error:
            raise Rejected("kind", f"sensor {record.run.sensor}: {error}") from error
        groups.setdefault((kind, tuple(fields)), []).append(record)
    return groups


def _check_case(kind: str, fields: Iterable[str]) -> None:
    """Raise ValueError for names that some database takes for other ones: SQLite folds the case of tables, both that of columns."""
    if kind.lower() in schema.TABLES or kind.lower().startswith("sqlite_"):
        raise ValueError(f"{kind!r} cannot be a table: the name is taken")
    ours = {name.lower(): name for name in schema.KINDS.get(kind, {})}
    for name in fields:
        if ours.get(name.lower(), name) != name:
            raise ValueError(f"{kind} cannot have a column {name!r} beside {ours[name.lower()]!r}")


def present(columns: Iterable[str], fields: Iterable[str]) -> set[str]:
    """The `columns` of a table, and those of `fields` that the databases take for one of them: `X` where there is an `x`."""
    there = set(columns)
    folded = {name.lower() for name in there}
    return there | {name for name in fields if name.lower() in folded}


def convert(record: Record, converters: Mapping[str, Converter]) -> Iterator[list[Any]]:
    """The values of each reading, converted as their columns' types demand. Raises Rejected for a value that does not fit."""
    kind, fields = record.batch.kind, record.run.fields[record.batch.kind]
    types = schema.columns(kind, fields)
    of = [converters[types[name]] for name in fields]
    for reading in record.batch.readings:
        try:
            yield [converter[type(value)](value) for converter, value in zip(of, reading.values, strict=True)]
        except (KeyError, ValueError, OverflowError) as error:
            what = f"reading {reading.seq} of sensor {record.run.sensor} does not fit table {kind}: {str(reading.values)[:200]}"
            raise Rejected("type", what) from error


def finite(value: float) -> float:
    """`value`, a float. Raises ValueError for NaN and infinity, which no column takes and SQLite would turn into NULL."""
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value)


def whole(value: float) -> int:
    """`value` as the integer it is. Raises ValueError where that would lose something; MySQL would round in silence."""
    if not value.is_integer():
        raise ValueError("not a whole number")
    return int(value)


def time_text(time_ns: int) -> str:
    """UTC as both databases spell it, 2026-11-21 02:31:31.123456; whole microseconds, rounded down.

    Raises Rejected outside of the years 1000 to 9999, which is what DATETIME(6) takes.
    """
    if not _FIRST_ns <= time_ns < _END_ns:
        raise Rejected("time", f"{time_ns} ns since 1970 lies outside of the years 1000 to 9999, which is all that a database takes")
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest_ns // 1000:06d}"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return f"{_EPOCH + datetime.timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"


def dead_letter(letter: Letter) -> Row:
    """The row of a letter, in the order of DEAD_LETTER."""
    run = letter.run
    # What could be poison itself is cut to what the columns take: a letter that cannot be buried would be tried for ever.
    names = (run.gateway[:_NAME], run.sensor[:_NAME], ascii(run.id)[1:-1][:_UUID])
    key = (letter.sink, *names, max(-_INT64, min(letter.reading.seq, _INT64 - 1)), letter.kind[:_NAME])
    return (*key, _legible(letter), letter.reason[:1024], letter.code[:_NAME], time_text(letter.time_ns))


def _legible(letter: Letter) -> str:
    """The reading as JSON, as whole as it can be had: it may be poison because its values do not match its fields."""
    with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):
        return codec.reading_json(letter.run, letter.kind, letter.reading).decode()
    with contextlib.suppress(ValueError, OverflowError):
        return msgspec.json.encode(letter.reading).decode()
    return msgspec.json.encode(repr(letter.reading)).decode()


def count(kind: str) -> str:
    """The SELECT of (sensor, run, count, first seq, last seq) of one kind table: one pass over its key."""
    # A correlated MAX(seq) took 90 s at 5 million rows, on MariaDB; grouping in key order needs neither sort nor second index.
    groups = f"SELECT `run_id`, COUNT(*) AS `n`, MIN(`seq`) AS `lo`, MAX(`seq`) AS `hi` FROM `{kind}` GROUP BY `sensor_id`, `run_id`"  # noqa: S608 - kind is checked
    return (
        f"SELECT `sensor`.`name`, `run`.`uuid`, `c`.`n`, `c`.`lo`, `c`.`hi` FROM ({groups}) AS `c`"  # noqa: S608 - see above
        " JOIN `run` ON `run`.`run_id` = `c`.`run_id` JOIN `sensor` ON `sensor`.`sensor_id` = `run`.`sensor_id`"
    )


def stored(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], Stored]:
    """The answer of Store.stored() from the rows of `count`; a camera's run has readings of two kinds."""
    total: dict[tuple[str, str], Stored] = {}
    for sensor, run, number, first, last in rows:
        before = total.get((sensor, run), Stored(0, first, last))
        total[sensor, run] = Stored(before.count + number, min(before.first_seq, first), max(before.last_seq, last))
    return total
