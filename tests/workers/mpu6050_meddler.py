"""The MPU6050 driver at 1 kHz out of the FIFO, on a virtual bus whose samples carry their number and that a test can meddle with."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from workers.mpu6050 import Options
from workers.mpu6050.session import samples
from workers.virtual.mpu6050 import Bus
from workers.virtual.scene6050 import Behaviour, number_of

ACCEL_step, GYRO_step = 4 * 9.80665 / 32768, 500 * 3.141592653589793 / 180 / 32768


class Meddler(Bus):
    """A bus on which a test can lay hands on what a combined transfer brought, register by register."""

    meddle: Callable[[int, bytes], bytes] = staticmethod(lambda register, data: data)

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        super().i2c_rdwr(*i2c_msgs)
        for asks, answers in zip(i2c_msgs[::2], i2c_msgs[1::2], strict=True):
            ctypes.memmove(answers.buf, self.meddle(bytes(asks)[0], bytes(answers)), answers.len)


class Reader:
    """The driver at 1 kHz out of the FIFO, its first samples behind it."""

    def __init__(self, rate_hz: float = 1000, **behaviour: object) -> None:
        self.clock = FakeClock()
        self.bus = Meddler(Behaviour(**{"scene": "count", "seed": 1, **behaviour}), clock=self.clock)  # type: ignore[arg-type]  # by name
        self.options = Options(bus="virtual", rate_hz=rate_hz, mode="fifo")
        self.yielded = samples(self.bus, self.options, self.clock)
        next(self.samples())

    def samples(self) -> Iterator[Sample]:
        return filter(None, self.yielded)

    def take(self, count: int) -> list[Sample]:
        return [next(self.samples()) for _ in range(count)]

    def until_bad(self, most: int = 500) -> Sample:
        """The next bad sample; everything before it is whole and in order."""
        before = list(itertools.takewhile(lambda sample: sample.quality is not Quality.BAD, self._counted(most)))
        assert_in_order(before)
        assert self.last.quality is Quality.BAD
        return self.last

    def _counted(self, most: int) -> Iterator[Sample]:
        for _ in range(most):
            (self.last,) = self.take(1)
            yield self.last

    def meddle(self, wanted: int, instead: Callable[[bytes], bytes]) -> None:
        """Once, the next time that this register is read."""

        def once(register: int, data: bytes) -> bytes:
            if register != wanted:
                return data
            self.bus.meddle = Meddler.meddle
            return instead(data)

        self.bus.meddle = once


def _number(sample: Sample) -> int:
    """-1 where an axis stands in another's place."""
    values = [value for value in list(sample.values.values())[:6] if isinstance(value, float)]
    steps = (ACCEL_step,) * 3 + (GYRO_step,) * 3
    return number_of([round(value / step) for value, step in zip(values, steps, strict=True)])


def assert_in_order(taken: list[Sample]) -> None:
    """Every number once, in order, and no axis in another's place."""
    numbers = [_number(sample) for sample in taken]
    assert -1 not in numbers
    assert [(after - before) % 4096 for before, after in itertools.pairwise(numbers)] == [1] * (len(numbers) - 1)
