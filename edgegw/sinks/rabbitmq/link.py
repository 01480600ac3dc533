"""One connection with one channel: opened, used, and thrown away at the first doubt.

A plain connection, not aio-pika's robust one: that reconnects behind our back and never says which publishes it forgot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import aio_pika
import aio_pika.abc
from aio_pika.connection import make_url
from aiormq import Channel, spec
from aiormq.connection import TransportFactory
from yarl import URL

from edgegw import __version__
from edgegw.errors import SinkError
from edgegw.sinks.rabbitmq import trouble
from edgegw.sinks.rabbitmq.confirmed import Confirmed
from edgegw.sinks.rabbitmq.message import Outgoing
from edgegw.sinks.rabbitmq.settings import RabbitMQSettings

LOOK_s = 1.0  # how often a wait for confirms looks up, to see whether the broker blocks us
QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}

Trouble = Callable[[BaseException, RabbitMQSettings], SinkError]


class Link:
    """A live connection; `await connect(settings, confirmed)` makes one."""

    def __init__(self, settings: RabbitMQSettings, confirmed: Confirmed) -> None:
        self._to = settings
        self._confirmed = confirmed
        self._wire = _Wire(settings)
        self._connection = _connection(settings, self._wire)
        self._channel: Channel | None = None
        self._flying: dict[str, asyncio.Task[Any]] = {}  # message id → a publish whose confirm is still to come
        self._why: BaseException | None = None
        self._connection.close_callbacks.add(self._note)

    @property
    def alive(self) -> bool:
        """False as soon as connection or channel have ended, from whichever side."""
        return self._channel is not None and not self._channel.is_closed

    async def unblocked(self, timeout_s: float) -> bool:
        """Whether the broker takes publishes, waiting up to timeout_s for it to. It says so on a publish only, never beforehand."""
        transport = self._connection.transport
        if transport is None:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await transport.ready()
        except TimeoutError:
            return False
        return True

    async def deliver(self, messages: Sequence[Outgoing]) -> None:
        """Publish what is neither confirmed nor in flight already, `window` at a time, and return when everything is confirmed.

        After Blocked, Full or Unrouted the link may be used again, and a message still in flight is waited for, not sent twice: aiormq
        correlates results by message id alone, so the same id twice on one channel would mix them up.
        After any other error the link must be closed.
        """
        if not self.alive:
            raise trouble.lost(self._why, self._to)
        if not await self.unblocked(LOOK_s):
            raise trouble.blocked(self._to)
        unconfirmed = {message.id for message in messages if message.id not in self._confirmed}
        for message in messages:
            while message.id in unconfirmed and message.id not in self._flying and len(self._flying) >= self._to.window:
                unconfirmed -= await self._land(asyncio.FIRST_COMPLETED)
            if message.id in unconfirmed and message.id not in self._flying:
                self._flying[message.id] = self._publish(message)
        while unconfirmed:
            unconfirmed -= await self._land(asyncio.FIRST_EXCEPTION)

    async def close(self, farewell_s: float = 0.0) -> None:
        """End it: politely for up to farewell_s, then by reset. Never raises."""
        for task in self._flying.values():
            task.cancel()
        self._flying.clear()
        transport = self._connection.transport
        if not (farewell_s and await _within(farewell_s, self._connection.close())):
            self._wire.cut()
        await _within(LOOK_s, self._connection.close())
        if transport is not None:
            await _within(LOOK_s, transport.connection.close())

    async def open(self) -> None:
        """Connect, open the channel, see to the topology: all of it within connect_timeout_s. Raises Unavailable or Refused."""
        stage: Trouble = trouble.connecting
        try:
            async with asyncio.timeout(self._to.connect_timeout_s):
                await self._connection.connect()
                stage = trouble.declaring
                if self._to.declare and self._confirmed and not await _has_queue(self._connection, self._to.queue):
                    self._confirmed.clear()  # it will be made anew, and is empty then
                channel = self._connection.channel(publisher_confirms=True, on_return_raises=True)
                await channel.initialize()
                await _topology(channel, self._to)
                self._channel = cast(Channel, await channel.get_underlay_channel())
        except Exception as error:
            await self.close()
            raise stage(error, self._to) from error
        except asyncio.CancelledError:
            await self.close()
            raise

    def _publish(self, message: Outgoing) -> asyncio.Task[Any]:
        assert self._channel is not None
        publish = self._channel.basic_publish(
            message.body,
            exchange=self._to.exchange,
            routing_key=message.routing_key,
            properties=message.properties,
            mandatory=True,
            wait=False,  # the window bounds what lies in the socket's buffer; draining it per message costs a quarter of the CPU
        )
        task = asyncio.ensure_future(publish)
        task.add_done_callback(_look_at)
        return task

    async def _land(self, until: str) -> set[str]:
        """Wait for confirms and note them; the ids of those messages. Raises what the worst of the other outcomes means."""
        deadline = asyncio.get_running_loop().time() + self._to.patience_s
        while not await self._finished(until):
            if not await self.unblocked(0):
                raise trouble.blocked(self._to)
            if asyncio.get_running_loop().time() >= deadline:
                raise trouble.silent(self._to)
        landed = {name: _outcome(task) for name, task in self._flying.items() if task.done()}
        for name, outcome in landed.items():
            del self._flying[name]
            if outcome is None:
                self._confirmed.note(name)
        errors = [outcome for outcome in landed.values() if outcome is not None]
        if any(map(trouble.vanished, errors)):
            self._confirmed.clear()
        if errors:
            worst = next(filter(trouble.informative, errors), self._why or errors[0])
            raise trouble.publishing(worst, self._to) from worst
        return set(landed)

    async def _finished(self, until: str) -> bool:
        if not self._flying:  # close() came in between
            raise trouble.lost(self._why, self._to)
        done, _ = await asyncio.wait(self._flying.values(), timeout=min(LOOK_s, self._to.patience_s), return_when=until)
        return bool(done)

    def _note(self, _connection: object, error: BaseException | None = None) -> None:
        self._why = self._why or error


async def connect(settings: RabbitMQSettings, confirmed: Confirmed) -> Link:
    """A link that is ready to deliver, and notes in `confirmed` what the broker has. Raises Unavailable or Refused."""
    link = Link(settings, confirmed)
    await link.open()
    return link


class _Wire(TransportFactory):
    """Opens the socket for aiormq and keeps hold of it: aiormq itself has no way to drop a connection that does not answer."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._to = settings
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **_ignored: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A fresh connection, with TLS where there is a context for it. Raises OSError, ssl.SSLError among them."""
        to = self._to
        patience_s = LOOK_s if to.tls else None  # a peer that is gone does not answer TLS's good-bye either
        reader, self._writer = await asyncio.open_connection(to.host, to.port, ssl=to.tls, ssl_shutdown_timeout=patience_s)
        return reader, self._writer

    def cut(self) -> None:
        """Reset the connection, whatever still waits to be written."""
        if self._writer is not None:
            self._writer.transport.abort()


class _Connection(aio_pika.Connection):
    """aio-pika's plain connection, which also hands on a transport factory to aiormq."""

    PARAMETERS = (
        *aio_pika.Connection.PARAMETERS,
        aio_pika.abc.ConnectionParameter(name="transport_factory", parser=lambda factory: factory, is_kwarg=True),
    )


