"""What can be done to RabbitMQ and MariaDB, each under its name; whatever is done to one finds it running."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aio_pika
import pymysql

from tests.chaos.stage import Connection, Stage
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import Rabbit
from tests.services.rabbitmq_sink import QUEUE, connection_to

EXCHANGE = "edgegw.readings"
WAIT_s = 10  # for a lock that the gateway holds: then the fault does not come about
TOPOLOGY_s = 20


def _server(stage: Stage, name: str) -> Rabbit | MariaDB:
    return stage.servers.rabbit if name == "rabbitmq" else stage.servers.mariadb


def kill(stage: Stage, name: str) -> None:
    """SIGKILL."""
    _server(stage, name).kill()


def stop(stage: Stage, name: str) -> None:
    """In order; one that is frozen could not."""
    start(stage, name)
    _server(stage, name).stop()


def start(stage: Stage, name: str) -> None:
    """Running and not frozen."""
    _server(stage, name).ensure()


def freeze(stage: Stage, name: str) -> None:
    """SIGSTOP: the kernel still takes connections, nobody answers."""
    start(stage, name)
    _server(stage, name).pause()


def alarm(stage: Stage, _: str) -> None:
    """RabbitMQ is short of memory: it blocks whoever publishes."""
    stage.servers.rabbit.ensure()
    stage.servers.rabbit.alarm(True)


def no_alarm(stage: Stage, _: str) -> None:
    """Memory again."""
    stage.servers.rabbit.ensure()
    stage.servers.rabbit.alarm(False)


def full_queue(stage: Stage, _: str) -> None:
    """A queue that refuses after five messages."""
    stage.servers.rabbit.ensure()
    stage.servers.rabbit.ctl("set_policy", "-p", stage.servers.vhost.name, "--apply-to", "queues", "short", ".*", '{"max-length": 5}')


def free_queue(stage: Stage, _: str) -> None:
    """As long as it was."""
    stage.servers.rabbit.ensure()
    stage.servers.rabbit.ctl("clear_policy", "-p", stage.servers.vhost.name, "short")


def unbind(stage: Stage, _: str) -> None:
    """Nothing leads to the queue any more: what is published is unroutable until the gateway declares its topology anew."""

    async def act(channel: aio_pika.abc.AbstractChannel) -> None:
        queue = await channel.get_queue(QUEUE, ensure=False)
        await queue.unbind(EXCHANGE, "#")

    _topology(stage, act)


def delete_exchange(stage: Stage, _: str) -> None:
    """The gateway's, with its binding."""

    async def act(channel: aio_pika.abc.AbstractChannel) -> None:
        await channel.exchange_delete(EXCHANGE)

    _topology(stage, act)


def _topology(stage: Stage, act: Callable[[aio_pika.abc.AbstractChannel], Awaitable[None]]) -> None:
    """What somebody else does to it. A broker that has just come back may refuse: then nothing was done."""

    async def work() -> None:
        async with asyncio.timeout(TOPOLOGY_s), await connection_to(stage.servers.vhost) as connection, connection.channel() as channel:
            await act(channel)

    stage.servers.rabbit.ensure()
    with contextlib.suppress(TimeoutError, OSError, aio_pika.exceptions.AMQPError):
        asyncio.run(work())


def kill_connection(stage: Stage, _: str) -> None:
    """KILL of every connection of the gateway's account."""
    user = stage.servers.database.gateway.user
    with contextlib.suppress(pymysql.MySQLError), stage.servers.mariadb.session() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))
        for (number,) in cursor.fetchall():
            with contextlib.suppress(pymysql.MySQLError):  # it has just gone by itself
                cursor.execute(f"KILL {int(number)}")


def read_only(stage: Stage, _: str) -> None:
    """As a replica is, and a primary that is about to move."""
    _as_root(stage, "SET GLOBAL read_only = 1")


def read_write(stage: Stage, _: str) -> None:
    """`ensure` sees to that."""
    stage.servers.mariadb.ensure()


def lose_table(stage: Stage, _: str) -> None:
    """Somebody renames the table of the readings."""
    _as_root(stage, "RENAME TABLE IF EXISTS metronome TO metronome_away")


def find_table(stage: Stage, _: str) -> None:
    """And back."""
    _as_root(stage, "RENAME TABLE IF EXISTS metronome_away TO metronome")


def lock(stage: Stage, _: str) -> None:
    """FLUSH TABLES WITH READ LOCK, as a backup does: writes wait, and no error comes."""
    stage.servers.unlock()
    stage.servers.mariadb.ensure()
    stage.servers.lock = stage.servers.mariadb.session()
    _execute(stage.servers.lock, "FLUSH TABLES WITH READ LOCK")


def unlock(stage: Stage, _: str) -> None:
    """The backup is done."""
    stage.servers.unlock()


def _as_root(stage: Stage, statement: str) -> None:
    """In the gateway's database. The read lock goes first: it would be waited for."""
    stage.servers.unlock()
    stage.servers.mariadb.ensure()
    with stage.servers.mariadb.session(stage.servers.database.gateway.database) as connection:
        _execute(connection, statement)


def _execute(connection: Connection, statement: str) -> None:
    """Or not, where the gateway holds a lock for longer than WAIT_s."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION lock_wait_timeout = {WAIT_s}")
        with contextlib.suppress(pymysql.err.OperationalError):
            cursor.execute(statement)
