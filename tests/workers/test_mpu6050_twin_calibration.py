"""Reset, self-test, calibration and fusion of the MPU6050 driver, against a virtual chip whose errors are known exactly."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Iterator

import msgspec
import pytest

from edgegw.errors import DeviceError
from tests.workers.mpu6050_stand import G_m_s2, Stand, good
from workers.mpu6050 import PARTS, Calibration, Options, reset
from workers.mpu6050.session import calibrating, resetting
from workers.virtual import registers6050 as r
from workers.virtual.mpu6050 import plug
from workers.virtual.scene6050 import AXES, Side

SIDES: tuple[Side, ...] = ("z", "-x", "y", "-z", "x", "-y")
BIAS_dps, OFFSET_g, SCALE = (7.0, -12.0, 3.0), (0.04, -0.05, 0.08), (1.03, 0.97, 1.02)
PLANTED = {"scene": "rest", "gyro_bias_dps": BIAS_dps, "accel_offset_g": OFFSET_g, "accel_scale": SCALE}


def calibrated(stand: Stand, part: str, patience_s: float = 300) -> tuple[Calibration, list[str]]:
    """What it finds, and all that it says; whenever it says something of sides, the sensor is laid on another one."""
    steps = calibrating(stand.bus, stand.options, part, stand.clock)
    said: list[str] = []
    sides, end_s = _turns(stand), stand.now_s + patience_s
    while stand.now_s < end_s:
        try:
            sentence = next(steps)
        except StopIteration as done:
            found: Calibration = done.value
            return found, said
        if sentence:
            said.append(sentence)
            if "Still to come" in sentence:
                next(sides, None)
    raise AssertionError(f"no end after {patience_s:g} s: {said}")


def _turns(stand: Stand) -> Iterator[None]:
    for side in SIDES[1:]:
        stand.chip.behaviour = dataclasses.replace(stand.chip.behaviour, up=side)
        yield


def test_rest_finds_the_gyroscopes_bias() -> None:
    """Planted 7, -12 and 3 °/s are found to 0.02 °/s, and nothing else is touched."""
    found, said = calibrated(Stand(None, **PLANTED), "rest")
    for axis in range(3):
        assert math.degrees(found.gyro_bias_rad_s[axis]) == pytest.approx(BIAS_dps[axis], abs=0.02)
    assert (found.accel_offset_m_s2, found.accel_scale) == ((0, 0, 0), (1, 1, 1))
    assert len(said) == 1


def test_rest_waits_until_it_is_left_alone() -> None:
    """While it moves nothing is found, and it says so once; lying still, it finishes."""
    stand = Stand(None, **{**PLANTED, "scene": "motion", "motion": 3.0})
    steps = calibrating(stand.bus, stand.options, "rest", stand.clock)
    said = []
    while stand.now_s < 20:
        said.append(next(steps))
    assert len([sentence for sentence in said if sentence and "moves" in sentence]) == 1
    stand.chip.behaviour = dataclasses.replace(stand.chip.behaviour, scene="rest")
    with pytest.raises(StopIteration) as done:
        while stand.now_s < 60:
            next(steps)
    assert math.degrees(done.value.value.gyro_bias_rad_s[0]) == pytest.approx(BIAS_dps[0], abs=0.02)


@pytest.mark.parametrize("tilt_deg", [0.0, 4.0])
def test_six_sides_find_the_accelerometers_offset_and_scale(tilt_deg: float) -> None:
    """Planted 40 to 80 mg and 3 % are found to 1 mg and 0.1 %, on a crooked table, too; what was known of the gyroscope stays."""
    stand = Stand(None, **PLANTED, tilt_deg=tilt_deg)
    known, _ = calibrated(stand, "rest")
    stand.options = msgspec.structs.replace(stand.options, calibration=known)
    found, said = calibrated(stand, "six")
    for axis in range(3):
        assert found.accel_offset_m_s2[axis] / G_m_s2 == pytest.approx(OFFSET_g[axis], abs=1e-3)
        assert found.accel_scale[axis] == pytest.approx(1 / SCALE[axis], rel=1e-3)
    assert found.gyro_bias_rad_s == known.gyro_bias_rad_s
    assert len(said) == 6


def test_what_was_found_makes_the_readings_right() -> None:
    """Read with its calibration, a chip at rest shows gravity on one axis and no rotation."""
    stand = Stand(None, **PLANTED)
    for part in PARTS:
        found, _ = calibrated(stand, part)
        stand.options = msgspec.structs.replace(stand.options, calibration=found)
    stand.chip.behaviour = dataclasses.replace(stand.chip.behaviour, up="x", noise=0.1)
    values = list(good(stand.take(1))[-1].sample.values.values())
    assert values[:6] == pytest.approx([G_m_s2, 0, 0, 0, 0, 0], abs=0.015)


def test_a_calibration_belongs_to_its_chip() -> None:
    """A chip with other factory figures is not read by it."""
    found, _ = calibrated(Stand(None, **PLANTED), "rest")
    stand = Stand({"calibration": found}, trimmed=False)
    with pytest.raises(DeviceError, match="calibrat"):
        stand.take(1)


def test_calibrating_goes_on_over_a_poor_line() -> None:
    """One transfer in twenty fails: it takes longer, and finds the same."""
    found, _ = calibrated(Stand(None, **PLANTED, nack=0.05), "rest")
    assert math.degrees(found.gyro_bias_rad_s[1]) == pytest.approx(BIAS_dps[1], abs=0.02)


def test_there_is_no_such_part() -> None:
    """The sentence names those that there are."""
    stand = Stand(None)
    with pytest.raises(DeviceError, match="rest, six"):
        next(calibrating(stand.bus, stand.options, "nose", stand.clock))


def test_a_healthy_chip_passes_its_self_test() -> None:
    """Each axis answers within 14 % of what the factory noted, bias and motion of the hand that holds it notwithstanding."""
    stand = Stand({"self_test": True}, **PLANTED)
    assert good(stand.take(3))
    assert stand.longest_s <= 0.25


@pytest.mark.parametrize("broken", AXES)
def test_a_broken_axis_fails_it(broken: str) -> None:
    """The sentence names the axis."""
    part, axis = broken.split("_")
    with pytest.raises(DeviceError, match=rf"(?i)self-test.*{part}\w* {axis}"):
        Stand({"self_test": True}, scene="rest", broken=broken).take(3)


@pytest.mark.parametrize("behaviour", [{"identity": "70"}, {"trimmed": False}])
def test_what_cannot_be_tested_is_not_passed(behaviour: dict[str, object]) -> None:
    """Another part, or one without factory figures, is told so instead of being found healthy."""
    with pytest.raises(DeviceError, match="self_test = false"):
        Stand({"self_test": True}, **behaviour).take(3)


def test_reset_resets() -> None:
    """Whatever was set is gone afterwards, with heartbeats meanwhile and over a poor line; with nobody there it says so."""
    stand = Stand(None, freeze_every_s=0.5, nack=0.05)
    stand.take(1)
    resets = stand.chip.journal.resets
    for beat in resetting(stand.bus, stand.options, stand.clock):
        assert beat is None
    assert stand.chip.journal.resets == resets + 1
    assert stand.bus.read_byte_data(0x68, r.PWR_MGMT_1) == r.SLEEP
    stand.bus.line.present = False
    with pytest.raises(DeviceError, match="nothing answers"):
        list(resetting(stand.bus, stand.options, stand.clock))


def test_reset_by_its_public_name() -> None:
    """As the worker calls it, with the options of a virtual device, in real time."""
    with plug(Options(bus="virtual")) as options:
        assert set(reset(options)) == {None}
        assert options.bus.chip.journal.resets == 1


@pytest.mark.skipif(not importlib.util.find_spec("imufusion"), reason="the extra edgegw[fusion] is not installed")
def test_fusion_follows_the_motion() -> None:
    """Roll and pitch are those of the moving body within 0.03 rad, once the filter has found its feet."""
    stand = Stand({"fusion": True}, gyro_bias_dps=(0, 0, 0), accel_offset_g=(0, 0, 0), accel_scale=(1, 1, 1)).started()
    for one in good(stand.take(40))[1000:]:
        roll, pitch, _ = stand.chip.body.attitude((one.moment_ns - 1) / 1e9)
        assert one.sample.values["roll_rad"] == pytest.approx(roll, abs=0.03)
        assert one.sample.values["pitch_rad"] == pytest.approx(pitch, abs=0.03)
