"""What the tests of the RabbitMQ sink share: records to deliver, sinks that get closed, and a consumer that knows nothing of edgegw."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Callable, Iterator, Sequence

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from edgegw.reading import Batch, ClockState, Counts, Quality, Reading, Record, Run
from edgegw.sinks.rabbitmq import RabbitMQSettings, RabbitMQSink
from tests.services.rabbitmq import Vhost

MakeSink = Callable[..., RabbitMQSink]

QUEUE = "edgegw.readings"
PATIENCE_s = 60
T0_ns = 1_795_228_291_123_456_789
FIELDS = {"lidar": {"distance_m": "float", "strength": "int", "note": "text"}}
RUN = Run("pi-7", "front", "tfluna", "0198c0de-0000-7000-8000-000000000001", "boot", T0_ns, FIELDS)


def reading(seq: int, note: str = "ä\"'") -> Reading:
    """The reading with that seq: always the same."""
    return Reading(seq, T0_ns + seq * 10_000_000, 81_234_567_890 + seq, ClockState.SYNCED, Quality.GOOD, (seq / 8, seq, note))


def record(number: int, count: int = 10, *, replay: bool = False) -> Record:
    """The record with the seqs from number*count on."""
    readings = tuple(map(reading, range(number * count, (number + 1) * count)))
    return Record(number, RUN, Batch(RUN.id, "lidar", Counts((number + 1) * count), readings), replay)


def seqs(messages: Sequence[AbstractIncomingMessage]) -> list[int]:
    """All seqs of JSON messages, in order of arrival."""
    return [r["seq"] for message in messages for r in json.loads(message.body)["readings"]]


async def connection_to(place: Vhost) -> AbstractConnection:
    """A plain aio-pika connection, for `async with await connection_to(…)`."""
    return await aio_pika.connect(host=place.host, port=place.port, login=place.user, password=place.password, virtualhost=place.name)


def take_all(place: Vhost, queue: str = QUEUE) -> list[AbstractIncomingMessage]:
    """Everything that lies in the queue, as they come."""
    return asyncio.run(_take_all(place, queue))


async def _take_all(place: Vhost, name: str) -> list[AbstractIncomingMessage]:
    messages: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(PATIENCE_s), await connection_to(place) as connection, connection.channel() as channel:
        queue = await channel.get_queue(name)
        while message := await queue.get(no_ack=True, fail=False, timeout=PATIENCE_s):
            messages.append(message)
    return messages


def settings_to(place: Vhost, **changes: object) -> RabbitMQSettings:
    """How to reach a vhost, with changed settings where asked."""
    login = {"host": place.host, "port": place.port, "user": place.user, "password": lambda: place.password, "vhost": place.name}
    return RabbitMQSettings(**{**login, **changes})  # type: ignore[arg-type]  # a test may try any type


@pytest.fixture
def sink_to() -> Iterator[MakeSink]:
    """Makes sinks for a vhost, with changed settings where asked, and closes them."""
    made: list[RabbitMQSink] = []

    def make(place: Vhost, **changes: object) -> RabbitMQSink:
        made.append(RabbitMQSink(settings_to(place, **changes)))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test in which asyncio or the AMQP libraries log anything that would be seen."""
    yield
    gc.collect()  # what was never awaited or never retrieved complains when it is collected
    assert [(r.name, r.getMessage()) for r in caplog.records if r.levelno >= logging.WARNING] == []
