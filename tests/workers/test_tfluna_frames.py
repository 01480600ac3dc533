"""The TF-Luna's bytes, without a port: what a frame means, and how the parser finds it among others."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edgegw.reading import Quality, Value
from workers.tfluna.frames import MM, Echo, Frame, Parser, echo_of

CASES = sorted((Path(__file__).parent / "cases" / "tfluna").glob("*.toml"))
KILLERS = {
    "header in the strength": bytes.fromhex("595959005959C8088D"),
    "header in the sum": bytes.fromhex("595996004001C80859"),
    "as right when read from its fifth byte on": bytes.fromhex("5959CC005959C80800"),
}
PERIOD_ns = 10_000_000


def frame(distance_cm: int, strength: int, temperature: int = 0x08C8) -> bytes:
    """Nine bytes, written down from the datasheet and not with the help of the code under test."""
    head = struct.pack("<HHHH", 0x5959, distance_cm, strength, temperature)
    return head + bytes([sum(head) % 256])


frames = st.builds(frame, st.integers(0, 65535), st.integers(0, 65535), st.integers(0x0600, 0x0CFF))
# Pieces of frames beside mere noise: nothing else leads a parser astray.
pieces = frames.flatmap(lambda raw: st.tuples(st.integers(0, 8), st.integers(1, 9)).map(lambda cut: raw[cut[0] : cut[1]]))
noise = st.lists(st.one_of(st.binary(max_size=12), pieces, frames, st.just(b"\x59\x59"), st.just(b"\x59")), max_size=8).map(b"".join)


def numbers(raw: bytes) -> tuple[float, int, float]:
    distance_cm, strength, temperature = struct.unpack_from("<HHH", raw, 2)
    return distance_cm / 100, strength, temperature / 8 - 256


def plain(found: list[Frame]) -> list[tuple[float, int, float]]:
    return [(one.distance_m, one.strength, one.temperature_degC) for one in found]


def looks_right(window: bytes) -> bool:
    return window[:2] == b"\x59\x59" and 6 <= window[7] <= 12 and sum(window[:8]) % 256 == window[8]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_recorded_streams_give_the_samples_written_beside_them(path: Path) -> None:
    """Every case file: the samples in order, and what was counted on the way (0 where the file does not say)."""
    case: dict[str, Any] = tomllib.loads(path.read_text())
    parser = Parser()
    found = [one.sample(PERIOD_ns) for one in parser.feed(bytes.fromhex(case["stream"]))]
    got = [[*sample.values.values(), sample.quality] for sample in found]
    assert got == [[None if value == "null" else value for value in wanted] for wanted in case["samples"]]
    counted = {name: getattr(parser, name) for name in ("skipped_bytes", "bad_sums", "resyncs")}
    assert counted == {name: case.get(name, 0) for name in counted}


def test_there_are_recorded_streams() -> None:
    """The folder of cases is where the test looks for it."""
    assert len(CASES) >= 8


@pytest.mark.parametrize(
    ("distance_cm", "strength", "echo"),
    [
        (123, 100, Echo.VALID),
        (20, 1000, Echo.VALID),
        (800, 312, Echo.VALID),
        (123, 32767, Echo.VALID),
        (19, 1000, Echo.NEAR),
        (1, 1000, Echo.NEAR),
        (801, 312, Echo.FAR),
        (32767, 312, Echo.FAR),
        (0, 1000, Echo.NONE),
        (900, 1000, Echo.NONE),  # the dummy
        (32768, 1000, Echo.NONE),
        (65532, 1000, Echo.NONE),
        (65534, 1000, Echo.NONE),
        (65535, 1000, Echo.NONE),
        (123, 99, Echo.WEAK),
        (0, 63, Echo.WEAK),
        (65535, 63, Echo.WEAK),
        (900, 0, Echo.WEAK),
        (123, 32768, Echo.AMBIENT),  # not "weak", as it would be with a sign
        (0, 65534, Echo.AMBIENT),
        (123, 65535, Echo.SATURATED),
        (0, 65535, Echo.SATURATED),
        (65535, 65535, Echo.SATURATED),
    ],
)
def test_the_strength_is_judged_before_the_distance(distance_cm: int, strength: int, echo: Echo) -> None:
    """Each rule at both of its edges, with the device's dummy distance at 900 cm."""
    assert echo_of(distance_cm, strength, 900) is echo


