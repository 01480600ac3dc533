"""Leads a person through a calibration: leave the sensor alone for its gyroscope, lay it on its six sides for its accelerometer."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from edgegw.errors import DeviceError
from edgegw.reading import Sample
from workers.mpu6050.calibration import Calibration
from workers.mpu6050.decode import NAMES, Three
from workers.mpu6050.sides import SIDES, side_of, solved

RATE_hz = 100
WINDOW_samples = 50
REST_windows = 10  # 5 s
SIDE_windows = 4  # 2 s
# Standard deviations within a window: ten times the noise behind a filter of 42 Hz, a fifth of what a hand does.
QUIET_rad_s, QUIET_m_s2 = 0.01, 0.2
DRIFT_rad_s, DRIFT_m_s2 = 0.01, 0.15  # between the means of two windows: slow, even motion is quiet, too
FASTEST_rad_s = 0.5  # PS 6.1: 20 °/s of bias; what turns faster than 29 °/s turns

Steps = Generator[str | None, None, Calibration]


class Window(NamedTuple):
    """Half a second: the means of its figures, and whether they hardly changed."""

    acceleration: Three
    turning: Three
    quiet: bool

    def goes_with(self, other: Window) -> bool:
        """Whether the sensor lay still from one to the other."""
        return _near(self.turning, other.turning, DRIFT_rad_s) and _near(self.acceleration, other.acceleration, DRIFT_m_s2)


def rest(samples: Iterable[Sample | None], known: Calibration) -> Steps:
    """The gyroscope's bias, as the mean of five seconds without motion."""
    seconds = REST_windows * WINDOW_samples // RATE_hz
    yield f"Lay the sensor down and leave it alone: it has to lie still for {seconds} s."
    spoken = False
    for still in stretches(samples, REST_windows):
        if still is None:
            yield None
            continue
        if len(still) == REST_windows:
            return msgspec.structs.replace(known, gyro_bias_rad_s=_mean([window.turning for window in still]))
        if not still and not spoken:
            yield f"It moves. Leave it alone; the {seconds} s begin anew."
        spoken = not still
    raise DeviceError("the sensor gave no more samples")


def six(samples: Iterable[Sample | None], known: Calibration) -> Steps:
    """The accelerometer's offset and scale: gravity is the same on every side, so what differs is the sensor's error."""
    yield (
        f"Lay the sensor on each of its six sides, in any order, and leave it alone for {SIDE_windows * WINDOW_samples // RATE_hz} s each "
        f"time. Up is where the arrow printed beside the letter points to the ceiling. To be measured: {', '.join(SIDES)}."
    )
    found: dict[str, Three] = {}
    for still in stretches(samples, SIDE_windows):
        if still is None or len(still) < SIDE_windows:
            yield None
            continue
        acceleration = _mean([window.acceleration for window in still])
        side = side_of(acceleration)
        if side and side not in found:
            found[side] = acceleration
            if len(found) == len(SIDES):
                offset, scale = solved(found)
                return msgspec.structs.replace(known, accel_offset_m_s2=offset, accel_scale=scale)
            yield f"{side}: measured. Still to come: {_left(found)}."
        elif side:
            yield f"{side} has been measured already. Still to come: {_left(found)}."
        else:
            yield f"It lies on an edge; lay it on one of its sides. Still to come: {_left(found)}."
    raise DeviceError("the sensor gave no more samples")


def stretches(samples: Iterable[Sample | None], windows: int) -> Iterator[list[Window] | None]:
    """The windows of each stretch of stillness as it grows to that many; an empty list when it ends, and None in between."""
    still: list[Window] = []
    for window in _windows(samples):
        if window is None:
            yield None
        elif not window.quiet or (still and not window.goes_with(still[0])):
            still = []
            yield still
        elif len(still) < windows:
            still.append(window)
            yield still


def _windows(samples: Iterable[Sample | None]) -> Iterator[Window | None]:
    rows: list[list[float]] = []
    for sample in samples:
        yield None
        if sample is None:
            continue
        row = [value for name in NAMES[:6] if isinstance(value := sample.values[name], float)]
        rows = [*rows, row] if len(row) == 6 else []  # a gap: half a second without one is wanted
        if len(rows) == WINDOW_samples:
            yield _window(rows)
            rows = []


def _window(rows: Sequence[Sequence[float]]) -> Window:
    columns = list(zip(*rows, strict=True))
    x, y, z, turn_x, turn_y, turn_z = means = [_average(column) for column in columns]
    spread = [math.dist(column, [mean] * len(rows)) / math.sqrt(len(rows)) for column, mean in zip(columns, means, strict=True)]
    quiet = max(spread[:3]) < QUIET_m_s2 and max(spread[3:]) < QUIET_rad_s and max(map(abs, (turn_x, turn_y, turn_z))) < FASTEST_rad_s
    return Window((x, y, z), (turn_x, turn_y, turn_z), quiet)


def _mean(vectors: Sequence[Three]) -> Three:
    x, y, z = (_average(axis) for axis in zip(*vectors, strict=True))
    return x, y, z


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _near(one: Three, other: Three, within: float) -> bool:
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))


def _left(found: Collection[str]) -> str:
    return ", ".join(side for side in SIDES if side not in found)
