"""The self-test of RM 4.1: the chip pushes its own proof masses, and what they answer is compared with what they did in the factory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

from edgegw.clock import every
from edgegw.errors import DeviceError
from workers.mpu6050 import registers as reg
from workers.mpu6050.chip import Chip, FOREVER_ns, pause, restart
from workers.mpu6050.decode import WORDS
from workers.mpu6050.registers import Part

TOLERANCE = 0.14  # PS 6.1 and 6.2
BURSTS, BURSTS_hz = 100, 500  # averaged: the noise of one is up to a tenth of the answer
SETTLES_ns = 200_000_000
GYRO_LSB_PER_DEG_S, ACCEL_LSB_PER_g = 131.0, 4096.0  # at the ranges that the test prescribes, ±250 °/s and ±8 g
ACCEL_8_g = 0x10
AXES = ("accelerometer X", "accelerometer Y", "accelerometer Z", "gyroscope X", "gyroscope Y", "gyroscope Z")
_WORDS_OF_AXES = (0, 1, 2, 4, 5, 6)  # the fourth is the temperature
_BEAT = 25  # bursts between heartbeats


class Trim(NamedTuple):
    """What the factory noted: a code of five bits for each axis, 0 for nothing."""

    codes: tuple[int, ...]

    def expected(self) -> list[float]:
        """The answer of each axis in LSB; the gyroscope's Y axis answers to the other side."""
        accel = [ACCEL_LSB_PER_g * 0.34 * (0.92 / 0.34) ** ((code - 1) / 30) for code in self.codes[:3]]
        gyro = [sign * 25 * GYRO_LSB_PER_DEG_S * 1.046 ** (code - 1) for sign, code in zip((1, -1, 1), self.codes[3:], strict=True)]
        return accel + gyro


def trim_of(registers: bytes) -> Trim:
    """Out of SELF_TEST_X, _Y, _Z and _A: the accelerometer's lower two bits share the last."""
    x, y, z, low = registers
    accel = (x >> 5 << 2 | low >> 4 & 3, y >> 5 << 2 | low >> 2 & 3, z >> 5 << 2 | low & 3)
    return Trim((*accel, x & 31, y & 31, z & 31))


def self_test(chip: Chip, part: Part) -> Iterator[None]:
    """Takes a second. Raises DeviceError, naming each axis with its figures, when it fails; leaves the chip to be set up."""
    if part.second_filter:
        raise DeviceError(f"the chip at {chip.where} is a {part.name}, which has another self-test: set self_test = false")
    trim = trim_of(chip.read(reg.SELF_TEST_X, 4))
    if not all(trim.codes):
        raise DeviceError(f"the chip at {chip.where} holds no factory figures to test it by (a clone?): set self_test = false")
    yield from restart(chip)
    chip.write(reg.PWR_MGMT_1, reg.CLOCK_PLL)
    chip.write(reg.CONFIG, reg.FILTERS[0].code)
    idle = yield from _answer(chip, 0)
    pushed = yield from _answer(chip, reg.SELF_TEST)
    responses = [with_ - without for with_, without in zip(pushed, idle, strict=True)]
    if failed := verdict(responses, trim.expected()):
        raise DeviceError(f"the chip at {chip.where} fails its self-test ({failed}): was it moved meanwhile? If not, replace it")


def _answer(chip: Chip, test: int) -> Generator[None, None, list[float]]:
    chip.write(reg.GYRO_CONFIG, test)
    chip.write(reg.ACCEL_CONFIG, test | ACCEL_8_g)
    yield from pause(chip.clock, SETTLES_ns)
    sums = [0] * len(AXES)
    for number, _ in zip(range(BURSTS), every(1 / BURSTS_hz, chip.clock), strict=False):
        words = WORDS.unpack(chip.burst(FOREVER_ns))
        sums = [total + words[place] for total, place in zip(sums, _WORDS_OF_AXES, strict=True)]
        if number % _BEAT == 0:
            yield None
    return [total / BURSTS for total in sums]


def verdict(responses: list[float], expected: list[float]) -> str:
    """Which axes answer otherwise than in the factory, and how; "" when all is well."""
    rows = zip(AXES, responses, expected, strict=True)
    return ", ".join(f"{axis} answers {got:.0f} instead of {want:.0f}" for axis, got, want in rows if abs(got / want - 1) > TOLERANCE)
