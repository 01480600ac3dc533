"""Reading ↔ bytes; the only file that knows the wire formats: the bus (msgpack, versioned) and the JSON of the contract."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from edgegw.errors import CodecError
from edgegw.reading import Attachment, Batch, Reading, Record, Run, Value

Kept = TypeVar("Kept")

VERSION = b"\x01"
MAX_MESSAGE_bytes = 1 << 20
MAX_ATTACHMENT_bytes = 1 << 19
SCHEMA = "edgegw.readings.v1"


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """Worker → bridge, first on every connection: whose readings will follow."""

    run: Run


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """Bridge → worker: send the batches after number `committed` (-1: none of this run is safe yet)."""

    run: str
    committed: int


class Push(msgspec.Struct, frozen=True, array_like=True, tag="push"):
    """Worker → bridge: readings. Numbers ascend in a run; one that a full window gave up is left out."""

    number: int
    batch: Batch
    attached: dict[int, Attachment] = {}  # by the seq of the reading that it rides with


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """Bridge → worker: every batch of the run up to number `committed` that was sent is on disk."""

    run: str
    committed: int


class Held(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """Bridge → worker: every batch of the run up to `number` that was sent has arrived, and waits to be put on disk. Keep them."""

    run: str
    number: int


class Again(msgspec.Struct, frozen=True, array_like=True, tag="again"):
    """Bridge → worker: I do not know this connection; open a new one and begin with Hello."""


class Purge(msgspec.Struct, frozen=True, array_like=True, tag="purge"):
    """Command → bridge: erase all attachments."""


class Letters(msgspec.Struct, frozen=True, array_like=True, tag="letters"):
    """Command → bridge: give these dead letters to their sinks again, or give them up; "" stands for all."""

    drop: bool
    sink: str = ""
    sensor: str = ""
    run: str = ""  # the beginning of its id
    code: str = ""


class Lettered(msgspec.Struct, frozen=True, array_like=True, tag="lettered"):
    """Bridge → command: so many were."""

    count: int


class Purged(msgspec.Struct, frozen=True, array_like=True, tag="purged"):
    """Bridge → command: so many were erased."""

    count: int


Message = Hello | Welcome | Push | Ack | Held | Again | Purge | Purged | Letters | Lettered

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_run_decoder = msgspec.msgpack.Decoder(Run)
_attachment_decoder = msgspec.msgpack.Decoder(Attachment)
_json = msgspec.json.Encoder()
_MALFORMED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)  # the last comes from a text that is no UTF-8
_INT64 = range(-(1 << 63), 1 << 63)  # what SQL can store; msgpack also has larger ones
_COUNTS = range(1 << 63)


def encode(message: Message) -> bytes:
    """A bus message."""
    return VERSION + _encoder.encode(message)


def decode(data: bytes) -> Message:
    """The message in `data`. Raises CodecError for any bytes that are not one."""
    if len(data) > MAX_MESSAGE_bytes:
        raise CodecError(f"message of {len(data)} bytes is longer than {MAX_MESSAGE_bytes}")
    if data[:1] != VERSION:
        raise CodecError(f"message of version {data[:1].hex() or 'none'}, this gateway speaks {VERSION.hex()}")
    try:
        message = _decoder.decode(memoryview(data)[1:])
    except _MALFORMED as error:
        raise CodecError(f"not a message: {error}") from error
    if isinstance(message, Push):
        if message.number not in _COUNTS:
            raise CodecError(f"batch number {message.number} is out of range")
        check(message.batch)
        _check_attached(message)
    elif isinstance(message, Hello) and message.run.started_ns not in _INT64:
        raise CodecError(f"run {message.run.id} started at no time that can be stored")
    return message


def check(batch: Batch) -> None:
    """Refuse a batch that no honest worker sends: empty, out of order, or with a number that SQL cannot store."""
    seqs = [reading.seq for reading in batch.readings]
    if not seqs or seqs[0] < 0 or any(b <= a for a, b in itertools.pairwise(seqs)):
        raise CodecError("batch is empty or its seqs do not ascend")
    counts = batch.counts
    if not all(count in _COUNTS for count in (seqs[-1], counts.produced, counts.filtered, counts.dropped)):
        raise CodecError("batch holds a count that is negative or too large")
    for reading in batch.readings:
        if not (reading.time_ns in _INT64 and reading.boot_ns in _INT64 and all(map(storable, reading.values))):
            raise CodecError(f"reading {reading.seq} holds a number that is not finite or too large")


def _check_attached(push: Push) -> None:
    strangers = push.attached.keys() - {reading.seq for reading in push.batch.readings}
    if strangers:
        raise CodecError(f"something is attached to reading {min(strangers)}, which is not in the batch")
    for seq, attachment in push.attached.items():
        if len(attachment.data) > MAX_ATTACHMENT_bytes or attachment.before_ns not in _INT64:
            raise CodecError(f"what is attached to reading {seq} is too large")


def storable(value: Value) -> bool:
    """Whether JSON, MySQL and SQLite can all hold it: finite, and an integer within 64 bits."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is not int or value in _INT64


def encode_batch(batch: Batch) -> bytes:
    """A batch as the spool keeps it."""
    return _encoder.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """The batch in `data`. Raises CodecError."""
    return _decoded(_batch_decoder, data, "a batch")


def encode_run(run: Run) -> bytes:
    """A run as the spool keeps it."""
    return _encoder.encode(run)


def decode_run(data: bytes) -> Run:
    """The run in `data`. Raises CodecError."""
    return _decoded(_run_decoder, data, "a run")


def encode_attachment(attachment: Attachment) -> bytes:
    """An attachment as the spool keeps it."""
    return _encoder.encode(attachment)


def decode_attachment(data: bytes) -> Attachment:
    """The attachment in `data`. Raises CodecError."""
    return _decoded(_attachment_decoder, data, "an attachment")


def _decoded(decoder: msgspec.msgpack.Decoder[Kept], data: bytes, what: str) -> Kept:
    try:
        return decoder.decode(data)
    except _MALFORMED as error:
        raise CodecError(f"not {what}: {error}") from error


def rfc3339(time_ns: int) -> str:
    """UTC with microseconds and Z, as 2026-11-21T02:31:31.123456Z; whole microseconds, rounded down."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1000:06d}Z"


def reading_json(run: Run, kind: str, reading: Reading) -> bytes:
    """One reading as the tap, HTTP and exports show it."""
    return _json.encode(
        {
            "gateway": run.gateway,
            "sensor": run.sensor,
            "kind": kind,
            "run": run.id,
            "seq": reading.seq,
            "time": rfc3339(reading.time_ns),
            **_fields(run, kind, reading),
        }
    )


def body(record: Record, media: str = "json") -> bytes:
    """A record as one broker message body; `media` is json or msgpack, the fields are the same."""
    run, batch = record.run, record.batch
    encoder = _json if media == "json" else _encoder
    return encoder.encode(
        {
            "schema": SCHEMA,
            "gateway": run.gateway,
            "sensor": run.sensor,
            "kind": batch.kind,
            "run": run.id,
            "readings": [{"seq": r.seq, **_fields(run, batch.kind, r)} for r in batch.readings],
        }
    )


def _fields(run: Run, kind: str, reading: Reading) -> dict[str, Any]:
    names: Sequence[str] = tuple(run.fields[kind])
    return {
        "time_ns": reading.time_ns,
        "boot_ns": reading.boot_ns,
        "clock": reading.clock,
        "quality": reading.quality,
        "values": dict(zip(names, reading.values, strict=True)),
    }
