"""The RabbitMQ sink on its good days, against a real broker: what it delivers, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import threading

import aio_pika
import msgspec
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed

import edgegw
from edgegw.errors import Refused, SinkError, Unavailable
from edgegw.sinks.rabbitmq import RabbitMQSink
from tests.services.base import free_port, until
from tests.services.rabbitmq import Rabbit, Vhost
from tests.services.rabbitmq_sink import FIELDS, QUEUE, RUN, MakeSink, T0_ns, connection_to, reading, record, seqs, settings_to, take_all

PASSWORD = "hunter2-never-shown"


def test_a_message_is_what_the_contract_says(vhost: Vhost, sink_to: MakeSink) -> None:
    """Every property and the whole body stand in the message as documented."""
    sink = sink_to(vhost)
    sink.open()
    sink.deliver([record(3, 2)])
    (message,) = take_all(vhost)
    assert (message.exchange, message.routing_key) == ("edgegw.readings", "pi-7.lidar.front")
    assert message.message_id == f"pi-7/front/{RUN.id}/6-7"
    assert message.type == "edgegw.readings.v1"
    assert message.app_id == f"edgegw/{edgegw.__version__}"
    assert message.content_type == "application/json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.timestamp is not None
    assert int(message.timestamp.timestamp()) == (T0_ns + 70_000_000) // 10**9
    assert message.user_id is None
    assert _our_headers(message) == {"x-edgegw-count": 2, "x-edgegw-replay": False}


def test_a_body_is_what_the_contract_says(vhost: Vhost, sink_to: MakeSink) -> None:
    """The readings stand in the JSON body with every field and value."""
    sink = sink_to(vhost)
    sink.open()
    sink.deliver([record(3, 2)])
    body = json.loads(take_all(vhost)[0].body)
    given = [reading(6), reading(7)]
    assert [r.pop("values") for r in body["readings"]] == [dict(zip(FIELDS["lidar"], r.values, strict=True)) for r in given]
    assert body == {
        "schema": "edgegw.readings.v1",
        "gateway": "pi-7",
        "sensor": "front",
        "kind": "lidar",
        "run": RUN.id,
        "readings": [{"seq": r.seq, "time_ns": r.time_ns, "boot_ns": r.boot_ns, "clock": "synced", "quality": "good"} for r in given],
    }


def test_every_reading_arrives_once_and_in_order(vhost: Vhost, sink_to: MakeSink) -> None:
    """A hundred records in deliveries of all sizes are a hundred messages, none twice, none missing."""
    sink = sink_to(vhost)
    sink.open()
    done = 0
    for size in (1, 2, 7, 8, 9, 30, 0, 43):
        sink.deliver([record(n) for n in range(done, done + size)])
        done += size
    assert seqs(take_all(vhost)) == list(range(done * 10))


def test_msgpack_carries_the_same_fields(vhost: Vhost, sink_to: MakeSink) -> None:
    """format = "msgpack" changes body and content type and nothing else; a backlog says so in its header."""
    for media in ("json", "msgpack"):
        sink = sink_to(vhost, format=media)
        sink.open()
        sink.deliver([record(0, replay=True)])
    first, second = take_all(vhost)
    assert second.content_type == "application/msgpack"
    assert msgspec.msgpack.decode(second.body) == json.loads(first.body)
    assert _our_headers(first) == _our_headers(second) == {"x-edgegw-count": 10, "x-edgegw-replay": True}


def test_the_declared_topology_is_the_contracts(vhost: Vhost, sink_to: MakeSink) -> None:
    """A durable topic exchange and a quorum queue that refuses when full: declaring the same again is accepted, another is not."""
    sink_to(vhost).open()

    async def declare(overflow: str) -> None:
        async with await connection_to(vhost) as connection, connection.channel() as channel:
            await channel.declare_exchange("edgegw.readings", "topic", durable=True)
            await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum", "x-overflow": overflow})

    asyncio.run(declare("reject-publish"))
    with pytest.raises(ChannelPreconditionFailed):
        asyncio.run(declare("drop-head"))


def test_the_connection_lives_while_nobody_calls(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """Heartbeats reach the broker between deliveries."""
    sink_to(vhost, heartbeat_s=1).open()

    def received() -> int:
        lines = [line.split("\t") for line in rabbitmq.ctl("list_connections", "vhost", "recv_oct").splitlines()]
        return sum(int(octets) for name, octets in lines if name == vhost.name)

    first = received()
    assert first > 0
    until(lambda: received() >= first + 3 * 8, 60, "three heartbeat frames")


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"password": lambda: PASSWORD}, Refused, "does not accept user"),
        ({"user": "nobody"}, Refused, "does not accept user 'nobody'"),
        ({"vhost": "elsewhere"}, Refused, "into vhost 'elsewhere'"),
        ({"vhost": "/"}, Refused, "give the user permissions"),
        ({"declare": False}, Refused, "no exchange 'edgegw.readings'"),
        ({"tls": ssl.create_default_context()}, Refused, "no TLS with"),
        ({"port": free_port()}, Unavailable, "Connection refused"),
        ({"host": "no-such-host.invalid"}, Unavailable, "cannot be reached"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("silent")
def test_open_says_what_is_wrong(vhost: Vhost, sink_to: MakeSink, changes: dict[str, object], kind: type[SinkError], says: str) -> None:
    """Each way of not getting in has its class and its sentence; none shows a password, none is logged by a library."""
    sink = sink_to(vhost, **changes)
    with pytest.raises(kind, match=re.escape(says)) as caught:
        sink.open()
    assert type(caught.value) is kind
    assert PASSWORD not in str(caught.value)
    assert vhost.password not in str(caught.value)
    sink.close()


def test_a_queue_with_other_properties_is_refused(vhost: Vhost, sink_to: MakeSink) -> None:
    """Where the queue exists as a classic one, open() says so; declare = false takes it as it is."""

    async def declare_classic() -> None:
        async with await connection_to(vhost) as connection, connection.channel() as channel:
            exchange = await channel.declare_exchange("edgegw.readings", "topic", durable=True)
            await (await channel.declare_queue(QUEUE, durable=True)).bind(exchange, "pi-7.#")

    asyncio.run(declare_classic())
    with pytest.raises(Refused, match=r"other properties .*inequivalent arg"):
        sink_to(vhost).open()
    sink = sink_to(vhost, declare=False)
    sink.open()
    sink.deliver([record(0)])
    assert seqs(take_all(vhost)) == list(range(10))


@pytest.mark.usefixtures("silent")
def test_close_leaves_nothing(vhost: Vhost) -> None:
    """No thread, no file, no word in a log; twice is harmless, before open() too, and open() afterwards begins anew."""
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    sink = RabbitMQSink(settings_to(vhost))
    sink.close()
    for number in range(3):
        sink.open()
        sink.deliver([record(number)])
        sink.close()
        sink.close()
        assert set(threading.enumerate()) == threads
        assert len(os.listdir("/proc/self/fd")) == files
    assert seqs(take_all(vhost)) == list(range(30))


def _our_headers(message: aio_pika.abc.AbstractIncomingMessage) -> dict[str, object]:
    """Without those that the broker adds on delivery."""
    return {name: value for name, value in message.headers.items() if name.startswith("x-edgegw")}
