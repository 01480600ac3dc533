"""The TF-Luna's commands and replies as bytes: what is sent, and how a reply is told from the data around it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.tfluna.commands import Id, LONGEST_bytes, Replies, Reply, Request, ask, nearest_hz, put, request, rounds_to
from workers.tfluna.frames import Parser

VERSION = bytes.fromhex("5A07010800036D")
FRAME = bytes.fromhex("59597B00E803C808E8")

ids = st.sampled_from([Id.VERSION, Id.RATE, Id.BAUD, Id.SAVE])


@pytest.mark.parametrize(
    ("made", "answer", "raw"),
    [
        (request(Id.VERSION), Id.VERSION, "5A04015F"),
        (request(Id.RESET), Id.RESET, "5A040260"),
        (put(Id.RATE, 1), Id.RATE, "5A0603010064"),
        (put(Id.RATE, 100), Id.RATE, "5A06036400C7"),
        (put(Id.RATE, 250), Id.RATE, "5A0603FA005D"),
        (put(Id.FORMAT, 1), Id.FORMAT, "5A05050165"),
        (put(Id.FORMAT, 6), Id.FORMAT, "5A0505066A"),
        (put(Id.BAUD, 9600), Id.BAUD, "5A0806802500000D"),
        (put(Id.BAUD, 115200), Id.BAUD, "5A080600C201002B"),
        (put(Id.BAUD, 921600), Id.BAUD, "5A080600100E0086"),
        (put(Id.OUTPUT, 0), Id.OUTPUT, "5A05070066"),
        (put(Id.OUTPUT, 1), Id.OUTPUT, "5A05070167"),
        (request(Id.SAVE), Id.SAVE, "5A04116F"),
        (put(Id.LOW_POWER, 10), Id.LOW_POWER, "5A06350A009F"),
        (put(Id.LOW_POWER, 0), Id.LOW_POWER, "5A0635000095"),
        (ask(Id.RATE), Id.RATE, "5A053F03A1"),
    ],
)
def test_requests_are_the_bytes_of_the_datasheet(made: Request, answer: Id, raw: str) -> None:
    """Every command that is ever sent, with the sum that the arithmetic gives, and the id of its answer."""
    assert made == (answer, bytes.fromhex(raw))


@pytest.mark.parametrize(
    ("raw", "id", "number"),
    [
        ("5A05020061", Id.RESET, 0),
        ("5A05020162", Id.RESET, 1),
        ("5A05020060", Id.RESET, 0),  # as the first manual prints it: the sum is one too low
        ("5A06036400C7", Id.RATE, 100),
        ("5A0505066A", Id.FORMAT, 6),
        ("5A080600C201002B", Id.BAUD, 115200),
        ("5A05070167", Id.OUTPUT, 1),
        ("5A05110070", Id.SAVE, 0),
        ("5A0511006F", Id.SAVE, 0),
        ("5A05110171", Id.SAVE, 1),
        ("5A06350A009F", Id.LOW_POWER, 10),
    ],
)
def test_replies_are_read_from_the_bytes_of_the_datasheet(raw: str, id: Id, number: int) -> None:
    """Between two frames, each is found, and the frames are left whole."""
    assert taken([FRAME + bytes.fromhex(raw) + FRAME], id) == ([(id, number)], FRAME * 2)


def test_a_version_is_read_from_its_end() -> None:
    """Bytes come lowest first: 3.0.8 is 08 00 03."""
    replies = Replies()
    replies.asked.add(Id.VERSION)
    ((reply,), rest) = replies.feed(VERSION)
    assert (reply.version, rest) == ("3.0.8", b"")


@pytest.mark.parametrize(
    "raw",
    [
        VERSION[:-1] + b"\x6e",  # a wrong sum, of a reply that is no status
        bytes.fromhex("5A0502026E"),  # a status that is neither done nor failed, with a wrong sum
        bytes.fromhex("5A0C007B00E80340E20100EF"),  # a frame of the format ID-0, which begins like a reply
        bytes.fromhex("5A06036400C7"),  # right, and asked for by nobody
        b"\x5a\x07\x02",
        b"\x5a\x5a\x5a",
    ],
)
def test_what_only_looks_like_a_reply_is_left_in_the_data(raw: bytes) -> None:
    """Nothing is taken out, and not a byte is lost."""
    assert taken([FRAME + raw + FRAME], Id.VERSION, Id.RESET) == ([], FRAME + raw + FRAME)


def taken(chunks: list[bytes], *asked: Id) -> tuple[list[tuple[Id, int]], bytes]:
    """Replies and the rest, what was kept to the end included; less than one reply is ever kept."""
    replies, found, rest = Replies(), [], b""
    replies.asked.update(asked)
    for chunk in chunks:
        some, left = replies.feed(chunk)
        found += some
        rest += left
        assert len(replies._held) < LONGEST_bytes
    return [(reply.id, reply.number) for reply in found], rest + replies.left()


@settings(max_examples=10_000)
@given(st.binary(max_size=40), ids, st.binary(min_size=4, max_size=4), st.integers(3, 30))
def test_replies_are_found_among_frames_and_noise(noise: bytes, id: Id, payload: bytes, size: int) -> None:
    """Ten thousand times: nothing raised, no byte lost, and behind any noise the reply is found between frames that stay whole."""
    noise = noise.replace(b"\x00", b"\x5a").replace(b"\x01", bytes([id])).replace(b"\x02", bytes([len(answer(id, payload))]))
    stream = noise + FRAME * 3 + answer(id, payload) + FRAME * 2
    found, rest = taken([stream[at : at + size] for at in range(0, len(stream), size)], id)
    assert found[-1][0] is id
    assert len(rest) + sum(len(answer(id, payload)) for _ in found) == len(stream)
    assert rest.endswith(FRAME * 4)
    assert len(Parser().feed(rest)) >= 4


def answer(id: Id, payload: bytes) -> bytes:
    """A right reply; of a save, one that says done or failed."""
    content = {Id.VERSION: payload[:3], Id.RATE: payload[:2], Id.BAUD: payload, Id.SAVE: bytes([payload[0] & 1])}[id]
    raw = struct.pack("BBB", 0x5A, len(content) + 4, id) + content
    return raw + bytes([sum(raw) % 256])


def test_a_reply_cut_anywhere_is_the_same_reply() -> None:
    """A USB adapter hands out what it has."""
    stream = FRAME + VERSION + FRAME
    for cut in range(len(stream)):
        assert taken([stream[:cut], stream[cut:]], Id.VERSION) == ([(Id.VERSION, 0x030008)], FRAME * 2)


def test_a_payload_is_a_number_lowest_byte_first() -> None:
    """As everything that the device sends."""
    assert Reply(Id.RATE, b"\xfa\x00").number == 250


@pytest.mark.parametrize(
    ("told", "exact"), [(250, 250), (166, 500 / 3), (167, 500 / 3), (125, 125), (83, 500 / 6), (62, 62.5), (100, 100), (1, 1), (200, 200)]
)
def test_the_rate_behind_a_rounded_one(told: float, exact: float) -> None:
    """The reply has whole hertz, the device 500/n; what is no such rate is left as it is."""
    assert nearest_hz(told) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("asked", "got", "fits"),
    [
        (100, 100, True),
        (60, 62, True),
        (60, 55, True),
        (60, 71, False),
        (166.7, 166, True),
        (250, 166, False),
        (100, 125, False),
        (1, 1, True),
        (1, 2, False),
        (100, 0, False),
    ],
)
def test_which_answer_is_a_rounding_and_which_a_refusal(asked: float, got: float, fits: bool) -> None:
    """A neighbour among 500/n is the device's way of saying yes; anything farther away is a no."""
    assert rounds_to(asked, got) is fits
