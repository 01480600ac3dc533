"""The stores that the contract suites ask, and ways around them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgegw.sinks import Store, schema
from edgegw.sinks.mysql import MySQLSink, initialise
from edgegw.sinks.sqlite import SQLiteSink
from tests.services.mariadb import Database

FACE = {"face": schema.KINDS["face"]}
INT64 = (-(2**63), 2**63 - 1)


class Subject(msgspec.Struct, frozen=True):
    """A store under test, and ways around it."""

    store: Store
    another: Callable[[], Store]  # the same tables through a fresh sink
    rows: Callable[[str], list[tuple[Any, ...]]]  # what is in them, asked by somebody else
    prepare: Callable[[Mapping[str, schema.Fields]], object]  # what an operator does for a kind of another driver


@pytest.fixture(params=["mysql", "sqlite"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    made = _mysql(request.getfixturevalue("database")) if request.param == "mysql" else _sqlite(tmp_path / "store.db")
    with contextlib.closing(made.store):
        made.store.open()
        yield made


def _mysql(database: Database) -> Subject:
    def rows(statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in database.sql(statement)]

    return Subject(MySQLSink(database.gateway), lambda: MySQLSink(database.gateway), rows, lambda kinds: initialise(database.admin, kinds))


def _sqlite(path: Path) -> Subject:
    def rows(statement: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            return reader.execute(statement).fetchall()

    return Subject(SQLiteSink(path), lambda: SQLiteSink(path), rows, lambda kinds: None)


def seqs(subject: Subject, kind: str = "lidar") -> list[int]:
    return [seq for (seq,) in subject.rows(f"SELECT seq FROM {kind} ORDER BY seq")]
