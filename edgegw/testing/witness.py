"""What stores and servers hold, asked without edgegw's own sinks: a witness that used them would share their mistakes."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
import pymysql
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError

from edgegw.config import MySQLSettings, RabbitMQSettings
from edgegw.errors import Unavailable

T = TypeVar("T")
PATIENCE_s = 30.0  # for one answer
AT_ONCE = 500  # messages on their way


def taken_out(server: RabbitMQSettings) -> list[bytes]:
    """The bodies of all messages in the queue of these settings, in order; afterwards it is empty. Raises Unavailable."""
    return _asked(server, _take_out)


def remove(server: RabbitMQSettings) -> None:
    """Delete the queue and the exchange of these settings; that they are not there is no error. Raises Unavailable."""
    _asked(server, _remove)


def rows(server: MySQLSettings, statement: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
    """All rows of a SELECT. Raises Unavailable."""
    try:
        connection = pymysql.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password.reveal().encode(),
            database=server.database,
            ssl_disabled=True,
            connect_timeout=PATIENCE_s,
            read_timeout=PATIENCE_s,
            charset="utf8mb4",
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall()
    except pymysql.MySQLError as error:
        raise Unavailable(f"MySQL at {server.host}:{server.port} does not say what it holds: {error.args[-1]}") from error


def rows_of_file(store: Path, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a SELECT from an embedded store, whose tables are made with the first reading: before that there are none."""
    if not store.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=PATIENCE_s)) as reader:
        try:
            return reader.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def _asked(server: RabbitMQSettings, question: Callable[[RabbitMQSettings], Coroutine[Any, Any, T]]) -> T:
    try:
        return asyncio.run(question(server))
    except (AMQPError, OSError, TimeoutError) as error:
        raise Unavailable(f"RabbitMQ at {server.host}:{server.port} does not say what it holds: {error}") from error


async def _take_out(server: RabbitMQSettings) -> list[bytes]:
    async with _channel(server) as channel:
        await channel.set_qos(AT_ONCE)
        queue = await channel.declare_queue(server.queue, passive=True)
        count, bodies = queue.declaration_result.message_count or 0, list[bytes]()
        if not count:
            return bodies
        async with queue.iterator(timeout=PATIENCE_s) as messages:
            async for message in messages:
                await message.ack()
                bodies.append(message.body)
                if len(bodies) == count:
                    break
        return bodies


async def _remove(server: RabbitMQSettings) -> None:
    async with _channel(server) as channel:
        await channel.queue_delete(server.queue)
        await channel.exchange_delete(server.exchange)


@contextlib.asynccontextmanager
async def _channel(server: RabbitMQSettings) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(
        host=server.host,
        port=server.port,
        login=server.user,
        password=server.password.reveal(),
        virtualhost=server.vhost,
        timeout=PATIENCE_s,
    )
    async with connection, connection.channel() as channel:
        yield channel
