"""The wire formats: every message comes back as it was, any bytes are a message or a CodecError, the JSON is the contract's."""

from __future__ import annotations

import datetime
import json
import os
import string

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgegw import codec
from edgegw.codec import VERSION, Ack, Again, Hello, MAX_MESSAGE_bytes, Message, Push, Welcome
from edgegw.errors import CodecError
from edgegw.reading import Batch, ClockState, Counts, Quality, Reading, Record, Run
from tests.records import BOOT_ns, START_ns, a_record, a_run

MANY = 10_000 if os.environ.get("CI") == "true" else 2000
LEAST, MOST = -(1 << 63), (1 << 63) - 1

text = st.text(max_size=20)
numbers = st.integers(0, MOST)
int64 = st.integers(LEAST, MOST)
value = st.none() | text | int64 | st.floats(allow_nan=False, allow_infinity=False)
counts = st.builds(Counts, numbers, numbers, numbers)
fields = st.dictionaries(text, st.dictionaries(text, st.sampled_from(["float", "int", "text"]), max_size=4), max_size=3)
runs = st.builds(Run, text, text, text, text, text, int64, fields)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """What check() lets through."""
    seqs = sorted(draw(st.sets(numbers, min_size=1, max_size=5)))
    stamped = st.builds(
        Reading, st.just(0), int64, int64, st.sampled_from(ClockState), st.sampled_from(Quality), st.lists(value, max_size=5).map(tuple)
    )
    readings = tuple(msgspec.structs.replace(draw(stamped), seq=seq) for seq in seqs)
    return Batch(draw(text), draw(text), draw(counts), readings)


messages = (
    st.builds(Hello, runs)
    | st.builds(Welcome, text, st.integers(-1, MOST))
    | st.builds(Push, numbers, batches())
    | st.builds(Ack, text, st.integers(-1, MOST))
    | st.just(Again())
)


@given(messages)
def test_a_message_comes_back(message: Message) -> None:
    """Equal, and of the same types: 1 stays an int, 1.0 a float, enums are enums."""
    back = codec.decode(codec.encode(message))
    assert back == message
    assert repr(back) == repr(message)


@given(batches(), runs)
def test_what_the_spool_keeps_comes_back(batch: Batch, run: Run) -> None:
    """Batch and run, by themselves."""
    assert repr(codec.decode_batch(codec.encode_batch(batch))) == repr(batch)
    assert repr(codec.decode_run(codec.encode_run(run))) == repr(run)


def _message_or_error(data: bytes) -> None:
    for decode in (codec.decode, codec.decode_batch, codec.decode_run):
        try:
            decode(data)
        except CodecError as error:
            assert str(error)


@settings(max_examples=MANY)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
def test_any_bytes_are_a_message_or_a_codec_error(data: bytes) -> None:
    """With the version's byte before them and without."""
    _message_or_error(data)
    _message_or_error(VERSION + data)


