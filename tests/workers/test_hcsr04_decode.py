"""What an HC-SR04's peripheral notifies, decoded: the conventions met in the field, and any other bytes."""

from __future__ import annotations

import itertools
import math
import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw import driver
from workers.hcsr04 import Options, sound
from workers.hcsr04.decode import FORMATS, Distance, Format, LINE_bytes, Lines, decoder, parsed_m
from workers.hcsr04.ear import QUEUE, Ear
from workers.hcsr04.listening import VOLTAGE, lacking, voltage_V
from workers.hcsr04.watch import Verdict, Watch

S = 1_000_000_000
CUSTOM_f32_cm = Format(characteristic="", layout="<f", scale_m=0.01)
CUSTOM_f32_mm = Format(characteristic="", layout="<f", scale_m=0.001)
CUSTOM_obs_right = Format(characteristic="", layout="<6xH", scale_m=0.01, invalid=(0xFFFF,))
TEXT, STREAM = FORMATS["text"], FORMATS["nordic-uart"]

# 1234 mm as each convention writes it, and what each sends for want of an echo.
ENCODINGS: list[tuple[Format, str, Distance]] = [
    (FORMATS["u16-mm"], "D2 04", 1.234),
    (FORMATS["u16-mm"], "FF FF", None),
    (FORMATS["u16-mm"], "00 00", None),
    (FORMATS["u16-cm"], "7B 00", 1.23),
    (FORMATS["u16-cm"], "FF FF", None),
    (FORMATS["f32-m"], "B6 F3 9D 3F", 1.234),
    (FORMATS["f32-m"], "00 00 C0 7F", None),  # NaN
    (FORMATS["f32-m"], "00 00 80 7F", None),  # infinity
    (FORMATS["f32-m"], "00 00 80 BF", None),  # -1
    (CUSTOM_f32_mm, "00 40 9A 44", 1.234),
    (CUSTOM_f32_cm, "CD CC F6 42", 1.234),
    (FORMATS["obs8"], "15 CB 98 02 64 00 90 01", 1.0),  # 43567893 ms, 100 cm, 400 cm
    (CUSTOM_obs_right, "15 CB 98 02 64 00 90 01", 4.0),
    (FORMATS["obs8"], "15 CB 98 02 FF FF 90 01", None),
    (FORMATS["obs8"], "15 CB 98 02 FF 0F 90 01", None),
    (FORMATS["sig-length"], "20 4B BC 00", 1.234),
    (FORMATS["sig-length"], "FF FF FF FF", None),
    (TEXT, "31 32 33 2E 34", 1.234),
    (TEXT, "31 32 33 2E 34 0D 0A", 1.234),
]

GOOD = {form.layout: bytes.fromhex(payload) for form, payload, distance in ENCODINGS if distance}

LINES: list[tuple[bytes, Distance]] = [
    (b"123.4", 1.234),
    (b" 123.4 ", 1.234),
    (b"123", 1.23),
    (b".5", 0.005),
    (b"+57", 0.57),
    (b"D:123cm", 1.23),
    (b"D:57cm", 0.57),
    (b"Distance: 57.3 cm", 0.573),
    (b"distance = 573 mm", 0.573),
    (b"1.5m", 1.5),
    (b"10 in", 0.254),
    (b"10 inches", 0.254),
    (b"Dist 42", 0.42),
    (b"0", None),
    (b"0.00", None),
    (b"-1", None),
    (b"-1.00cm", None),
    (b"no echo", None),
    (b"NoEcho", None),
    (b"D:no echo", None),
    (b"out of range", None),
    (b"nan", None),
    (b"inf cm", None),
    (b"---", None),
    (b"timeout", None),
    (b"null", None),
    (b"n/a", None),
]

NO_LINES = [b"", b" ", b"12 34", b"1.2.3", b"0x12", b"1e5", b"12,3", b"12km", b"abc", b"\xff12", b"1234567890123", b"D:", b"57cm more"]


@pytest.mark.parametrize(("form", "payload", "distance_m"), ENCODINGS)
def test_each_convention_is_read(form: Format, payload: str, distance_m: Distance) -> None:
    """1234 mm in every encoding, and each one's own way to say that there was no echo."""
    one = decoder(form)
    (got,) = one.feed(bytes.fromhex(payload))
    assert got == (None if distance_m is None else pytest.approx(distance_m, abs=1e-6))
    assert one.faults == 0


@pytest.mark.parametrize(("line", "distance_m"), LINES)
def test_a_line_is_read(line: bytes, distance_m: Distance) -> None:
    """With a label or without, with a unit or in centimetres; zero, less, and words for it are no echo."""
    assert parsed_m(line, TEXT) == (None if distance_m is None else pytest.approx(distance_m))


@pytest.mark.parametrize("line", NO_LINES)
def test_what_is_no_distance_is_refused(line: bytes) -> None:
    """Two numbers, another unit, other words: nothing is guessed."""
    with pytest.raises(ValueError, match=r"^b"):
        parsed_m(line, TEXT)


