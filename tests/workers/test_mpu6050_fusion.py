"""Roll and pitch: the filter's angles for a sensor at rest, and what is said where its library is missing."""

from __future__ import annotations

import math
import sys
import types

import pytest

from edgegw.errors import DeviceError
from workers.mpu6050 import Options
from workers.mpu6050.fusion import Fusion
from workers.mpu6050.registers import MPU6050
from workers.mpu6050.setting import setting_of

g_m_s2 = 9.80665
OPTIONS = Options(bus=1, fusion=True)


def fusion() -> Fusion:
    pytest.importorskip("imufusion")
    return Fusion(OPTIONS, setting_of(OPTIONS, MPU6050))


@pytest.mark.parametrize(("roll", "pitch"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.4), (-0.5, 0.2), (2.0, -0.4)])
def test_at_rest_gravity_gives_roll_and_pitch(roll: float, pitch: float) -> None:
    """About X and about Y, counter-clockwise positive, as REP 103 has them; for three seconds there is nothing to say."""
    attitude = fusion()
    felt = g_m_s2 * -math.sin(pitch), g_m_s2 * math.cos(pitch) * math.sin(roll), g_m_s2 * math.cos(pitch) * math.cos(roll)
    told = [attitude.update((0.0, 0.0, 0.0), felt) for _ in range(500)]
    assert told[0] == (None, None)
    assert None not in told[310]
    assert told[-1] == pytest.approx((roll, pitch), abs=0.01)


def test_turning_is_followed() -> None:
    """A quarter turn about X within a second, gravity turning along: roll follows it."""
    attitude = fusion()
    for _ in range(400):
        attitude.update((0.0, 0.0, 0.0), (0.0, 0.0, g_m_s2))
    rate = math.pi / 2
    angles = [rate * step / 100 for step in range(1, 101)]
    told = [attitude.update((rate, 0.0, 0.0), (0.0, g_m_s2 * math.sin(angle), g_m_s2 * math.cos(angle))) for angle in angles]
    assert told[-1] == pytest.approx((math.pi / 2, 0.0), abs=0.05)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "imufusion", None)
    with pytest.raises(DeviceError, match=r"imufusion.*pip install 'edgegw\[fusion\]'"):
        Fusion(OPTIONS, setting_of(OPTIONS, MPU6050))


def test_a_library_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.3 its settings had other names; that is no reason to end the process."""
    monkeypatch.setitem(sys.modules, "imufusion", types.ModuleType("imufusion"))
    with pytest.raises(DeviceError, match=r"newer imufusion.*pip install 'edgegw\[fusion\]'"):
        Fusion(OPTIONS, setting_of(OPTIONS, MPU6050))