def _connection(to: RabbitMQSettings, wire: _Wire) -> _Connection:
    url = make_url(host=to.host, port=to.port, login=to.user, password=to.password(), virtualhost=to.vhost, heartbeat=to.heartbeat_s)
    return _Connection(url, client_properties={"connection_name": f"edgegw/{__version__}"}, transport_factory=wire)


async def _has_queue(connection: _Connection, queue: str) -> bool:
    channel = await connection.channel()  # of its own: the broker ends the one that is asked for what is not there
    try:
        await channel.declare_queue(queue, passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def _topology(channel: aio_pika.abc.AbstractChannel, to: RabbitMQSettings) -> None:
    if not to.declare:
        await channel.get_exchange(to.exchange, ensure=True)
        return
    exchange = await channel.declare_exchange(to.exchange, aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(to.queue, durable=True, arguments=dict(QUEUE_ARGUMENTS))
    await queue.bind(exchange, "#")


async def _within(seconds: float, work: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await work
    except Exception:  # noqa: BLE001 - a connection that is being thrown away may fail in any way it likes
        return False
    return True


def _outcome(task: asyncio.Task[Any]) -> BaseException | None:
    """None for an acknowledgement and nothing else."""
    if task.cancelled():
        return asyncio.CancelledError()
    error = task.exception()
    if error is None and not isinstance(task.result(), spec.Basic.Ack):
        return RuntimeError(f"a publish ended in {task.result()!r} instead of an acknowledgement")
    return error


def _look_at(task: asyncio.Task[Any]) -> None:
    """Fetch the exception, so that asyncio does not complain of one that nobody was waiting for any more."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
