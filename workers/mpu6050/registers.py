"""The chip as its documents have it: registers, ranges, filters, and the parts that answer in its place.

From the register map RM-MPU-6000A-00 rev 4.2 and the product specification PS-MPU-6000A-00 rev 3.4. The other parts have the
registers of the MPU6050 at the same places; what differs for a driver is in their row of PARTS.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

SELF_TEST_X = 0x0D  # four bytes: the factory's trim codes of X, Y and Z, and the low bits of the accelerometer's
SMPLRT_DIV = 0x19
CONFIG = 0x1A
GYRO_CONFIG = 0x1B
ACCEL_CONFIG = 0x1C
ACCEL_CONFIG_2 = 0x1D  # 6500 class only; on an MPU6050 a threshold that nothing here uses
FIFO_EN = 0x23
INT_ENABLE = 0x38
INT_STATUS = 0x3A
ACCEL_XOUT_H = 0x3B
USER_CTRL = 0x6A
PWR_MGMT_1 = 0x6B
PWR_MGMT_2 = 0x6C
FIFO_COUNT_H = 0x72
FIFO_R_W = 0x74
WHO_AM_I = 0x75

DEVICE_RESET = 0x80  # PWR_MGMT_1
SLEEP = 0x40  # PWR_MGMT_1
CLOCK_PLL = 0x01  # PWR_MGMT_1: awake, on the X gyroscope's PLL, good to 1 % where the oscillator is good to 5 %
FIFO_RESET, FIFO_ON = 0x04, 0x40  # USER_CTRL
FIFO_ALL = 0xF8  # FIFO_EN: temperature, gyroscope and accelerometer, so a packet is laid out as the registers are
OVERFLOW = 0x10  # INT_STATUS and INT_ENABLE
SELF_TEST = 0xE0  # GYRO_CONFIG and ACCEL_CONFIG: all three axes
ALL_OF_FIFO = 0xC0  # ACCEL_CONFIG_2 of a few: without it they use 512 bytes

PACKET_bytes = 14  # acceleration, temperature, angular velocity: seven words, high byte first
CHIP_hz = 1000  # of accelerometer and filtered gyroscope, before the divider

ACCELEROMETER_RANGES_g: Final = (2, 4, 8, 16)  # by their code in ACCEL_CONFIG
GYROSCOPE_RANGES_deg_s: Final = (250, 500, 1000, 2000)  # by their code in GYRO_CONFIG
STANDARD_GRAVITY_m_s2 = 9.80665


class Filter(NamedTuple):
    """A row of the low-pass filter's table (RM 4.3); the delay is the mean of accelerometer's and gyroscope's."""

    code: int
    bandwidth_hz: int  # of the gyroscope; the accelerometer's is within 4 Hz
    delay_ns: int


FILTERS: Final = (
    Filter(1, 188, 1_950_000),
    Filter(2, 98, 2_900_000),
    Filter(3, 42, 4_850_000),
    Filter(4, 20, 8_400_000),
    Filter(5, 10, 13_600_000),
    Filter(6, 5, 18_800_000),
)


class Part(NamedTuple):
    """What is sold as, or in place of, an MPU6050."""

    name: str
    lsb_per_degC: float = 340.0
    zero_degC: float = 36.53  # the temperature at which the register reads 0
    fifo_bytes: int = 1024
    second_filter: bool = False  # the accelerometer has a filter of its own, in ACCEL_CONFIG_2
    fifo_bits: int = 0  # for ACCEL_CONFIG_2, so that the FIFO is that large
    gyro_range_bit: int = 3  # the lowest bit of the range in GYRO_CONFIG


def _class_6500(name: str) -> Part:
    return Part(name, 333.87, 21.0, 512, second_filter=True)


def _class_20608(name: str, fifo_bytes: int = 512, fifo_bits: int = 0, gyro_range_bit: int = 3) -> Part:
    return Part(name, 326.8, 25.0, fifo_bytes, True, fifo_bits, gyro_range_bit)


MPU6050: Final = Part("MPU6050")
# By WHO_AM_I. Which parts there are, their temperatures and FIFOs: the tables of Linux' inv_mpu6050. Where a larger FIFO is said to
# be there, but not how it is had, 512 bytes are counted on: that costs a few more looks at it, the other way round packets.
PARTS: Final[Mapping[int, Part]] = MappingProxyType(
    {
        0x68: MPU6050,  # the MPU6000 and MPU9150 say the same
        0x72: Part("MPU6050 clone"),  # sold as GY-521; no maker's name is known
        0x70: _class_6500("MPU6500"),  # often sold as an MPU6050
        0x71: _class_6500("MPU9250"),
        0x73: _class_6500("MPU9255"),
        0x74: _class_6500("MPU6515"),
        0x78: _class_6500("MPU6880"),
        0xAF: _class_20608("ICM-20608"),
        0xAE: _class_20608("ICM-20608D"),
        0xA6: _class_20608("ICM-20609"),
        0x98: _class_20608("ICM-20689", 4096, ALL_OF_FIFO),  # often sold as an MPU6050
        0x11: _class_20608("ICM-20600", 1008),
        0x12: _class_20608("ICM-20602", 1008),
        0x20: _class_20608("ICM-20690", 1024, ALL_OF_FIFO, gyro_range_bit=2),
        0xA9: _class_20608("IAM-20680"),
    }
)
