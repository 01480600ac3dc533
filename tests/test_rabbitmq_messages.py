"""The parts of the RabbitMQ sink that need no broker: messages, and what errors mean."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable

import msgspec
import pytest
from aio_pika import exceptions as amqp
from aiormq import exceptions as wire
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st

from edgegw.errors import Refused, Rejected, SinkError, Unavailable
from edgegw.reading import Batch, Counts, Record, Run
from edgegw.sinks.rabbitmq import RabbitMQSettings, trouble
from edgegw.sinks.rabbitmq.confirmed import KEPT, Confirmed
from edgegw.sinks.rabbitmq.message import message_id, outgoing, routing_key
from tests.services.rabbitmq_sink import RUN, reading, record

PASSWORD = "hunter2-never-shown"
SETTINGS = RabbitMQSettings(host="broker", user="gw", password=lambda: PASSWORD)
NO_DECLARE = msgspec.structs.replace(SETTINGS, declare=False)


def _named(gateway: str, kind: str, sensor: str) -> Record:
    return Record(0, Run(gateway, sensor, "driver", "run", "boot", 0, {}), Batch("run", kind, Counts(), (reading(0),)))


@given(gateway=st.text(max_size=300), kind=st.text(), sensor=st.text(max_size=300))
def test_routing_keys_are_always_legal(gateway: str, kind: str, sensor: str) -> None:
    """Whatever the names are, the key has three parts of [a-z0-9_-] and fits AMQP's 255 bytes."""
    key = routing_key(_named(gateway, kind, sensor))
    assert re.fullmatch(r"[a-z0-9_-]*\.[a-z0-9_-]*\.[a-z0-9_-]*", key)
    assert len(key.encode()) <= 255


def test_names_are_made_safe_for_routing() -> None:
    """Upper case is lowered, and anything foreign becomes an underscore."""
    assert routing_key(_named("Pi 7.Werk", "lidar", "Tür/1")) == "pi_7_werk.lidar.t_r_1"


def test_message_ids_differ_where_records_do() -> None:
    """The id follows from gateway, sensor, run and seqs: a repeated record has the same, halves of one have their own."""
    assert len({message_id(r) for r in (record(0), record(0, 5), record(1, 5), record(0))}) == 3


def test_a_record_that_is_no_message_is_rejected() -> None:
    """Readings that do not match the run's fields are content, not an outage."""
    odd = Record(0, RUN, Batch(RUN.id, "imu", Counts(), (reading(0),)))
    with pytest.raises(Rejected, match="encoding"):
        outgoing(odd, "json")


def test_what_is_remembered_as_confirmed_is_bounded() -> None:
    """The oldest ids give way; what has been settled or lost is known no more."""
    confirmed = Confirmed()
    for number in range(KEPT + 2):
        confirmed.note(str(number))
    assert [number for number in range(KEPT + 2) if str(number) not in confirmed] == [0, 1]
    confirmed.settle(["2", "never noted"])
    assert ("2" in confirmed, "3" in confirmed) == (False, True)
    confirmed.clear()
    assert "3" not in confirmed


def test_the_patience_with_a_silent_broker_follows_the_heartbeat() -> None:
    """Two heartbeats, and half a minute at the most."""
    heartbeats = {5: 10, 15: 30, 300: 30}
    assert {beat: msgspec.structs.replace(SETTINGS, heartbeat_s=beat).patience_s for beat in heartbeats} == heartbeats


def test_settings_do_not_show_the_password() -> None:
    """Neither repr nor str of the settings has it."""
    assert PASSWORD not in repr(SETTINGS) + str(SETTINGS)


def _bad_certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "it is not right"
    return error


@pytest.mark.parametrize(
    ("stage", "error", "kind", "says"),
    [
        (trouble.connecting, _bad_certificate(20), Refused, "ca_file"),
        (trouble.connecting, _bad_certificate(9), Unavailable, "clock"),
        (trouble.connecting, TimeoutError(), Unavailable, "within 10 s"),
        (trouble.connecting, amqp.IncompatibleProtocolError("x"), Refused, "does not speak AMQP"),
        (trouble.connecting, amqp.AuthenticationError("EXTERNAL", []), Refused, "PLAIN"),
        (trouble.connecting, OSError(113, "x"), Unavailable, "No route to host"),
        (trouble.connecting, OSError("Multiple: [Errno 111] a ('::1', 1, 0), [Errno 111] b"), Unavailable, ": Connection refused; see"),
        (trouble.declaring, wire.ChannelAccessRefused("ACCESS_REFUSED - to q"), Refused, "to q"),
        (trouble.declaring, wire.ChannelLockedResource("locked"), Refused, "locked"),
        (trouble.declaring, TimeoutError(), Unavailable, "within 10 s"),
        (trouble.publishing, amqp.DeliveryError(None, spec.Basic.Nack(1)), trouble.Full, "queue is full"),
        (trouble.publishing, amqp.ChannelClosed(311, "CONTENT_TOO_LARGE"), Rejected, "(311)"),
        (trouble.publishing, wire.ConnectionFrameError("FRAME_ERROR"), Rejected, "(501)"),
        (trouble.publishing, wire.ConnectionSyntaxError("SYNTAX_ERROR"), Rejected, "(502)"),
        (trouble.publishing, amqp.ConnectionClosed(320, "CONNECTION_FORCED - bye"), Unavailable, "lost: CONNECTION_FORCED - bye"),
        (trouble.publishing, asyncio.CancelledError(), Unavailable, "lost: closed"),
        (trouble.publishing, RuntimeError("odd"), Unavailable, "lost: odd"),
    ],
)
def test_errors_become_what_to_do(
    stage: Callable[[BaseException, RabbitMQSettings], SinkError], error: BaseException, kind: type[SinkError], says: str
) -> None:
    """What the library raises becomes the right class, with the words that help and without the password."""
    became = stage(error, SETTINGS)
    assert type(became) is kind
    assert says in str(became)
    assert PASSWORD not in str(became)


@pytest.mark.parametrize(("settings", "kind"), [(SETTINGS, Unavailable), (NO_DECLARE, Refused)])
def test_a_missing_exchange_heals_only_where_the_gateway_declares(settings: RabbitMQSettings, kind: type[SinkError]) -> None:
    """With declare = true the next connection makes it again; without, somebody has to act."""
    assert type(trouble.publishing(amqp.ChannelNotFoundEntity("NOT_FOUND"), settings)) is kind