@pytest.mark.parametrize(
    ("echo", "quality", "kept"),
    [
        (Echo.VALID, Quality.GOOD, True),
        (Echo.NEAR, Quality.UNCERTAIN, True),
        (Echo.FAR, Quality.UNCERTAIN, True),
        (Echo.NONE, Quality.UNCERTAIN, False),
        (Echo.WEAK, Quality.UNCERTAIN, False),
        (Echo.AMBIENT, Quality.BAD, False),
        (Echo.SATURATED, Quality.BAD, False),
    ],
)
def test_the_echo_decides_quality_and_whether_the_distance_is_kept(echo: Echo, quality: Quality, kept: bool) -> None:
    """A null distance never counts as good, and strength and temperature are always told."""
    sample = Frame(1.23, 1000, 25.0, echo, newer=0).sample(PERIOD_ns)
    expected: dict[str, Value] = {"distance_m": 1.23 if kept else None, "strength": 1000, "temperature_degC": 25.0}
    assert (sample.values, sample.quality) == (expected, quality)


@pytest.mark.parametrize(
    ("raw", "distance_m", "echo"),
    [
        (bytes.fromhex("5959CE04E803C8083F"), 1.23, Echo.VALID),  # the datasheet's 1230 mm
        (frame(199, 1000), 0.199, Echo.NEAR),
        (frame(200, 1000), 0.2, Echo.VALID),
        (frame(8000, 1000), 8.0, Echo.VALID),
        (frame(8001, 1000), 8.001, Echo.FAR),
        (frame(9000, 1000), 9.0, Echo.NONE),  # the dummy of 900 cm
        (frame(65535, 1000), 65.535, Echo.NONE),
        (frame(0, 1000), 0.0, Echo.NONE),
        (frame(123, 99), 0.123, Echo.WEAK),
    ],
)
def test_millimetres_are_judged_by_the_same_lengths(raw: bytes, distance_m: float, echo: Echo) -> None:
    """In mm format the same bytes mean a tenth, and the limits stay where they are in the world."""
    found = Parser(900, MM).feed(raw * 2)
    assert [(one.distance_m, one.echo) for one in found] == [(distance_m, echo)] * 2


def test_echoes_are_counted() -> None:
    """The parser's tally says how many frames there were of each kind."""
    parser = Parser()
    parser.feed(frame(123, 1000) + frame(0, 5) + frame(0, 6) + frame(50, 65535) + frame(50, 40000))
    assert parser.echoes == {Echo.VALID: 1, Echo.WEAK: 2, Echo.SATURATED: 1, Echo.AMBIENT: 1}


