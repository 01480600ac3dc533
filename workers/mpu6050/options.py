"""What stands in the section of an MPU6050."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from workers.mpu6050.calibration import Calibration
from workers.mpu6050.registers import PARTS

_BUS = (
    "I2C bus that the chip is on: its number, or its path as /dev/i2c-1; the header of a Raspberry Pi is bus 1. "
    'Or "virtual": a simulated chip, with faults as in "virtual?brown_out_every_s=5".'
)
_ADDRESS = "Address of the chip: 0x68 (104) with its pin AD0 low, 0x69 (105) with it high."
_RATE = (
    "Samples a second. Up to 200 any figure will do. From the FIFO the chip has 1000, 500, 333.3, 250, 200 and so on "
    "(1000 divided by a whole number): the nearest is taken."
)
_MODE = (
    'How samples are fetched: "burst" asks the chip for each in its time, "fifo" lets the chip collect them and dates them by '
    'the beat of its own clock, "auto" takes the FIFO above 200 samples a second.'
)
_ACCELEROMETER = "Range of the accelerometer, in g to either side."
_GYROSCOPE = "Range of the gyroscope, in degrees a second to either side."
_BANDWIDTH = "The chip's low-pass filter, in Hz; without it the widest that is not above half the rate."
_IDENTITIES = "Values of WHO_AM_I that are taken; one that is not known to the driver is read as an MPU6050."
_SELF_TEST = "Run the chip's own self-test whenever it is opened; it takes a second, has to lie still, and only an MPU6050 has this one."
_FUSION = "Work out roll and pitch (imufusion; needs the extra edgegw[fusion])."
_CALIBRATION = "What `edgegw calibrate` has found out about this very chip."


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the chip and how to set it up; its settings are written anew each time it is opened."""

    bus: Annotated[int | str, Meta(description=_BUS, examples=[1, "virtual", "/dev/i2c-1"])]
    address: Annotated[int, Meta(ge=0x68, le=0x69, description=_ADDRESS, examples=[0x68])] = 0x68
    rate_hz: Annotated[float, Meta(ge=3.9, le=1000, description=_RATE, examples=[100])] = 100.0
    mode: Annotated[Literal["auto", "burst", "fifo"], Meta(description=_MODE)] = "auto"
    accelerometer_range_g: Annotated[Literal[2, 4, 8, 16], Meta(description=_ACCELEROMETER)] = 4
    gyroscope_range_deg_s: Annotated[Literal[250, 500, 1000, 2000], Meta(description=_GYROSCOPE)] = 500
    bandwidth_hz: Annotated[Literal[5, 10, 20, 42, 98, 188] | None, Meta(description=_BANDWIDTH)] = None
    identities: Annotated[tuple[Annotated[int, Meta(ge=0, le=255)], ...], Meta(min_length=1, description=_IDENTITIES)] = tuple(PARTS)
    self_test: Annotated[bool, Meta(description=_SELF_TEST)] = False
    fusion: Annotated[bool, Meta(description=_FUSION)] = False
    calibration: Annotated[Calibration | None, Meta(description=_CALIBRATION)] = None
