"""Which side of a sensor is up, and what six sides say about its accelerometer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.errors import DeviceError
from workers.mpu6050.decode import Three
from workers.mpu6050.sides import SIDES, side_of, solved

g_m_s2 = 9.80665

offsets = st.tuples(*[st.floats(-1, 1)] * 3)
scales = st.tuples(*[st.floats(0.9, 1.1)] * 3)
tilts = st.lists(st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)), min_size=6, max_size=6)


def lying(side: str, tilt: tuple[float, float] = (0.0, 0.0)) -> Three:
    """Gravity in the axes of a sensor that lies on its opposite side, off level by two angles in rad."""
    axis, up = "XYZ".index(side[0]), 1 if side.endswith("up") else -1
    across = g_m_s2 * math.sin(tilt[0]), g_m_s2 * math.cos(tilt[0]) * math.sin(tilt[1])
    vector = [across[0], across[1]]
    vector.insert(axis, up * g_m_s2 * math.cos(tilt[0]) * math.cos(tilt[1]))
    return vector[0], vector[1], vector[2]


def measured(true: Three, offset: Sequence[float], scale: Sequence[float]) -> Three:
    """As a sensor has it whose true values are (measured - offset) * scale."""
    x, y, z = (value / factor + shift for value, factor, shift in zip(true, scale, offset, strict=True))
    return x, y, z


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.2, -0.2)])
def test_the_side_that_is_up_is_known(side: str, tilt: tuple[float, float]) -> None:
    """Level or tilted by 11°, and with errors as a chip has them."""
    assert side_of(measured(lying(side, tilt), (0.8, -0.5, 0.3), (0.97, 1.03, 1.0))) == side


@pytest.mark.parametrize(
    "acceleration", [(6.9, 6.9, 0.0), (5.7, 5.7, 5.7), (0.0, 4.5, -8.7), (0.0, 0.0, 0.0), (0.0, 0.0, 5.0), (0.1, -0.1, -0.2)]
)
def test_an_edge_is_no_side(acceleration: Three) -> None:
    """Neither is free fall."""
    assert side_of(acceleration) == ""


@given(offsets, scales, tilts)
def test_six_sides_give_offset_and_scale(offset: Three, scale: Three, tilt: list[tuple[float, float]]) -> None:
    """What was planted is found, though no side lies level: without the correction for tilt, 0.2 rad would be 4 %."""
    found = {side: measured(lying(side, angles), offset, scale) for side, angles in zip(SIDES, tilt, strict=True)}
    found_offset, found_scale = solved(found)
    assert found_offset == pytest.approx(offset, abs=1e-3)
    assert found_scale == pytest.approx(scale, abs=1e-4)


@pytest.mark.parametrize("wrong", [(4.0, 2.0, 1.0), (9.8, 0.0, 0.0), (-3.0, 3.0, 0.0), (-5.0, 0.0, 0.0), (-9.8, 20.0, 20.0)])
def test_six_that_do_not_fit_are_refused(wrong: Three) -> None:
    """One side measured twice under two names, on an edge or in somebody's hand is no calibration."""
    found = {side: lying(side) for side in SIDES} | {"X down": wrong}
    with pytest.raises(DeviceError, match="once more"):
        solved(found)