def test_frames_that_come_together_are_dated_back() -> None:
    """The newest of one read is of now; each older one lies as many periods back as frames' worth of bytes followed it."""
    damaged = frame(3, 1000)[:8] + b"\x00"
    found = Parser().feed(frame(1, 1000) + frame(2, 1000) + damaged + frame(4, 1000) + frame(5, 1000) + frame(6, 1000)[:5])
    assert [one.sample(PERIOD_ns).age_ns // PERIOD_ns for one in found] == [4, 3, 1, 0]


def test_the_beat_needs_two_frames_before_it_is_believed() -> None:
    """The first frame waits until the second one stands right behind it; then both come, and later ones come alone."""
    parser = Parser()
    assert parser.feed(frame(1, 1000)) == []
    beats = [parser.locked]
    assert plain(parser.feed(frame(2, 1000))) == [numbers(frame(1, 1000)), numbers(frame(2, 1000))]
    beats.append(parser.locked)
    assert beats == [False, True]
    assert plain(parser.feed(frame(3, 1000))) == [numbers(frame(3, 1000))]


def test_after_a_loss_the_beat_needs_two_frames_again() -> None:
    """A frame that follows damage waits as the very first one did."""
    parser = Parser()
    parser.feed(frame(1, 1000) * 2)
    assert parser.feed(b"\x00") == []
    assert (parser.locked, parser.resyncs) == (False, 1)
    assert parser.feed(frame(2, 1000)) == []
    assert plain(parser.feed(frame(3, 1000))) == [numbers(frame(2, 1000)), numbers(frame(3, 1000))]


@pytest.mark.parametrize("start", range(9))
@pytest.mark.parametrize("raw", KILLERS.values(), ids=KILLERS.keys())
def test_frames_with_a_header_inside_are_found_from_every_start(raw: bytes, start: int) -> None:
    """Begun at any byte, only the frame that was cut is lost."""
    stream = (raw * 200)[start:]
    whole = 200 - (start > 0)
    assert plain(Parser().feed(stream)) == [numbers(raw)] * whole


@pytest.mark.parametrize("raw", list(KILLERS.values())[:2], ids=list(KILLERS)[:2])
def test_those_frames_do_mislead_a_careless_parser(raw: bytes) -> None:
    """The streams above are worth their name: a parser that throws nine bytes away at a wrong sum never finds its way in some."""

    def careless(stream: bytes) -> int:
        at = found = 0
        while (at := stream.find(b"\x59\x59", at)) >= 0 and at + 9 <= len(stream):
            found += sum(stream[at : at + 8]) % 256 == stream[at + 8]
            at += 9
        return found

    assert 0 in [careless((raw * 200)[start:]) for start in range(1, 9)]


@given(st.lists(st.one_of(st.binary(max_size=40), noise)))
def test_any_bytes_are_taken(chunks: list[bytes]) -> None:
    """Whatever comes, nothing is raised, less than two frames are kept, and every byte is accounted for."""
    parser = Parser()
    for chunk in chunks:
        parser.feed(chunk)
        assert len(parser.pending) < 18
    total = sum(map(len, chunks))
    assert total == parser.skipped_bytes + 9 * parser.frames + len(parser.pending)
    assert parser.frames == parser.echoes.total()


@settings(max_examples=10_000)
@given(st.binary(max_size=60), st.integers(3, 40))
def test_frames_are_found_after_any_bytes_in_any_pieces(before: bytes, size: int) -> None:
    """Ten thousand beginnings, rich in headers: nothing is raised, little is kept, and of four frames behind them two at least are read."""
    stream = before.replace(b"\x00", b"\x59") + frame(123, 1000) * 4
    parser, found = Parser(), []
    for at in range(0, len(stream), size):
        found += parser.feed(stream[at : at + size])
        assert len(parser.pending) < 18
    assert plain(found)[-2:] == [numbers(frame(123, 1000))] * 2
    assert (parser.pending, parser.skipped_bytes + 9 * parser.frames) == (b"", len(stream))


@given(st.lists(st.one_of(noise, frames), max_size=10).map(b"".join), st.data())
def test_how_the_stream_is_cut_changes_nothing(stream: bytes, data: st.DataObject) -> None:
    """Frames, counters and what is kept are the same for one read, for reads of one byte, and for any others."""

    def outcome(chunks: list[bytes]) -> tuple[object, ...]:
        parser = Parser()
        found = [one for chunk in chunks for one in plain(parser.feed(chunk))]
        return found, parser.pending, parser.locked, parser.bad_sums, parser.skipped_bytes, parser.resyncs, parser.echoes

    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = outcome([stream])
    assert outcome(pieces) == whole
    assert outcome([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(noise, st.lists(frames, min_size=2, max_size=12))
@example(b"\x59", [KILLERS["header in the sum"]] * 3)
@example(KILLERS["header in the strength"][4:], [KILLERS["header in the strength"]] * 3)
@example(b"\x59\x59\x59", [frame(0x5959, 0x5959, 0x0659)] * 2)
def test_frames_after_any_noise_are_all_found(before: bytes, sent: list[bytes]) -> None:
    """Two or more frames in a row are all found, the first included, whatever came before them.

    The exact condition: no nine bytes that reach into them, other than they themselves, look like a frame by chance.
    """
    stream = before + b"".join(sent)
    true = range(len(before), len(stream), 9)
    reach = range(max(0, len(before) - 8), len(stream) - 8)
    assume(not any(looks_right(stream[at : at + 9]) for at in reach if at not in true))
    assert plain(Parser().feed(stream))[-len(sent) :] == [numbers(raw) for raw in sent]


@given(st.lists(frames, min_size=3, max_size=12))
def test_a_frame_by_chance_costs_the_one_it_bit_into(sent: list[bytes]) -> None:
    """While the beat is held, noise that makes a frame with a true one's first byte costs that one: from the second on all are found."""
    head = b"\x59\x59\x00\x01\x00\x01\x00\x08"
    bait = head[:2] + bytes([(0x59 - sum(head)) % 256]) + head[3:]  # its sum is 59, the next frame's first byte
    before = frame(1, 1000) * 2
    stream = before + bait + b"".join(sent)
    assume(not any(looks_right(stream[at : at + 9]) for at in range(27, len(stream) - 8) if (at - 26) % 9))
    found = plain(Parser().feed(stream))
    assert found[:2] == [numbers(frame(1, 1000))] * 2
    assert found[2] == numbers(bait + b"\x59")
    assert found[3:] == [numbers(raw) for raw in sent[1:]]


def test_noise_without_end_is_not_kept() -> None:
    """A megabyte of headers that no frame follows leaves less than two frames behind."""
    parser = Parser()
    for _ in range(256):
        parser.feed(b"\x59" * 4096)
    assert len(parser.pending) < 18
    assert parser.skipped_bytes > 1_048_000


def test_faults_are_told_once() -> None:
    """A wrong sum and stray bytes count as one fault each, told with the next good frame and never again."""
    parser = Parser()
    good = frame(123, 1000)
    parser.feed(good * 3)
    assert parser.new_faults() == 0
    parser.feed(good[:-1] + bytes([good[-1] ^ 1]) + good * 3)
    assert parser.new_faults() == 1
    parser.feed(b"\x00\x01" + good * 3)
    assert parser.new_faults() == 1
    assert parser.new_faults() == 0
