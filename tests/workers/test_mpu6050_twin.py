"""The MPU6050 driver off a virtual chip, half a minute at a time under a clock of the tests: no slot without a sample, no fault unseen."""

from __future__ import annotations

import itertools
import math

import pytest

from edgegw.errors import DeviceError
from edgegw.reading import Quality
from tests.workers.mpu6050_stand import BEAT_s, G_m_s2, Stand, bad, gaps_ns, good, load_s

FIFO = {"mode": "fifo", "rate_hz": 1000}
both_modes = pytest.mark.parametrize("options", [{"rate_hz": 100}, FIFO], ids=["burst", "fifo"])


def test_a_burst_in_si_units() -> None:
    """The worked example at ±2 g and ±250 °/s: 1 g, 25.0 °C, and 1, -2, 0.504 °/s as rad/s."""
    stand = Stand({"accelerometer_range_g": 2, "gyroscope_range_deg_s": 250}, scene="constant")
    values = good(stand.take(0.3))[0].sample.values
    expected = {"acceleration_x_m_s2": 0, "acceleration_y_m_s2": 0, "acceleration_z_m_s2": G_m_s2, "temperature_degC": 25.0}
    rates = {f"angular_velocity_{axis}_rad_s": math.radians(dps) for axis, dps in (("x", 1.0), ("y", -2.0), ("z", 0.504))}
    for name, value in {**expected, **rates}.items():
        assert values[name] == pytest.approx(value, rel=1e-3, abs=1e-3), name
    assert (values["roll_rad"], values["pitch_rad"]) == (None, None)


@pytest.mark.parametrize("range_g", [2, 4, 8, 16])
@pytest.mark.parametrize("range_deg_s", [250, 500, 1000, 2000])
def test_the_range_does_not_change_the_value(range_g: int, range_deg_s: int) -> None:
    """Whatever is written to the range registers, rest is 1 g, and a turn of 20 °/s is one of 20 °/s."""
    planted = {"scene": "rest", "gyro_bias_dps": (20, -20, 10), "accel_offset_g": (0, 0, 0), "accel_scale": (1, 1, 1), "noise": 0.1}
    stand = Stand({"accelerometer_range_g": range_g, "gyroscope_range_deg_s": range_deg_s}, **planted)
    values = good(stand.take(0.5))[-1].sample.values
    assert values["acceleration_z_m_s2"] == pytest.approx(G_m_s2, rel=0.003)
    assert values["angular_velocity_y_rad_s"] == pytest.approx(math.radians(-20), rel=0.01)


@pytest.mark.parametrize("identity", ["68", "70", "72", "98"])
@both_modes
def test_what_is_sold_as_one_is_read_by_its_own_formula(identity: str, options: dict[str, object]) -> None:
    """Each part's temperature is right, and its FIFO never taken for larger than it is."""
    stand = Stand(options, identity=identity, temperature_degC=31.0)
    got = stand.take(3)
    assert bad(got) == []
    temperature = got[-1].sample.values["temperature_degC"]
    assert temperature == pytest.approx(31.0, abs=0.01)
    assert stand.chip.journal.overflows == 0


def test_somebody_else_is_refused() -> None:
    """An identity that is not among those wanted is no sensor to read: the sentence names it."""
    with pytest.raises(DeviceError, match="0x98"):
        Stand({"identities": (0x68, 0x70)}, identity="98").take(1)


def test_saturation_is_uncertain() -> None:
    """A clipped axis makes the sample uncertain, and keeps its value."""
    got = Stand(None, scene="rest", gyro_bias_dps=(900, 0, 0)).take(1)
    qualities = {one.sample.quality for one in got}
    assert qualities == {Quality.UNCERTAIN}
    assert got[-1].sample.values["angular_velocity_x_rad_s"] == pytest.approx(math.radians(500), rel=1e-3)


@pytest.mark.parametrize("fault", ["nack", "io_error", "time_out", "again"])
def test_failed_transfers_leave_no_slot_empty(fault: str) -> None:
    """One transfer in twenty fails for long: 100 samples a second all the same, evenly dated, the faults counted."""
    stand = Stand({"rate_hz": 100}, **{fault: 0.05}).started()
    before = stand.chip.journal.failures
    took_s = load_s(20)
    got = stand.take(took_s)
    assert abs(len(got) - 100 * took_s) <= 1
    assert len(good(got)) + len(bad(got)) == len(got)
    assert max(gaps_ns(got)) < 1.5 * 10_000_000
    assert abs(sum(one.sample.faults for one in got) - (stand.chip.journal.failures - before)) <= 2
    assert stand.errors == []


def test_failures_beyond_its_retries_leave_bad_samples_in_their_slots() -> None:
    """Bursts of four failures in twenty transfers: those slots are there, as bad ones."""
    stand = Stand({"rate_hz": 100}, nack=0.05, burst=4).started()
    got = stand.take(30)
    assert abs(len(got) - 3000) <= 1
    assert len(bad(got)) > 20
    assert max(gaps_ns(got)) < 1.5 * 10_000_000


