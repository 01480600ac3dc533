"""The tables as data: the DDL of both dialects, what may be a name, and that every driver of ours has columns to write to."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3

import hypothesis
import hypothesis.strategies as st
import pytest

from edgegw.sinks import schema, sql
from edgegw.sinks.schema import COMMON, KEY, KINDS, TABLES, Dialect
from tests.records import a_run

# The contract's table of kinds, written out once more: a change on either side has to be one on both.
CONTRACT = {
    "lidar": "distance_m strength temperature_degC",
    "imu": "acceleration_x_m_s2 acceleration_y_m_s2 acceleration_z_m_s2 angular_velocity_x_rad_s angular_velocity_y_rad_s"
    " angular_velocity_z_rad_s temperature_degC roll_rad pitch_rad",
    "ultrasonic": "distance_m rssi_dBm battery_V",
    "camera": "luminosity sharpness laser_x_px laser_y_px laser_area_px faces fps width_px height_px",
    "face": "track event x_px y_px width_px height_px score age_s",
}


def test_kinds_are_those_of_the_contract() -> None:
    """Names and order of every kind's values."""
    assert {kind: " ".join(fields) for kind, fields in KINDS.items()} == CONTRACT


def test_sqlite_takes_its_ddl_twice() -> None:
    """Every table, its key and its columns, and IF NOT EXISTS the second time."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for statement in schema.tables(Dialect.SQLITE) * 2:
            connection.execute(statement)
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert found == {*TABLES, *KINDS}
        for kind, fields in KINDS.items():
            columns = connection.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (kind,)).fetchall()
            assert [name for name, _ in columns] == [*COMMON, *fields]
            assert [name for name, place in sorted(columns, key=lambda column: column[1]) if place] == list(KEY)


def test_sqlite_keeps_the_types() -> None:
    """Text in a REAL column, which SQLite would store as it comes, is an error; so are unknown words for quality."""
    row = "INSERT INTO lidar (sensor_id, time, run_id, seq, boot_ns, quality, clock, distance_m) VALUES (1, 't', 1, 1, 1, ?, 'synced', ?)"
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(schema.table(Dialect.SQLITE, "lidar", KINDS["lidar"]))
        for values in (("good", "near"), ("odd", 1.0)):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(row, values)


def test_the_dialects_have_the_same_columns() -> None:
    """Between the two only types and endings differ."""
    mysql, sqlite = (schema.tables(dialect) for dialect in Dialect)
    for ours, theirs in zip(mysql, sqlite, strict=True):
        assert _identifiers(ours) == _identifiers(theirs)


def test_the_key_comes_first() -> None:
    """Time order within a sensor is what range reads and partitions by day rest on."""
    assert KEY == ("sensor_id", "time", "run_id", "seq")
    assert COMMON[: len(KEY)] == KEY
    assert "PRIMARY KEY (`sensor_id`, `time`, `run_id`, `seq`)" in schema.table(Dialect.MYSQL, "lidar", KINDS["lidar"])


@pytest.mark.parametrize("dialect", Dialect)
def test_a_kind_of_another_driver(dialect: Dialect) -> None:
    """Its DDL comes from its fields; a known kind keeps our types and gains the fields that are new."""
    assert "`activity_Bq_m3` " in schema.table(dialect, "radon", {"activity_Bq_m3": "float"})
    assert schema.columns("lidar", {"strength": "text", "extra": "int"}) == {**KINDS["lidar"], "extra": "int"}
    assert schema.additions(dialect, "lidar", {"extra": "int"}, KINDS["lidar"]) == [
        f"ALTER TABLE `lidar` ADD COLUMN `extra` {'BIGINT' if dialect is Dialect.MYSQL else 'INTEGER'}"
    ]
    assert schema.additions(dialect, "lidar", {"strength": "int"}, KINDS["lidar"]) == []


@hypothesis.given(st.text(), st.text(), st.text())
@hypothesis.example("lidar`", "x", "float")
@hypothesis.example("lidar\n", "x", "float")
@hypothesis.example("lidar", "x\n", "float")
@hypothesis.example("radon", "x", "float")
@hypothesis.example("rädon", "x", "float")
def test_nothing_but_an_identifier_reaches_sql(kind: str, field: str, of: str) -> None:
    """Whatever a driver calls its kind and fields: DDL of plain ASCII words inside its quotes, or ValueError."""
    try:
        statement = schema.table(Dialect.MYSQL, kind, {field: of})
    except ValueError:
        return
    assert kind.isascii()
    assert field.isascii()
    assert f"{kind}{field}".replace("_", "").isalnum()
    assert kind not in TABLES
    assert statement.count("`") % 2 == 0


@hypothesis.given(st.integers(-(2**63), 2**64))
def test_time_text_is_utc_in_microseconds_rounded_down(time_ns: int) -> None:
    """Against SQLite's own calendar, from 1677 to 2554."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        ((second,),) = connection.execute("SELECT strftime('%Y-%m-%d %H:%M:%S', ?, 'unixepoch')", (time_ns // 10**9,))
    assert sql.time_text(time_ns) == f"{second}.{time_ns % 10**9 // 1000:06d}"


def test_as_many_runs_are_remembered_as_a_gateway_has_and_no_more() -> None:
    """A run met again costs no query; after very many others it is looked up again instead of being kept for ever."""
    asked = itertools.count()
    dimensions = sql.Dimensions(lambda _statement, _row: next(asked), lambda _statement, _row: None, "?")
    first = dimensions.ids(a_run(0))
    assert dimensions.ids(a_run(0)) == first
    assert next(asked) == 3  # gateway, sensor, run
    for number in range(1, 5000):
        dimensions.ids(a_run(number))
    assert dimensions.ids(a_run(0)) != first


def _identifiers(statement: str) -> list[str]:
    # odd parts of a split at backticks; the CHECK of SQLite names its own column once more
    words = statement.split("`")[1::2]
    return [word for number, word in enumerate(words) if number == 0 or word != words[number - 1]]
