"""The six sides of a sensor: which one is up, and what the accelerometer is off by when all six are known."""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgegw.errors import DeviceError
from workers.mpu6050.decode import Three
from workers.mpu6050.registers import STANDARD_GRAVITY_m_s2

SIDES = ("X up", "X down", "Y up", "Y down", "Z up", "Z down")

TILTED_m_s2 = 0.35 * STANDARD_GRAVITY_m_s2  # 20°: on the table by hand is within 5°
ROUNDS = 20  # each divides what is left of the error by some tens
UNFIT = "the six sides do not fit together: lay the sensor on each of them once more, squarely, and leave it alone"
# PS 6.2 allows 3 % and 0.08 g; whatever is far beyond was not lying still, or not on six different sides.
SCALE_OFF, OFFSET_OFF_m_s2 = 0.2, 3.0


def side_of(acceleration: Three) -> str:
    """The name of the side that is up, "" when it lies on an edge; in m/s², uncalibrated."""
    sizes = sorted(((abs(value), axis) for axis, value in enumerate(acceleration)), reverse=True)
    (largest, axis), (second, _), _ = sizes
    if second > TILTED_m_s2 or largest < 2 * TILTED_m_s2:
        return ""
    return SIDES[2 * axis + (acceleration[axis] < 0)]


def solved(found: Mapping[str, Three]) -> tuple[Three, Three]:
    """Offset in m/s² and scale, so that (measured - offset) * scale is as long as gravity on each of the six sides.

    A side that is not quite level has a little less than gravity on its axis, and the other axes say how much less; those have
    errors of their own, so it is done in rounds. Raises DeviceError for six that cannot be those of one sensor.
    """
    offset, scale = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    for axis in [*range(3)] * ROUNDS:
        up, down = found[SIDES[2 * axis]], found[SIDES[2 * axis + 1]]
        true_up, true_down = (_along(axis, measured, offset, scale) for measured in (up, down))
        scale[axis] = (true_up + true_down) / max(up[axis] - down[axis], TILTED_m_s2)
        if abs(scale[axis] - 1) > SCALE_OFF:
            raise DeviceError(UNFIT)
        offset[axis] = up[axis] - true_up / scale[axis]
        if abs(offset[axis]) > OFFSET_OFF_m_s2:
            raise DeviceError(UNFIT)
    return (offset[0], offset[1], offset[2]), (scale[0], scale[1], scale[2])


def _along(axis: int, measured: Three, offset: list[float], scale: list[float]) -> float:
    """How much of gravity an axis has that points up or down, by what the other two have."""
    across = [(measured[other] - offset[other]) * scale[other] for other in range(3) if other != axis]
    return math.sqrt(max(0.0, STANDARD_GRAVITY_m_s2**2 - math.fsum(value * value for value in across)))