def test_the_numbers_that_the_options_name_are_no_echo() -> None:
    """As they are sent, before any unit; a float32 that is not quite the number is meant, too."""
    bound = driver.bind(driver.find("hcsr04"), {"device": "x", "format": "f32-m", "invalid": [999.9, 4]})
    one = decoder(bound.form())
    assert one.feed(struct.pack("<f", 999.9)) == [None]
    assert one.feed(struct.pack("<f", 4.0)) == [None]
    assert one.feed(struct.pack("<f", 3.5)) == [3.5]
    text = decoder(msgspec.structs.replace(TEXT, invalid=(400.0,)))
    assert text.feed(b"400.00 cm") == [None]
    assert text.feed(b"400.01 cm") == [pytest.approx(4.0001)]


@pytest.mark.parametrize("form", [form for form, _, _ in ENCODINGS if form.layout])
def test_a_notification_of_another_length_is_a_fault(form: Format) -> None:
    """One byte too few or too many is counted, and the next notification is read as if nothing had been."""
    one = decoder(form)
    good = GOOD[form.layout]
    assert one.feed(good[:-1]) == one.feed(good + b"\0") == one.feed(b"") == []
    assert one.faults == 3
    assert len(one.feed(good)) == 1


def test_lines_are_put_together_again() -> None:
    """A serial module sends 20 bytes when it likes: however a text is cut, the same distances come out, but for the first line."""
    text = b"12.3\r\n123.4\r\nD:57cm\r\n-1\r\n0.5m\r\n"
    for cuts in itertools.combinations(range(1, len(text)), 2):
        one = decoder(FORMATS["hm10"])
        parts = [text[a:b] for a, b in itertools.pairwise((0, *cuts, len(text)))]
        got = [distance for part in parts for distance in one.feed(part)]
        assert got == [pytest.approx(1.234), pytest.approx(0.57), None, 0.5]
        assert one.faults == 0


def test_a_line_whose_beginning_was_missed_is_not_read() -> None:
    """Tuned in amid 123.4, or with notifications dropped amid it, 23.4 would be a distance that nobody measured."""
    one = decoder(STREAM)
    assert one.feed(b"23.4\r\n") == []
    assert one.feed(b"12") == []
    one.gap()
    assert one.feed(b"3.4\r\n") == []
    assert one.feed(b"123.4\r\n") == [pytest.approx(1.234)]
    assert one.faults == 0


def test_an_endless_line_is_one_fault_and_takes_no_room() -> None:
    """A hundred notifications without an end of line; the line after the next end is read."""
    one = Lines(STREAM)
    one.feed(b"\n")
    for _ in range(100):
        assert one.feed(b"1" * 20) == []
        assert len(one._begun) <= LINE_bytes
    assert one.faults == 1
    assert one.feed(b"7\n50\n") == [0.5]


# Bytes as they come, or as many of a firmware's vocabulary: hypothesis is slow at choosing letters one by one.
LETTERS = b"0123456789.-+cminehoD: \r\n"
NOISE = st.binary(max_size=100) | st.binary(max_size=100).map(lambda noise: bytes(LETTERS[byte % len(LETTERS)] for byte in noise))
SANE = [form for name, form in FORMATS.items() if name not in ("custom", "hm10")]


@settings(max_examples=10_000)
@given(noise=NOISE)
def test_any_bytes_are_survived(noise: bytes) -> None:
    """Nothing raises, nothing grows; what comes out is a distance above zero or no echo, and a good notification after it is read."""
    for form in SANE:
        one = decoder(form)
        for payload in (noise, noise[:7], noise[7:10]):
            assert all(distance is None or (distance > 0 and math.isfinite(distance)) for distance in one.feed(payload))
        if isinstance(one, Lines):
            assert len(one._begun) <= LINE_bytes
            one.feed(b"\n")
        assert one.feed(GOOD[form.layout])[-1] is not None


@settings(max_examples=10_000)
@given(line=NOISE)
def test_any_line_is_a_distance_or_none_or_refused(line: bytes) -> None:
    """parsed_m raises ValueError and nothing else."""
    try:
        distance = parsed_m(line, TEXT)
    except ValueError:
        return
    assert distance is None or 0 < distance < 1e9


@settings(max_examples=10_000)
@given(value=st.binary(max_size=4))
def test_any_battery_value_is_a_voltage_or_none_or_refused(value: bytes) -> None:
    """The SIG's 2B18 in 1/64 V, with FFFF for unknown; others in mV; two bytes or ValueError."""
    try:
        volts = voltage_V(VOLTAGE, value)
    except ValueError:
        assert len(value) != 2
    else:
        assert volts is None or volts == int.from_bytes(value, "little") / 64
    assert voltage_V(VOLTAGE, b"\xff\xff") is None
    assert voltage_V("ffe4", (3700).to_bytes(2, "little")) == 3.7