@settings(max_examples=MANY)
@given(messages, st.data())
def test_a_changed_message_is_a_message_or_a_codec_error(message: Message, data: st.DataObject) -> None:
    """Some bytes of a real one replaced, cut off or put in: far more of the decoder is reached than by random bytes."""
    content = bytearray(codec.encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        end = min(len(content), at + data.draw(st.integers(0, 3)))
        content[at:end] = data.draw(st.binary(max_size=3))
    _message_or_error(bytes(content))
    _message_or_error(bytes(content[1:]))


@given(messages, st.data())
def test_a_message_that_is_cut_is_never_taken(message: Message, data: st.DataObject) -> None:
    """Nor one with something behind it."""
    content = codec.encode(message)
    cut = data.draw(st.integers(0, len(content) - 1))
    for broken in (content[:cut], content + b"\x00"):
        with pytest.raises(CodecError):
            codec.decode(broken)


DEEP = 400_000
BOMBS = {
    "arrays": b"\x92\xa5hello" + b"\x91" * DEEP,
    "maps in the run": b"\x92\xa5hello" + b"\x81\xa1x" * (DEEP // 3),
    "behind the last field": b"\x92\xa5again" + b"\x91" * DEEP,
    "in a value": b"\x93\xa4push\x00\x94\xa1a\xa1b\x93\x00\x00\x00\x91\x96\x00\x00\x00\xa6synced\xa4good" + b"\x91" * DEEP,
    "a billion readings": b"\x93\xa4push\x00\x94\xa1a\xa1b\x93\x00\x00\x00\xdd\x7f\xff\xff\xff",
    "a billion fields": b"\x92\xa5hello\xdf\x7f\xff\xff\xff",
    "text of 4 GB": b"\x93\xa3ack\xdb\xff\xff\xff\xff",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_a_codec_error(bomb: bytes) -> None:
    """Neither the stack nor the memory goes."""
    _message_or_error(bomb)
    with pytest.raises(CodecError):
        codec.decode(VERSION + bomb)


def _push(number: int = 0, counted: Counts | None = None, **changed: object) -> bytes:
    reading = msgspec.structs.replace(Reading(0, 1, 1, ClockState.SYNCED, Quality.GOOD, (1.0,)), **changed)
    return codec.encode(Push(number, Batch("run", "lidar", counted or Counts(1), (reading,))))


REFUSED = {
    "NaN": _push(values=(1.0, float("nan"))),
    "infinity": _push(values=(float("-inf"),)),
    "value too large": _push(values=(MOST + 1,)),
    "seq too large": _push(seq=MOST + 1),
    "seq negative": _push(seq=-1),
    "time too large": _push(time_ns=MOST + 1),
    "boot time too large": _push(boot_ns=MOST + 1),
    "number too large": _push(number=MOST + 1),
    "number negative": _push(number=-1),
    "count too large": _push(counted=Counts(0, 0, MOST + 1)),
    "count negative": _push(counted=Counts(-1)),
    "true": _push(values=(True,)),
    "bytes": _push(values=(b"x",)),
    "another enum": _push(quality="perfect"),
    "started too late": codec.encode(Hello(msgspec.structs.replace(a_run(), started_ns=MOST + 1))),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_sql_or_json_cannot_hold_is_refused_at_the_door(data: bytes) -> None:
    """Behind it, it would be a bug of the bridge, met again with every resend."""
    with pytest.raises(CodecError):
        codec.decode(data)


@pytest.mark.parametrize("seqs", [(), (3, 3), (4, 3), (0, 1, 1)])
def test_readings_of_a_batch_ascend(seqs: tuple[int, ...]) -> None:
    """Empty, repeated or out of order is refused: first_seq and last_seq would lie."""
    readings = tuple(Reading(seq, 1, 1, ClockState.SYNCED, Quality.GOOD, ()) for seq in seqs)
    with pytest.raises(CodecError, match="do not ascend"):
        codec.decode(codec.encode(Push(0, Batch("run", "lidar", Counts(), readings))))


def test_a_message_may_be_one_mebibyte_long_and_no_longer() -> None:
    """The limit counts the version's byte."""
    rest = MAX_MESSAGE_bytes - len(codec.encode(Ack("x" * 100_000, 0)))
    longest = codec.encode(Ack("x" * (100_000 + rest), 0))
    assert len(longest) == MAX_MESSAGE_bytes
    assert codec.decode(longest) == Ack("x" * (100_000 + rest), 0)
    with pytest.raises(CodecError, match="1048577 bytes is longer than 1048576"):
        codec.decode(codec.encode(Ack("x" * (100_001 + rest), 0)))


@pytest.mark.parametrize("first", [b"\x00", b"\x02", b"\x92", b"{"])
def test_another_version_is_named(first: bytes) -> None:
    """So that a worker of another release shows as that, and not as noise."""
    with pytest.raises(CodecError, match=f"version {first.hex()}, this gateway speaks 01"):
        codec.decode(first + codec.encode(Again())[1:])


def test_a_reading_in_json_is_the_contracts() -> None:
    """Names, order and types as the documentation shows them; null for what was not measured."""
    run = a_run()
    reading = Reading(1234, START_ns, BOOT_ns, ClockState.SYNCED, Quality.GOOD, (1.23, 812, None))
    assert codec.reading_json(run, "lidar", reading).decode() == (
        '{"gateway":"pi-7","sensor":"front","kind":"lidar","run":"0198c0de-0000-7000-8000-000000000000","seq":1234,'
        '"time":"2026-11-21T02:31:31.123456Z","time_ns":1795228291123456789,"boot_ns":81234567890,"clock":"synced",'
        '"quality":"good","values":{"distance_m":1.23,"strength":812,"temperature_degC":null}}'
    )


def test_a_record_as_a_message_body_is_the_contracts() -> None:
    """JSON and msgpack carry the same fields in the same order."""
    run = a_run()
    readings = [Reading(seq, START_ns + seq, BOOT_ns, ClockState.UNSYNCED, Quality.BAD, (None, 7, -1.5)) for seq in (8, 9)]
    record = a_record(run, readings)
    body = json.loads(codec.body(record))
    assert list(body) == ["schema", "gateway", "sensor", "kind", "run", "readings"]
    assert [body[key] for key in list(body)[:5]] == ["edgegw.readings.v1", "pi-7", "front", "lidar", run.id]
    assert json.dumps(body["readings"][1], separators=(",", ":")) == (
        '{"seq":9,"time_ns":1795228291123456798,"boot_ns":81234567890,"clock":"unsynced","quality":"bad",'
        '"values":{"distance_m":null,"strength":7,"temperature_degC":-1.5}}'
    )
    assert msgspec.msgpack.decode(codec.body(record, "msgpack")) == body


@given(batches(), st.text(string.ascii_letters, min_size=1))
def test_any_batch_that_came_in_can_go_out_as_json(batch: Batch, name: str) -> None:
    """And parses as strict JSON to the same values."""
    names = {f"{name}{number}": "float" for number in range(5)}
    run = msgspec.structs.replace(a_run(), fields={batch.kind: names})
    whole = [msgspec.structs.replace(r, values=(*r.values, *[None] * (5 - len(r.values)))) for r in batch.readings]
    record = Record(1, run, msgspec.structs.replace(batch, readings=tuple(whole)))
    body = json.loads(codec.body(record), parse_constant=pytest.fail)
    assert [tuple(each["values"].values()) for each in body["readings"]] == [r.values for r in whole]
    for reading in whole:
        shown = json.loads(codec.reading_json(run, batch.kind, reading), parse_constant=pytest.fail)
        assert (shown["time_ns"], tuple(shown["values"].values())) == (reading.time_ns, reading.values)


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@given(int64)
@example(0)
@example(-1)
@example(-1000)
@example(LEAST)
@example(MOST)
@example(999_999_999)
def test_rfc3339_agrees_with_datetime(time_ns: int) -> None:
    """For every nanosecond that fits, before 1970 too: whole microseconds, rounded down."""
    parsed = datetime.datetime.strptime(codec.rfc3339(time_ns), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.UTC)
    assert (parsed - EPOCH) // datetime.timedelta(microseconds=1) == time_ns // 1000
