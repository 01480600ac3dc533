"""The MPU6050 driver on a virtual bus under a clock of the tests: a minute of readings takes as long as working them out."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Generator, Sequence
from typing import NamedTuple

from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from workers.mpu6050 import Options
from workers.mpu6050.session import samples
from workers.virtual.mpu6050 import Bus
from workers.virtual.scene6050 import Behaviour, number_of

G_m_s2 = 9.80665
BEAT_s = 0.25  # a driver yields at least as often


def load_s(short: float) -> float:
    """How long to read: `short` in the everyday suite, EDGEGW_LOAD_S in the long form."""
    return float(os.environ.get("EDGEGW_LOAD_S", short))


class Got(NamedTuple):
    """A sample, when it was measured and how long before its yield that was."""

    moment_ns: int
    age_ns: int
    sample: Sample


class Stand:
    """A driver, a chip and a clock. `options` without bus and `behaviour` by name; `heal` reads on after errors as the worker does."""

    def __init__(self, options: dict[str, object] | None = None, **behaviour: object) -> None:
        self.clock = FakeClock()
        self.bus = Bus(Behaviour(**{"seed": 1, **behaviour}), clock=self.clock)  # type: ignore[arg-type]  # by name
        self.chip = self.bus.chip
        self.options = Options(**{"bus": "the test's", **(options or {})})  # type: ignore[arg-type]  # by name
        self.errors: list[DeviceError | OSError] = []
        self.longest_s = 0.0  # between two yields, the opening included
        self._stream: Generator[Sample | None, None, None] | None = None

    @property
    def now_s(self) -> float:
        return self.clock.now_ns / 1e9

    def take(self, seconds: float, heal: bool = False) -> list[Got]:
        """What the driver yields within so many seconds of its clock; errors leave, or are kept and the driver is started again."""
        end_s, got = self.now_s + seconds, []
        while self.now_s < end_s:
            self._stream = self._stream or samples(self.bus, self.options, self.clock)
            before_s = self.now_s
            try:
                sample = next(self._stream)
            except (DeviceError, OSError) as error:
                self._stream = None
                self.longest_s = max(self.longest_s, self.now_s - before_s)
                self.errors.append(error)
                if not heal:
                    raise
                self.clock.now_ns += 100_000_000  # the worker waits a little
                continue
            self.longest_s = max(self.longest_s, self.now_s - before_s)
            if sample is not None:
                moment_ns = sample.measured_ns(self.clock.now_ns)
                got.append(Got(moment_ns, self.clock.now_ns - moment_ns, sample))
        return got

    def started(self) -> Stand:
        """With the set-up behind it: the first sample has come."""
        while not self.take(0.001):
            pass
        return self

    def number(self, sample: Sample) -> int:
        """Of a counted sample; -1 where an axis stands in another's place."""
        return number_in(sample, self.options)


def words_of(values: Sequence[float | int | str | None], options: Options) -> list[int]:
    """The accelerometer's and gyroscope's words that these values were made of, calibration apart; values in the order of FIELDS."""
    accel_step = options.accelerometer_range_g * G_m_s2 / 32768
    gyro_step = math.radians(options.gyroscope_range_deg_s) / 32768
    words = []
    for place, step in ((0, accel_step), (1, accel_step), (2, accel_step), (3, gyro_step), (4, gyro_step), (5, gyro_step)):
        value = values[place]
        assert isinstance(value, float)
        words.append(round(value / step))
    return words


def number_in(sample: Sample, options: Options) -> int:
    """See Stand.number."""
    return number_of(words_of(list(sample.values.values()), options))


def good(got: Sequence[Got]) -> list[Got]:
    """Those of quality good."""
    return [one for one in got if one.sample.quality is Quality.GOOD]


def bad(got: Sequence[Got]) -> list[Got]:
    """Those of quality bad, which have nothing but nulls."""
    found = [one for one in got if one.sample.quality is Quality.BAD]
    assert all(value is None for one in found for value in one.sample.values.values())
    return found


def gaps_ns(got: Sequence[Got]) -> list[int]:
    """Between neighbours."""
    return [after.moment_ns - before.moment_ns for before, after in itertools.pairwise(got)]