@pytest.mark.parametrize(("mode", "rate_hz"), [("burst", rate) for rate in (3.9, 10, 60, 200)] + [("fifo", rate) for rate in (5, 50, 500)])
def test_every_rate_is_kept_with_a_heartbeat(mode: str, rate_hz: float) -> None:
    """As many samples as asked for, evenly dated; and at the slowest rates None in between."""
    stand = Stand({"mode": mode, "rate_hz": rate_hz}, clock_error=0.0).started()
    got = stand.take(30)
    assert abs(len(got) - 30 * rate_hz) <= 1 + 0.001 * 30 * rate_hz
    assert bad(got) == []
    assert max(gaps_ns(got)) < 1.5e9 / rate_hz
    assert stand.longest_s <= BEAT_s + 0.01


@both_modes
def test_a_brown_out_is_found_and_healed(options: dict[str, object]) -> None:
    """Silently reset, the chip measures again within 1.5 s, in its old ranges; nothing false is said meanwhile."""
    stand = Stand(options, scene="rest").started()
    stand.take(2.5)
    stand.chip.suffer("brown_out")
    struck_s = stand.now_s
    got = stand.take(3, heal=True)
    back = [one for one in good(got) if one.moment_ns / 1e9 > struck_s]
    assert back[0].moment_ns / 1e9 - struck_s < 1.5
    assert len(back) > 0.4 * len(got)
    for one in good(got):
        assert one.sample.values["acceleration_z_m_s2"] == pytest.approx(G_m_s2, rel=0.15)
    assert stand.longest_s <= BEAT_s


def test_a_part_that_wakes_up_in_other_ranges_is_found() -> None:
    """An MPU6500 comes out of a brown-out awake, at ±2 g: nothing that it says then is passed off as good, and it is set right."""
    stand = Stand(None, scene="rest", identity="70").started()
    stand.take(2.5)
    stand.chip.suffer("brown_out")
    got = stand.take(4, heal=True)
    wrong = [one for one in good(got) if one.sample.values["acceleration_z_m_s2"] != pytest.approx(G_m_s2, rel=0.15)]
    assert wrong == []
    assert len(good(got)) > 150


@both_modes
def test_frozen_data_are_found(options: dict[str, object]) -> None:
    """A chip that repeats itself is noticed within 2 s and set up anew; the repetitions are not sold as measurements for long."""
    stand = Stand(options, scene="rest").started()
    stand.take(1)
    stand.chip.suffer("freeze")
    frozen_s = stand.now_s
    got = stand.take(4, heal=True)
    repeated = [one for before, one in itertools.pairwise(good(got)) if one.sample.values == before.sample.values]
    assert len(repeated) <= 20
    assert stand.chip.journal.resets >= 2
    assert any(one.moment_ns / 1e9 > frozen_s + 0.3 for one in good(got))


@both_modes
def test_a_chip_without_new_samples_is_found(options: dict[str, object]) -> None:
    """Nothing new for a second: the old is not sold as measured for long, the worker is not left without a sign, and it goes on after."""
    stand = Stand(options, scene="rest").started()
    stand.take(1)
    stand.chip.suffer("silence")
    got = stand.take(0.9, heal=True)
    repeated = [one for before, one in itertools.pairwise(good(got)) if one.sample.values == before.sample.values]
    assert len(repeated) <= 20
    assert stand.longest_s <= BEAT_s
    assert len(good(stand.take(3, heal=True))) > 100


@both_modes
def test_a_stuck_bus_ends_in_an_error_and_does_not_hang(options: dict[str, object]) -> None:
    """Each transfer takes the kernel's second: no yield is later than about that, and DeviceError says what is stuck."""
    stand = Stand(options, stuck_every_s=1e6, stuck_lasts_s=1e6 - 3, stuck_s=1.0)
    with pytest.raises(DeviceError, match=r"stuck|SDA"):
        stand.take(20)
    assert stand.longest_s < 1.3
    assert stand.now_s < 3 + 8


def test_an_absent_chip_is_said_to_be_absent() -> None:
    """The sentence names the address and what to look at."""
    with pytest.raises(DeviceError, match="0x68"):
        Stand(None, absent=True).take(1)


@both_modes
def test_a_chip_that_is_pulled_out_ends_in_an_error_and_is_read_again(options: dict[str, object]) -> None:
    """Nobody answers any more: DeviceError within two seconds; back again, it is set up anew and measures."""
    stand = Stand(options, scene="rest").started()
    stand.bus.line.present = False
    with pytest.raises(DeviceError, match="nothing answers"):
        stand.take(2)
    stand.bus.line.present = True
    stand.chip.suffer("brown_out")
    assert good(stand.take(1, heal=True))
