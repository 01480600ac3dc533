"""The MPU6050's bytes, without a chip: what seven words mean, and when they are not believed."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.reading import Quality, Value
from workers.mpu6050 import FIELDS, Calibration, Options
from workers.mpu6050.decode import Decoder
from workers.mpu6050.registers import MPU6050, PARTS
from workers.mpu6050.setting import setting_of

g_m_s2 = 9.80665
# Written down from the datasheet's scales (16384 a g, 131.072 a °/s, 340 a °C): ±2 g, ±250 °/s.
LEVEL = bytes.fromhex("00000000 4000 F0B0 0083 FEFA 0042")
TILTED = bytes.fromhex("2000F000C000 049C 7FED 0000 D1F2")


def decoder(identity: int = 0x68, **options: object) -> Decoder:
    fine = {"bus": 1, "accelerometer_range_g": 2, "gyroscope_range_deg_s": 250, **options}
    bound = Options(**fine)  # type: ignore[arg-type]  # by name
    return Decoder(bound, setting_of(bound, PARTS.get(identity, MPU6050)))


def packed(*words: int) -> bytes:
    return struct.pack(">7h", *words)


def figures(data: bytes, **options: object) -> list[float]:
    """The seven that are measured, of one packet."""
    ((values, _),) = decoder(**options).samples(data)  # type: ignore[arg-type]  # by name
    return [value for value in values.values() if isinstance(value, float)]


def qualities(words: Sequence[Sequence[int]], **options: object) -> list[Quality]:
    return [quality for _, quality in decoder(**options).samples(b"".join(packed(*one) for one in words))]  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("data", "accel_g", "degC", "turning_deg_s"),
    [(LEVEL, (0, 0, 1), 25.0006, (0.99945, -1.99890, 0.50354)), (TILTED, (0.5, -0.25, -1), 40.00059, (249.855, 0, -89.951))],
)
def test_worked_bursts(data: bytes, accel_g: Sequence[float], degC: float, turning_deg_s: Sequence[float]) -> None:
    """Two bursts, worked out by hand, in SI units and in the order of FIELDS; without fusion there is neither roll nor pitch."""
    assert figures(data) == pytest.approx([*(axis * g_m_s2 for axis in accel_g), *map(math.radians, turning_deg_s), degC], rel=1e-5)
    ((values, quality),) = decoder().samples(data)
    assert (list(values), quality) == (list(FIELDS["imu"]), Quality.GOOD)
    assert (values["roll_rad"], values["pitch_rad"]) == (None, None)


@pytest.mark.parametrize(("range_g", "lsb_per_g"), [(2, 16384), (4, 8192), (8, 4096), (16, 2048)])
def test_ranges_of_the_accelerometer(range_g: int, lsb_per_g: int) -> None:
    """The datasheet's steps, exactly."""
    assert figures(packed(lsb_per_g, -lsb_per_g, 1, 0, 0, 0, 0), accelerometer_range_g=range_g)[:2] == pytest.approx([g_m_s2, -g_m_s2])


@pytest.mark.parametrize(("range_deg_s", "lsb"), [(250, 131), (500, 65.5), (1000, 32.8), (2000, 16.4)])
def test_ranges_of_the_gyroscope(range_deg_s: int, lsb: float) -> None:
    """A step is the range by 32768, which the datasheet's rounded figures miss by less than a thousandth."""
    (turning,) = figures(packed(1, 0, 0, 0, 10000, 0, 0), gyroscope_range_deg_s=range_deg_s)[3:4]
    assert turning == pytest.approx(math.radians(10000 * range_deg_s / 32768))
    assert turning == pytest.approx(math.radians(10000 / lsb), rel=1e-3)


@pytest.mark.parametrize(
    ("identity", "raw", "degC"),
    [
        (0x68, 0, 36.53),
        (0x68, -521, 34.9976),
        (0x72, -3920, 25.0006),
        (0x70, 0, 21.0),
        (0x70, 1335, 24.99856),
        (0x71, 3339, 31.00090),
        (0x78, -3339, 10.99910),
        (0x98, 0, 25.0),
        (0x98, 3268, 35.0),
        (0x12, -3268, 15.0),
        (0xA9, 1634, 30.0),
        (0xEE, 0, 36.53),  # nobody knows it: as an MPU6050
    ],
)
def test_every_part_has_its_own_thermometer(identity: int, raw: int, degC: float) -> None:
    """The formula goes by WHO_AM_I: a 6500 read as a 6050 would be 15 °C too warm."""
    assert figures(packed(1, 2, 3, raw, 4, 5, 6), identity=identity)[6] == pytest.approx(degC, abs=1e-4)


