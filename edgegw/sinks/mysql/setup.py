"""Makes and migrates the tables: what `edgegw db init` does, with an account that may CREATE, ALTER and make REFERENCES."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from pymysql.connections import Connection
from pymysql.err import MySQLError

from edgegw.sinks import schema, sql
from edgegw.sinks.mysql import link

_COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"


def initialise(server: link.Server, kinds: Mapping[str, schema.Fields] = schema.KINDS, timeout_s: float = 30.0) -> list[str]:
    """Make what is missing and say what that was, as `lidar` for a table and `lidar.strength` for a column.

    Twice is harmless; nothing is ever dropped or changed. Raises Unavailable, Refused, or ValueError for a kind that cannot be a table.
    """
    connection = link.connect(server, timeout_s)
    try:
        return _create(connection, {**schema.KINDS, **kinds})
    except MySQLError as error:
        raise link.translate(error, server) from error
    finally:
        with contextlib.suppress(Exception):
            connection.close()


def _create(connection: Connection[Any], kinds: Mapping[str, schema.Fields]) -> list[str]:
    before = _columns(connection)
    for statement in schema.tables(schema.Dialect.MYSQL, kinds):
        if _table(statement) not in before:  # IF NOT EXISTS alone would do, with a warning each
            link.rows(connection, statement)
    for kind, fields in kinds.items():
        there = sql.present(before.get(kind, schema.columns(kind, fields)), fields)
        for statement in schema.additions(schema.Dialect.MYSQL, kind, fields, there):
            link.rows(connection, statement)
    _set_version(connection)
    after = _columns(connection)
    made = [table for table in after if table not in before]
    return made + [f"{table}.{column}" for table in before for column in after[table] if column not in before[table]]


def _set_version(connection: Connection[Any]) -> None:
    ((found,),) = link.rows(connection, "SELECT COUNT(*) FROM `schema_version`")
    if not found:
        applied = sql.time_text(time.time_ns())
        link.rows(connection, "INSERT INTO `schema_version` (`version`, `applied`) VALUES (%s, %s)", (schema.VERSION, applied))


def _columns(connection: Connection[Any]) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for table, column in link.rows(connection, _COLUMNS):
        tables.setdefault(table, []).append(column)
    return tables


def _table(statement: str) -> str:
    return statement.split("`")[1]