@pytest.mark.parametrize(
    ("temperature_degC", "speed_m_s", "corrected_m"),
    [(-20, 318.9, 0.925), (0, 331.3, 0.961), (20, 343.2, 0.995), (25, 346.1, 1.004), (40, 354.7, 1.029)],
)
def test_sound_is_slower_in_the_cold(temperature_degC: float, speed_m_s: float, corrected_m: float) -> None:
    """A metre by the fixed rule, at the temperature that it has: 8 % too far at -20 °C, 3 % too near at 40 °C."""
    assert sound.speed_m_s(temperature_degC) == pytest.approx(speed_m_s, abs=0.05)
    assert sound.corrected_m(1.0, temperature_degC) == pytest.approx(corrected_m, abs=0.0005)
    assert sound.corrected_m(1.0, None) == 1.0


@pytest.mark.parametrize(
    ("rate_hz", "came_s", "read_s", "now_s", "verdict"),
    [
        (10, None, None, 2.9, Verdict.WELL),
        (10, None, None, 3.1, Verdict.SILENT),
        (10, 5, 5, 8, Verdict.WELL),
        (10, 5, 5, 8.1, Verdict.SILENT),
        (10, 8, 5, 8.1, Verdict.STRANGE),
        (10, 8, 5, 11.1, Verdict.SILENT),
        (0.5, 5, 5, 14.9, Verdict.WELL),  # five periods of 2 s
        (0.5, 5, 5, 15.1, Verdict.SILENT),
        (0.5, 15, 5, 15.1, Verdict.STRANGE),
    ],
)
def test_the_age_of_the_data_decides(rate_hz: float, came_s: float | None, read_s: float | None, now_s: float, verdict: Verdict) -> None:
    """Five periods, and 3 s at least, without a notification, or without one that can be read."""
    watch = Watch(rate_hz, 0)
    if read_s is not None:
        watch.came(round(read_s * S), readable=True)
    if came_s is not None:
        watch.came(round(came_s * S), readable=came_s == read_s)
    assert watch.verdict(round(now_s * S)) is verdict


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"format": "custom"}, "need each other"),
        ({"layout": "<H"}, "need each other"),
        ({"format": "custom", "layout": "<HH"}, "layout"),
        ({"format": "custom", "layout": "<s"}, "layout"),
        ({"format": "u32"}, "format"),
        ({"characteristic": "ffe"}, "characteristic"),
        ({"battery": "2A19"}, "percent"),
        ({"battery": "00002a19-0000-1000-8000-00805f9b34fb"}, "percent"),
        ({"temperature_degC": 100}, "temperature_degC"),
        ({"device": ""}, "device"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, object], why: str) -> None:
    """With the name of the option, or the reason."""
    with pytest.raises(driver.DriverError, match=why):
        driver.bind(driver.find("hcsr04"), {"device": "x", **wrong})


def test_options_change_what_a_format_says() -> None:
    """Another characteristic, by its four digits; a unit for text; a layout and a scale for custom, and numbers beside the format's own."""
    assert Options(device="x", characteristic="FFE4").form().characteristic == "0000ffe4-0000-1000-8000-00805f9b34fb"
    assert Options(device="x").form() == STREAM
    assert Options(device="x", unit="in").form().scale_m == 0.0254
    custom = Options(device="x", format="custom", layout="4xH", scale_m=0.002, invalid=(7,)).form()
    assert decoder(custom).feed(bytes.fromhex("00000000 6400")) == [0.2]
    assert decoder(custom).feed(bytes.fromhex("00000000 0700")) == [None]
    assert Options(device="x", format="u16-mm", invalid=(7,), scale_m=3).form().invalid == (65535, 7)
    assert Options(device="x", format="u16-mm", scale_m=3).form() == FORMATS["u16-mm"]


def test_what_a_peripheral_has_instead_is_said() -> None:
    """A characteristic that is there but does not notify is none; at most eight are named."""
    notifies, reads = frozenset({"notify", "read"}), frozenset({"read"})
    assert lacking("a", {"a": notifies}) == ""
    assert lacking("a", {"a": frozenset({"indicate"})}) == ""
    assert lacking("a", {}) == "has no characteristic a that notifies, nor any other"
    ffe1 = "0000ffe1-0000-1000-8000-00805f9b34fb"
    assert lacking(ffe1, {ffe1: reads, "b": notifies}) == "has no characteristic ffe1 that notifies; it has ffe1 (read); b (notify, read)"
    assert lacking("a", {f"b{n}": reads for n in range(20)}).endswith("b15 (read) …")


class Hand:
    """A clock whose hand is moved by hand."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns


def test_a_full_queue_gives_up_the_oldest() -> None:
    """What was heard keeps the time of its arrival; what did not fit is counted, and the gap is told with what follows it."""
    hand = Hand()
    ear = Ear(hand)  # type: ignore[arg-type]  # it asks a clock for nothing else
    for n in range(QUEUE + 3):
        hand.now_ns = n
        ear.hear(bytes([n % 256]))
    got = list(ear.heard())
    assert [at_ns for at_ns, _, _ in got] == list(range(3, QUEUE + 3))
    assert [gap for _, _, gap in got] == [True] + [False] * (QUEUE - 1)
    assert ear.dropped == 3
    assert list(ear.heard()) == []