@pytest.mark.parametrize("place", [0, 1, 2, 4, 5, 6])
@pytest.mark.parametrize(("word", "quality"), [(32767, "uncertain"), (-32768, "uncertain"), (32766, "good"), (-32767, "good")])
def test_a_clipped_axis_is_uncertain(place: int, word: int, quality: str) -> None:
    """At either end of the range the figure is kept, but it is only a bound."""
    words = [1, 2, 3, 0, 4, 5, 6]
    words[place] = word
    ((values, judged),) = decoder().samples(packed(*words))
    assert (judged.value, None in list(values.values())[:7]) == (quality, False)


def test_a_thermometer_at_its_end_says_nothing_of_the_axes() -> None:
    """The fourth word is not an axis."""
    assert qualities([(1, 2, 3, 32767, 4, 5, 6)]) == [Quality.GOOD]


@pytest.mark.parametrize("words", [(0,) * 7, (-1,) * 7, (0x5A5A,) * 7])
def test_what_was_not_measured_is_bad(words: tuple[int, ...]) -> None:
    """Zeros of a chip that sleeps, ones of a bus that nobody drives, the last byte of an empty FIFO: bad, null in every field, dead."""
    judge = decoder()
    ((values, quality),) = judge.samples(packed(*words))
    assert (list(values), set(values.values()), quality, judge.dead) == (list(FIELDS["imu"]), {None}, Quality.BAD, True)


def test_words_that_never_change_are_found() -> None:
    """At 100 Hz: once again is chance, from the third on it is doubtful, from the eleventh on bad; one new word ends it."""
    still = (1, 2, 3, 4, 5, 6, 7)
    judged = qualities([still] * 13 + [(2, 2, 3, 4, 5, 6, 7)] + [still])
    assert judged == [Quality.GOOD] * 2 + [Quality.UNCERTAIN] * 8 + [Quality.BAD] * 3 + [Quality.GOOD] * 2


def test_behind_a_narrow_filter_more_patience_is_due() -> None:
    """At 5 Hz and 1 kHz neighbours hardly differ: nothing is bad before five times the filter's delay."""
    judged = qualities([(1, 2, 3, 4, 5, 6, 7)] * 100, bandwidth_hz=5, rate_hz=1000)
    assert judged.index(Quality.BAD) == 94


def test_a_chip_started_anew_is_judged_anew() -> None:
    """What came before a restart is no evidence."""
    judge = decoder()
    list(judge.samples(packed(1, 2, 3, 4, 5, 6, 7) * 20))
    before = judge.dead
    judge.forget()
    assert (before, judge.dead) == (True, False)
    assert [quality for _, quality in judge.samples(packed(1, 2, 3, 4, 5, 6, 7))] == [Quality.GOOD]


def test_the_calibration_is_applied() -> None:
    """(measured - offset) * scale, and measured - bias, axis by axis."""
    known = Calibration(gyro_bias_rad_s=(0.1, -0.2, 0.3), accel_offset_m_s2=(1.0, -2.0, 0.5), accel_scale=(1.1, 0.9, 1.02))
    plain, corrected = figures(TILTED), figures(TILTED, calibration=known)
    assert corrected[:3] == pytest.approx([(plain[0] - 1.0) * 1.1, (plain[1] + 2.0) * 0.9, (plain[2] - 0.5) * 1.02])
    assert corrected[3:6] == pytest.approx([plain[3] - 0.1, plain[4] + 0.2, plain[5] - 0.3])
    assert corrected[6] == plain[6]


@settings(max_examples=10_000)
@given(st.binary(max_size=100))
def test_any_bytes_are_taken(noise: bytes) -> None:
    """Whatever comes, each whole packet gives one sample of finite numbers or of nulls, a rest is left alone, and the next is right."""
    judge = decoder()
    found = list(judge.samples(noise))
    assert len(found) == len(noise) // 14
    for values, quality in found:
        measured = list(values.values())[:7]
        assert all(map(_finite, measured)) if quality is not Quality.BAD else set(measured) == {None}
    judge.forget()
    ((after, quality),) = judge.samples(TILTED)
    assert (list(after.values())[:7], quality) == (figures(TILTED), Quality.GOOD)


def _finite(value: Value) -> bool:
    return isinstance(value, float) and math.isfinite(value)
