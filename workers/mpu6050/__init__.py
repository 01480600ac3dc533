"""InvenSense MPU6050 on an I2C bus: accelerometer, gyroscope and thermometer of one chip, polled or out of its FIFO.

Accelerations are in m/s², angular velocities in rad/s, as ROS has them (REP 103): right-handed, in the axes printed on the board.
What is measured is specific force, gravity included: at rest with Z up, acceleration_z_m_s2 is +9.80665. A positive turn is
counter-clockwise for somebody towards whom the axis points. roll_rad and pitch_rad are null unless fusion is on.

    good         measured
    uncertain    an axis at the end of its range: the true figure is at least that large; or the same to the last bit as before
    bad          not measured (null values): the transfer failed, the slot was missed, packets were lost, or the chip was asleep
"""

from __future__ import annotations

from collections.abc import Generator

from edgegw.clock import SystemClock
from edgegw.reading import Sample
from workers.buses import i2c
from workers.mpu6050.calibration import Calibration
from workers.mpu6050.decode import NAMES
from workers.mpu6050.options import Options
from workers.mpu6050.session import PARTS, calibrating, resetting, samples

__all__ = ["FIELDS", "PARTS", "SIMULATOR", "Calibration", "Options", "calibrate", "read", "reset"]

FIELDS = {"imu": dict.fromkeys(NAMES, float)}
SIMULATOR = "workers.virtual.mpu6050"


def read(options: Options) -> Generator[Sample | None, None, None]:
    """Samples as they come; None while the chip is set up. Raises DeviceError when it is not there, or not what it should be."""
    with i2c.opened(options.bus) as bus:
        yield from samples(bus, options, SystemClock())


def reset(options: Options) -> Generator[None, None, None]:
    """The chip's own reset, by a command over the bus: no help when it is the bus that is stuck. Raises DeviceError."""
    with i2c.opened(options.bus) as bus:
        yield from resetting(bus, options, SystemClock())


def calibrate(options: Options, part: str) -> Generator[str | None, None, Calibration]:
    """What to do, in sentences; returns `options.calibration` with this part measured anew. Raises DeviceError."""
    with i2c.opened(options.bus) as bus:
        return (yield from calibrating(bus, options, part, SystemClock()))
