"""A record as one AMQP message: body, properties, routing key. Part of the contract."""

from __future__ import annotations

import datetime
import re
from typing import Literal

import msgspec
from aiormq import spec

from edgegw import __version__, codec
from edgegw.errors import Rejected
from edgegw.reading import Record

PERSISTENT = 2
CONTENT_TYPES = {"json": "application/json", "msgpack": "application/msgpack"}
NS_PER_S = 1_000_000_000
_PART_bytes = 84  # three parts and two dots stay within AMQP's 255 bytes
_FOREIGN = re.compile(r"[^a-z0-9_-]")


class Outgoing(msgspec.Struct, frozen=True):
    """A message that is ready to be published; equal records give equal ids, whenever and however often they are sent."""

    id: str
    routing_key: str
    properties: spec.Basic.Properties
    body: bytes


def outgoing(record: Record, media: Literal["json", "msgpack"]) -> Outgoing:
    """The message of `record`. Raises Rejected where its content cannot be written as one."""
    try:
        return Outgoing(message_id(record), routing_key(record), _properties(record, media), codec.body(record, media))
    except (KeyError, OverflowError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Rejected("encoding", f"the readings cannot be written as a message: {error}") from error


def message_id(record: Record) -> str:
    """`<gateway>/<sensor>/<run>/<first seq>-<last seq>`."""
    run, batch = record.run, record.batch
    return f"{run.gateway}/{run.sensor}/{run.id}/{batch.first_seq}-{batch.last_seq}"


def routing_key(record: Record) -> str:
    """`<gateway>.<kind>.<sensor>` of lower-case letters, digits, _ and -; anything else becomes _; at most 255 bytes."""
    return ".".join(_FOREIGN.sub("_", part.lower())[:_PART_bytes] for part in (record.run.gateway, record.batch.kind, record.run.sensor))


def _properties(record: Record, media: str) -> spec.Basic.Properties:
    last_s = record.batch.readings[-1].time_ns // NS_PER_S  # AMQP's timestamp has whole seconds
    return spec.Basic.Properties(
        delivery_mode=PERSISTENT,
        content_type=CONTENT_TYPES[media],
        message_type=codec.SCHEMA,
        app_id=f"edgegw/{__version__}",
        timestamp=datetime.datetime.fromtimestamp(last_s, datetime.UTC),
        message_id=message_id(record),
        headers={"x-edgegw-count": len(record.batch.readings), "x-edgegw-replay": record.replay},
    )
