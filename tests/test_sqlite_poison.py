"""Poison in the embedded store, made by an operator's own rules: one reading set aside, or a table that takes nothing any more."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.bridge.bisect import Doubt, isolate
from edgegw.errors import Refused
from edgegw.reading import Stored
from edgegw.sinks.sqlite import SQLiteSink
from tests.records import a_run, lidar

RULE = "CREATE TRIGGER picky BEFORE INSERT ON lidar WHEN NEW.{} BEGIN SELECT RAISE(ABORT, 'not in my table'); END"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SQLiteSink]:
    with contextlib.closing(SQLiteSink(tmp_path / "store.db")) as made:
        made.open()
        yield made


def sql(tmp_path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as other, other:
        other.execute(statement)


def test_a_trigger_that_says_no_to_one(tmp_path: Path, sink: SQLiteSink) -> None:
    """That one is set aside, with SQLite's name for it and the trigger's words; the others are in."""
    sql(tmp_path, RULE.format("seq = 3"))
    ((record, rejected),) = isolate([lidar(a_run(), range(10))], sink.deliver, Doubt())
    assert (record.batch.first_seq, rejected.code, rejected.reason) == (3, "SQLITE_CONSTRAINT_TRIGGER", "not in my table")
    assert sink.stored() == {("front", a_run().id): Stored(9, 0, 9)}


def test_a_trigger_that_says_no_to_everything(tmp_path: Path, sink: SQLiteSink) -> None:
    """Nothing is set aside: the sink is Refused with the trigger's words; dropped, all goes in."""
    sql(tmp_path, RULE.format("seq >= 0"))
    records, doubt = [lidar(a_run(1), range(20)), lidar(a_run(2, "rear"), range(20))], Doubt()
    with pytest.raises(Refused, match="2 sensors alike: not in my table"):
        isolate(records, sink.deliver, doubt)
    sql(tmp_path, "DROP TRIGGER picky")
    assert isolate(records, sink.deliver, doubt) == []
    assert sum(stored.count for stored in sink.stored().values()) == 40
