"""Bytes of the chip into samples: seven words, high byte first, two's complement.

A word at either end of its range was clipped, so the true figure is at least that large: the sample is kept, as uncertain.
Seven times the same word was not measured (a chip that sleeps gives 0, a bus that nobody drives -1, an empty FIFO its last byte):
such a sample is bad, with null values. A chip that lives is never free of noise, so a sample that comes again and again, the same
to the last bit, is first uncertain and then bad.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from edgegw.reading import Quality, Value
from workers.mpu6050.calibration import Calibration
from workers.mpu6050.options import Options
from workers.mpu6050.registers import PACKET_bytes, STANDARD_GRAVITY_m_s2
from workers.mpu6050.setting import Setting

NAMES = (
    "acceleration_x_m_s2",
    "acceleration_y_m_s2",
    "acceleration_z_m_s2",
    "angular_velocity_x_rad_s",
    "angular_velocity_y_rad_s",
    "angular_velocity_z_rad_s",
    "temperature_degC",
    "roll_rad",
    "pitch_rad",
)
NOTHING: Mapping[str, Value] = MappingProxyType(dict.fromkeys(NAMES))

FROZEN_samples = 10
STALE = 5  # after a fifth of that many they are doubted
FROZEN_delays = 5  # behind a narrow filter neighbours differ little: the same words have to last so many of its delays

WORDS = struct.Struct(">7h")
_CLIPPED = frozenset((-32768, 32767))

Three = tuple[float, float, float]


class Attitude(Protocol):
    """What works out roll and pitch, in rad, from angular velocity in rad/s and acceleration in m/s²."""

    def update(self, angular_velocity: Three, acceleration: Three) -> tuple[float, float] | tuple[None, None]: ...


class Decoder:
    """Words in, values out, in SI units and by this chip's calibration. Keeps the last words, to tell whether the chip lives."""

    def __init__(self, options: Options, setting: Setting, attitude: Attitude | None = None) -> None:
        calibration = options.calibration or Calibration()
        accel_step = options.accelerometer_range_g * STANDARD_GRAVITY_m_s2 / 32768
        self._gyro_step = math.radians(options.gyroscope_range_deg_s) / 32768
        self._gyro_bias = calibration.gyro_bias_rad_s
        # (raw * step - offset) * scale, with what is constant worked out once
        self._accel_gain = [accel_step * scale for scale in calibration.accel_scale]
        self._accel_shift = [offset * scale for offset, scale in zip(calibration.accel_offset_m_s2, calibration.accel_scale, strict=True)]
        self._per_degC, self._zero_degC = setting.part.lsb_per_degC, setting.part.zero_degC
        self._attitude = attitude
        self._frozen_after = max(FROZEN_samples, FROZEN_delays * setting.filter.delay_ns // setting.period_ns)
        self._stale_after = self._frozen_after // STALE
        self._last: tuple[int, ...] = ()
        self._same = 0  # how often the last words have come again

    @property
    def dead(self) -> bool:
        """Whether the last words were none that a living chip measures."""
        return len(set(self._last)) == 1 or self._same >= self._frozen_after

    def forget(self) -> None:
        """The chip has been started anew."""
        self._last, self._same = (), 0

    def samples(self, data: bytes) -> Iterator[tuple[Mapping[str, Value], Quality]]:
        """Values and quality of each whole packet, oldest first; a rest that is none is not looked at."""
        for words in WORDS.iter_unpack(data[: len(data) // PACKET_bytes * PACKET_bytes]):
            yield self.sample(words)

    def sample(self, words: tuple[int, ...]) -> tuple[Mapping[str, Value], Quality]:
        """Values and quality of seven words."""
        if words == self._last:
            self._same += 1
        else:
            self._last, self._same = words, 0
        if self._same >= self._frozen_after or words[0] == words[1] == words[2] == words[3] == words[4] == words[5] == words[6]:
            return NOTHING, Quality.BAD
        values = self._values(words)
        clipped = not _CLIPPED.isdisjoint(words[:3]) or not _CLIPPED.isdisjoint(words[4:])
        return values, Quality.UNCERTAIN if clipped or self._same >= self._stale_after else Quality.GOOD

    def _values(self, words: tuple[int, ...]) -> Mapping[str, Value]:
        ax, ay, az, temperature, gx, gy, gz = words
        gain, shift, step, bias = self._accel_gain, self._accel_shift, self._gyro_step, self._gyro_bias
        x, y, z = ax * gain[0] - shift[0], ay * gain[1] - shift[1], az * gain[2] - shift[2]
        turn_x, turn_y, turn_z = gx * step - bias[0], gy * step - bias[1], gz * step - bias[2]
        roll, pitch = self._attitude.update((turn_x, turn_y, turn_z), (x, y, z)) if self._attitude else (None, None)
        return {
            "acceleration_x_m_s2": x,
            "acceleration_y_m_s2": y,
            "acceleration_z_m_s2": z,
            "angular_velocity_x_rad_s": turn_x,
            "angular_velocity_y_rad_s": turn_y,
            "angular_velocity_z_rad_s": turn_z,
            "temperature_degC": temperature / self._per_degC + self._zero_degC,
            "roll_rad": roll,
            "pitch_rad": pitch,
        }
