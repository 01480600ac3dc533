"""Poison in a real MariaDB: one bad row in a thousand is found and set aside with the server's code, whatever made it bad."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from edgegw.bridge.bisect import Doubt, isolate
from edgegw.errors import Refused
from edgegw.reading import Letter, Reading, Record, Value
from edgegw.sinks.mysql import MySQLSink
from edgegw.sinks.schema import KINDS
from tests.records import START_ns, a_reading, a_record, a_run, lidar
from tests.services.mariadb import Database

BAD = 637
ROWS = 1000
FACE = {"face": KINDS["face"]}
LATE_ns = 4_000_000_000_000_000_000  # 2096
Values = tuple[Value, ...]


class Case(NamedTuple):
    """What the operator has done to a table, and what one reading among good ones then is."""

    code: str
    setup: Sequence[str]
    bad: Values
    time_ns: int | None = None  # of the bad one


def lidars(values: Values, time_ns: int | None = None) -> Record:
    return a_record(a_run(), [a_reading(seq, values, time_ns) if seq == BAD else good(seq) for seq in range(ROWS)])


def faces(values: Values, _time_ns: int | None = None) -> Record:
    readings = [a_reading(seq, values if seq == BAD else (seq, "enter", *[0.5] * 6)) for seq in range(ROWS)]
    return a_record(a_run(kinds=FACE), readings, "face")


def good(seq: int) -> Reading:
    return a_reading(seq, (seq / 7, seq, 41.5))


EVENT: Values = (0, "x" * 256, *[0.5] * 6)
EMOJI: Values = (0, "\N{GRINNING FACE}", *[0.5] * 6)
NONSENSE: Values = (1.0, 7777, 1.0)
SIGNAL = "IF NEW.strength = 7777 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not in my table'; END IF"
CASES = {
    "too-long": Case("1406", [], EVENT),
    "character-set": Case("1366", ["ALTER TABLE face MODIFY event VARCHAR(255) CHARACTER SET latin1"], EMOJI),
    "narrower": Case("1264", ["ALTER TABLE lidar MODIFY strength SMALLINT"], (1.0, 40_000, 1.0)),
    "no-null": Case("1048", ["ALTER TABLE lidar MODIFY temperature_degC DOUBLE NOT NULL"], (1.0, 1, None)),
    "check": Case("4025", ["ALTER TABLE lidar ADD CONSTRAINT small CHECK (strength < 5000)"], NONSENSE),
    "foreign-key": Case(
        "1452",
        [
            "CREATE TABLE known (strength BIGINT PRIMARY KEY)",
            f"INSERT INTO known SELECT seq FROM seq_0_to_{ROWS}",
            "ALTER TABLE lidar ADD CONSTRAINT known FOREIGN KEY (strength) REFERENCES known (strength)",
        ],
        NONSENSE,
    ),
    "trigger": Case("1644", [f"CREATE TRIGGER picky BEFORE INSERT ON lidar FOR EACH ROW {SIGNAL}"], NONSENSE),
    "unique": Case("1062", ["CREATE UNIQUE INDEX mine ON lidar (strength)"], (1.0, BAD + 1, 1.0)),
    "partition": Case(
        "1526",
        ["ALTER TABLE lidar PARTITION BY RANGE COLUMNS (time) (PARTITION past VALUES LESS THAN ('2040-01-01'))"],
        (1.0, 1, 1.0),
        LATE_ns,
    ),
    "year-of-no-calendar": Case("time", [], (1.0, 1, 1.0), 253_402_300_800 * 10**9),
}


def letter(record: Record, code: str, reason: str) -> Letter:
    return Letter("mysql", record.run, record.batch.kind, record.batch.readings[0], code, reason, START_ns)


@pytest.mark.parametrize("name", CASES)
def test_one_bad_row_in_a_thousand(database: Database, mysql: MySQLSink, name: str) -> None:
    """Exactly it is set aside, with the server's code; the other 999 are in, after at most 2·log2(1000) + 2 deliveries."""
    case = CASES[name]
    for statement in case.setup:
        database.sql(statement)
    make: Callable[[Values, int | None], Record] = faces if len(case.bad) > 3 else lidars
    deliveries: list[Sequence[Record]] = []

    def deliver(records: Sequence[Record]) -> None:
        deliveries.append(records)
        mysql.deliver(records)

    record = make(case.bad, case.time_ns)
    poison = isolate([record], deliver, Doubt())
    # Where two rows collide, the later one is the poison.
    assert [(each.batch.first_seq, rejected.code) for each, rejected in poison] == [(BAD + (name == "unique"), case.code)]
    for each, rejected in poison:
        mysql.bury(letter(each, rejected.code, rejected.reason))
    assert database.sql("SELECT seq, code FROM dead_letter") == ((BAD + (name == "unique"), case.code),)
    table = record.batch.kind
    assert database.sql(f"SELECT COUNT(*), COUNT(DISTINCT seq) FROM {table}") == ((ROWS - 1, ROWS - 1),)
    assert len(deliveries) <= 2 * math.log2(ROWS) + 2


def test_a_column_that_is_computed_now_is_not_the_readings_fault(database: Database, mysql: MySQLSink) -> None:
    """Made a generated column, it takes nothing from anybody: Refused with what to do, at once, and nothing is halved."""
    database.sql("ALTER TABLE lidar DROP COLUMN strength, ADD COLUMN strength BIGINT AS (seq * 2)")
    with pytest.raises(Refused, match=r"1906.*ordinary column"):
        isolate([lidar(a_run(), range(10))], mysql.deliver, Doubt())


def test_a_table_that_rejects_everything(database: Database, mysql: MySQLSink) -> None:
    """A CHECK that nothing passes sets nothing aside: the sink is Refused with the CHECK's name; dropped, all goes in."""
    database.sql("ALTER TABLE lidar ADD CONSTRAINT nothing CHECK (seq < 0)")
    records = [lidar(a_run(1, "front"), range(40)), lidar(a_run(2, "rear"), range(40))]
    doubt = Doubt()
    with pytest.raises(Refused, match=r"2 sensors alike: .*nothing.*4025.*undo what was changed"):
        isolate(records, mysql.deliver, doubt)
    assert database.lidar()[0] == 0
    database.sql("ALTER TABLE lidar DROP CONSTRAINT nothing")
    mysql.open()
    assert isolate(records, mysql.deliver, doubt) == []
    assert database.lidar()[0] == 80


@pytest.mark.parametrize("moment", ["DATE '1000-01-01'", "TIMESTAMP '9999-12-31 23:59:59.999999'"])
def test_the_ends_of_the_calendar(database: Database, mysql: MySQLSink, moment: str) -> None:
    """The first and the last microsecond that a DATETIME holds go in and come back; a nanosecond beyond is poison, with a sentence."""
    ((microseconds,),) = database.sql(f"SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {moment})")
    step_ns = -1 if microseconds < 0 else 1000
    inside, outside = (a_record(a_run(), [a_reading(seq, (1.0, 1, 1.0), microseconds * 1000 + seq * step_ns)]) for seq in (0, 1))
    with contextlib.closing(MySQLSink(database.gateway)) as other:
        other.open()
        for sink in (mysql, other):  # found again: so the text is what the server makes of it, to the microsecond
            ((_, rejected),) = isolate([inside, outside], sink.deliver)
            assert (rejected.code, "outside of the years 1000 to 9999" in rejected.reason) == ("time", True)
    assert database.sql(f"SELECT COUNT(*), MAX(time = {moment}) FROM lidar") == ((1, 1),)
