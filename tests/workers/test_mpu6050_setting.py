"""How the options become registers: ranges, filter, divider, and what is expected to be read back."""

from __future__ import annotations

import pytest

from edgegw.errors import DeviceError
from edgegw.testing import FakeClock
from workers.mpu6050 import Options
from workers.mpu6050 import registers as reg
from workers.mpu6050.fifo import turn_s
from workers.mpu6050.registers import PARTS
from workers.mpu6050.session import samples
from workers.mpu6050.setting import Setting, carried_hz, setting_of
from workers.virtual.mpu6050 import Bus


def setting(identity: int = 0x68, **options: object) -> Setting:
    return setting_of(Options(**{"bus": 1, **options}), PARTS[identity])  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("rate_hz", "code"),
    [(1000, 1), (376, 1), (200, 2), (195, 3), (100, 3), (84, 3), (83, 4), (50, 4), (39, 5), (20, 5), (19, 6), (10, 6), (3.9, 6)],
)
def test_the_filter_is_the_widest_below_half_the_rate(rate_hz: float, code: int) -> None:
    """Each side of each step; below 10 Hz there is no narrower one. In the FIFO the rate that the chip has counts, here as in bursts."""
    assert setting(rate_hz=rate_hz, mode="burst").filter.code == code


@pytest.mark.parametrize(("bandwidth_hz", "code"), [(188, 1), (98, 2), (42, 3), (20, 4), (10, 5), (5, 6)])
def test_a_filter_can_be_chosen(bandwidth_hz: int, code: int) -> None:
    """By the gyroscope's figure."""
    assert dict(setting(bandwidth_hz=bandwidth_hz).writes)[reg.CONFIG] == code


@pytest.mark.parametrize(
    ("rate_hz", "divider", "period_ns"),
    [(1000, 0, 1_000_000), (500, 1, 2_000_000), (200, 4, 5_000_000), (300, 2, 3_000_000), (700, 0, 1_000_000), (3.9, 255, 256_000_000)],
)
def test_the_fifo_has_the_nearest_rate(rate_hz: float, divider: int, period_ns: int) -> None:
    """A thousandth of a second, times a whole number up to 256."""
    chosen = setting(rate_hz=rate_hz, mode="fifo")
    assert (dict(chosen.writes)[reg.SMPLRT_DIV], chosen.period_ns) == (divider, period_ns)


@pytest.mark.parametrize(
    ("rate_hz", "mode", "fifo"), [(200, "auto", False), (201, "auto", True), (1000, "burst", False), (10, "fifo", True)]
)
def test_above_200_hz_the_fifo_is_used(rate_hz: float, mode: str, fifo: bool) -> None:
    """Unless it is said otherwise."""
    assert setting(rate_hz=rate_hz, mode=mode).fifo is fifo


def test_in_bursts_the_chip_runs_at_its_full_rate() -> None:
    """What is read is then never older than a millisecond, whatever the rate that was asked for."""
    slow = setting(rate_hz=10)
    assert (dict(slow.writes)[reg.SMPLRT_DIV], slow.period_ns) == (0, 100_000_000)


@pytest.mark.parametrize(
    ("identity", "options", "fingerprint"),
    [
        (0x68, {}, "00 03 08 08 00 00 00 01 00"),
        (0x68, {"rate_hz": 500}, "01 01 08 08 00 F8 40 01 00"),
        (0x68, {"accelerometer_range_g": 16, "gyroscope_range_deg_s": 2000}, "00 03 18 18 00 00 00 01 00"),
        (0x68, {"accelerometer_range_g": 2, "gyroscope_range_deg_s": 250, "rate_hz": 20}, "00 05 00 00 00 00 00 01 00"),
        (0x70, {}, "00 03 08 08 03 00 00 01 00"),
        (0x98, {"rate_hz": 1000}, "00 01 08 08 C1 F8 40 01 00"),
        (0x20, {"gyroscope_range_deg_s": 2000}, "00 03 0C 08 C3 00 00 01 00"),
    ],
)
def test_what_the_chip_shall_hold(identity: int, options: dict[str, object], fingerprint: str) -> None:
    """Registers 19 to 1D, 23 and 6A to 6C, worked out from the register map, for the parts that differ in them."""
    assert setting(identity, **options).fingerprint == bytes.fromhex(fingerprint)


def test_what_is_written_is_what_is_expected() -> None:
    """For every part and a few settings: the fingerprint has the values of the writes, each in its place."""
    for identity in PARTS:
        for options in ({}, {"rate_hz": 1000}, {"rate_hz": 50, "bandwidth_hz": 10, "accelerometer_range_g": 8}):
            chosen = setting(identity, **options)
            held = dict(zip(range(0x19, 0x1E), chosen.fingerprint, strict=False))
            assert held == {0x1D: 0} | {place: value for place, value in chosen.writes if place != reg.INT_ENABLE}


@pytest.mark.parametrize(
    ("identity", "rate_hz", "least_s", "most_s"),
    [(0x68, 1000, 0.02, 0.025), (0x70, 1000, 0.01, 0.0125), (0x98, 1000, 0.04, 0.04), (0x68, 250, 0.04, 0.04), (0x68, 3.9, 0.2, 0.2)],
)
def test_the_fifo_is_read_before_it_is_half_full(identity: int, rate_hz: float, least_s: float, most_s: float) -> None:
    """Some forty times a second, more often where the FIFO is small, and never more seldom than the heartbeat allows."""
    chosen = setting(identity, rate_hz=rate_hz, mode="fifo")
    assert least_s <= turn_s(chosen) <= most_s
    assert turn_s(chosen) * 1e9 / chosen.period_ns * 14 < chosen.part.fifo_bytes / 2


@pytest.mark.parametrize(
    ("bus_hz", "mode", "least_hz", "most_hz"),
    [(100_000, "burst", 600, 641), (100_000, "fifo", 740, 770), (400_000, "burst", 2400, 2564), (400_000, "fifo", 2900, 3079)],
)
def test_a_bus_carries_only_so_much(bus_hz: int, mode: str, least_hz: int, most_hz: int) -> None:
    """A little less than what counting bits allows: 1 kHz needs the faster clock."""
    assert least_hz < carried_hz(bus_hz, setting(rate_hz=1000, mode=mode)) <= most_hz


def test_a_bus_that_is_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read, and with what to set; a rate that it can carry is not."""
    monkeypatch.setattr("workers.buses.i2c.clock_hz", lambda bus: 100_000)
    bus = Bus()
    with pytest.raises(DeviceError, match=r"100 kHz, which carries 757 samples.*i2c_arm_baudrate=400000"):
        next(samples(bus, Options(bus="virtual", rate_hz=1000), FakeClock()))
    assert next(samples(bus, Options(bus="virtual", rate_hz=500), FakeClock())) is None
