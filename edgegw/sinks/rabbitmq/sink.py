"""The sink: synchronous outside, an asyncio loop in a thread inside, and at most one connection."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from edgegw.errors import SinkError, Unavailable
from edgegw.reading import Letter, Record
from edgegw.sinks.rabbitmq import trouble
from edgegw.sinks.rabbitmq.confirmed import Confirmed
from edgegw.sinks.rabbitmq.link import Link, connect
from edgegw.sinks.rabbitmq.message import Outgoing, outgoing
from edgegw.sinks.rabbitmq.settings import RabbitMQSettings
from edgegw.sinks.rabbitmq.thread import LoopThread, Stopped

FAREWELL_s = 0.5  # for a polite end; a broker that does not answer by then gets a reset
CLOSE_s = 2.0


class RabbitMQSink:
    """Delivers records to a topic exchange, one message each.

    States: no link (before open(), after any failure), or a link. open() makes one where there is none and does nothing where
    there is a good one. While the broker blocks publishers the link is kept: deliver() fails within about a second, open() waits
    up to connect_timeout_s for the end of it.
    """

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._settings = settings
        self._thread: LoopThread | None = None
        self._link: Link | None = None
        self._confirmed = Confirmed()
        _hush()

    @property
    def name(self) -> str:
        """As in the configuration."""
        return "rabbitmq"

    def open(self) -> None:
        """Connect, and declare exchange, queue and binding unless told not to. Raises Unavailable or Refused."""
        self._call(self._open())

    def deliver(self, records: Sequence[Record]) -> None:
        """Return when RabbitMQ has confirmed all of them. Raises Unavailable (outcome unknown), Refused or Rejected.

        After Rejected the next deliver() connects anew by itself, as the broker ends the channel over such a message.
        """
        messages = [outgoing(record, self._settings.format) for record in records]
        self._call(self._deliver(messages))

    def bury(self, letter: Letter) -> None:
        """Nothing: RabbitMQ has no place for a rejected reading; the stores and the log keep it."""

    def close(self) -> None:
        """Let go within about two seconds; also from another thread, which breaks off a deliver() with Unavailable. Never raises."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop(CLOSE_s)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._running().call(work)
        except Stopped as error:
            raise Unavailable(f"the connection to {self._settings.place} was closed by edgegw itself") from error
        finally:
            work.close()  # matters only where it never began

    def _running(self) -> LoopThread:
        if self._thread is None:
            try:
                self._thread = LoopThread("edgegw-rabbitmq", self._leave)
            except (OSError, RuntimeError) as error:
                raise Unavailable(f"no thread for the connection to {self._settings.place}: {error}") from error
        return self._thread

    async def _open(self) -> None:
        if self._link is not None and self._link.alive:
            if await self._link.unblocked(self._settings.connect_timeout_s):
                return
            if self._link.alive:
                raise trouble.blocked(self._settings)
        await self._drop()
        self._link = await connect(self._settings, self._confirmed)

    async def _deliver(self, messages: Sequence[Outgoing]) -> None:
        if self._link is None:
            self._link = await connect(self._settings, self._confirmed)
        try:
            await self._link.deliver(messages)
        except (trouble.Blocked, trouble.Full, trouble.Unrouted):
            raise
        except SinkError:
            await self._drop()
            raise
        self._confirmed.settle(message.id for message in messages)

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _leave(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close(FAREWELL_s)


def _hush() -> None:
    """Silence aio-pika and aiormq below CRITICAL.

    They report a lost connection by warnings with tracebacks, which Python's last-resort handler would print. All of it reaches the
    caller as one exception in plain words. A level that somebody set before stays.
    """
    for library in ("aiormq", "aio_pika"):
        logger = logging.getLogger(library)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
