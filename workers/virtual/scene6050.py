"""What a virtual MPU6050 feels, and how wrong it is about it: motion, bias, scale, noise, self-test. Standard library only.

One body serves the chip in this process and the one behind a simulated /dev/i2c-1, whose server runs under the
system's own interpreter; so nothing here imports edgegw or msgspec.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from workers.virtual.registers6050 import ACCEL_TRIM, GYRO_TRIM, accel_trim_g, gyro_trim_dps

Vector = tuple[float, float, float]
Side = Literal["x", "-x", "y", "-y", "z", "-z"]
AXES = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")

G_LSB = (16384.0, 8192.0, 4096.0, 2048.0)  # per g, by AFS_SEL (PS 6.2)
DPS_LSB = (131.0, 65.5, 32.8, 16.4)  # per °/s, by FS_SEL (PS 6.1)
ACCEL_BANDWIDTH_Hz = (260, 184, 94, 44, 21, 10, 5, 260)  # by DLPF_CFG (RM 1A)
GYRO_BANDWIDTH_Hz = (256, 188, 98, 42, 20, 10, 5, 256)
ACCEL_DELAY_ms = (0.0, 2.0, 3.0, 4.9, 8.5, 13.8, 19.0, 0.0)
GYRO_DELAY_ms = (0.98, 1.9, 2.8, 4.8, 8.3, 13.4, 18.6, 0.98)
ACCEL_NOISE_g, GYRO_NOISE_dps = 400e-6, 0.005  # per √Hz (PS 6.1, 6.2)
GYRO_SETTLES_s = 0.01  # start-up takes 30 ms (PS 6.1): the output is wild at first and calm to a twentieth by then

RESPONSE = (0.96, 1.03, 0.98, 1.04, 0.97, 1.02)  # of the self-test against those notes; 14 % either way is healthy (PS 6.1)
BROKEN_RESPONSE = 0.4

COUNTS = 4096  # numbers that a counted sample can carry before they begin again


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a virtual chip does beside measuring. Fractions are of its transfers; "every" counts from power-up, 0 is never."""

    scene: Literal["motion", "rest", "count", "constant"] = "motion"  # count: every sample carries its number; see `counted`
    constant: tuple[int, int, int, int, int, int, int] = (0, 0, 16384, -3920, 131, -262, 66)  # raw words, as the registers have them
    up: Side = "z"  # the side that lies on top: at rest its axis reads +1 g, or -1 g with a minus
    tilt_deg: float = 0.0  # by which it rests on a crooked table
    motion: float = 1.0  # how far it swings; 100 saturates
    identity: Literal["68", "70", "72", "98"] = "68"  # WHO_AM_I in hexadecimal: the others are clones
    fifo_bytes: int = 0  # a clone's whose maker saved some of it; 0: as the part has it
    temperature_degC: float = 25.0
    noise: float = 1.0  # times what the datasheet says
    gyro_bias_dps: Vector = (0.9, -1.4, 0.6)
    drift_dps_s: float = 0.0  # the bias of every gyro axis grows by so much a second
    accel_offset_g: Vector = (0.02, -0.03, 0.05)
    accel_scale: Vector = (1.01, 0.99, 1.02)
    trimmed: bool = True  # whether the factory noted how it answers its self-test
    broken: Literal["", "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"] = ""  # hardly answers its self-test
    clock_error: float = 0.01  # its samples come faster than nominal by this fraction
    status_gated: bool = False  # INT_STATUS shows only what INT_ENABLE allows: parts differ, and the manual does not say
    nack: float = 0.0  # EREMOTEIO
    io_error: float = 0.0  # EIO
    time_out: float = 0.0  # ETIMEDOUT, at once
    again: float = 0.0  # EAGAIN
    burst: int = 1  # how many transfers in a row such a failure takes
    partly: bool = False  # what fails has moved half of its bytes before: the FIFO is short of them, INT_STATUS is cleared
    torn: float = 0.0  # fraction of FIFO_COUNT's readings that catch the chip in the middle of writing a packet
    bus_hz: float = 0.0  # transfers take their time, nine clocks a byte; 0: none
    stuck_every_s: float = 0.0  # something holds SDA low…
    stuck_lasts_s: float = 2.0  # …for so long…
    stuck_s: float = 0.2  # …and every transfer meanwhile takes this long, then ETIMEDOUT; the kernel's own limit is 1 s
    brown_out_every_s: float = 0.0  # all registers fall back to their reset values, and nobody is told
    freeze_every_s: float = 0.0  # samples repeat until the device is reset
    silence_every_s: float = 0.0  # no new samples…
    silence_s: float = 1.0  # …for so long
    absent: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        fractions = (self.nack, self.io_error, self.time_out, self.again)
        if min(fractions) < 0 or sum(fractions) > 1:
            raise ValueError("nack, io_error, time_out and again are fractions of the transfers, together 1 at most")
        if not (0 <= self.torn <= 1 and self.bus_hz >= 0):
            raise ValueError("torn is a fraction from 0 to 1, and bus_hz is not negative")
        if not -0.15 <= self.clock_error <= 0.15:
            raise ValueError("clock_error is a fraction between -0.15 and 0.15")
        if self.burst < 1:
            raise ValueError("burst is at least 1")


class Settings(NamedTuple):
    """What the registers say about how to measure."""

    accel_range: int  # AFS_SEL
    gyro_range: int  # FS_SEL
    filter: int  # DLPF_CFG
    accel_test: int  # three bits, X highest
    gyro_test: int


class Body:
    """What is soldered to the chip, and its transducers with their errors."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._random = random.Random(behaviour.seed)
        self._phase = self._random.uniform(0, math.tau)

    def words(self, number: int, at_s: float, awake_s: float, settings: Settings) -> Sequence[int]:
        """Accelerometer X Y Z, temperature, gyroscope X Y Z: words as the registers hold them."""
        behaviour = self.behaviour
        if behaviour.scene == "count":
            return counted(number)
        if behaviour.scene == "constant":
            return behaviour.constant
        accel_g = self._accel_g(at_s - ACCEL_DELAY_ms[settings.filter] / 1000, settings)
        gyro_dps = self._gyro_dps(at_s - GYRO_DELAY_ms[settings.filter] / 1000, awake_s, settings)
        a_lsb, g_lsb = G_LSB[settings.accel_range], DPS_LSB[settings.gyro_range]
        return (
            *(clipped(value * a_lsb) for value in accel_g),
            temperature_word(behaviour.temperature_degC, behaviour.identity),
            *(clipped(value * g_lsb) for value in gyro_dps),
        )

    def chance(self, fraction: float) -> bool:
        """A throw of its own dice."""
        return self._random.random() < fraction

    def attitude(self, at_s: float) -> Vector:
        """Roll, pitch and yaw in rad at that moment, in the order in which they undo each other: yaw first."""
        swing = self._swing()
        phase = self._phase
        return (
            swing * 0.20 * math.sin(math.tau * at_s / 7 + phase),
            swing * 0.15 * math.sin(math.tau * at_s / 11 + 2 * phase),
            swing * 0.30 * math.sin(math.tau * at_s / 17 + 3 * phase),
        )

    def true(self, at_s: float) -> tuple[Vector, Vector]:
        """Specific force in g and rotation in °/s, about the chip's axes, at that moment."""
        if self.behaviour.scene == "rest":
            tilt = math.radians(self.behaviour.tilt_deg)
            return turned((math.sin(tilt), 0.0, math.cos(tilt)), self.behaviour.up), (0.0, 0.0, 0.0)
        roll, pitch, _ = self.attitude(at_s)
        before, after = self.attitude(at_s - 5e-4), self.attitude(at_s + 5e-4)
        droll, dpitch, dyaw = ((b - a) * 1000 for a, b in zip(before, after, strict=True))
        force = (-math.sin(pitch), math.cos(pitch) * math.sin(roll), math.cos(pitch) * math.cos(roll))
        rate = (
            droll - dyaw * math.sin(pitch),
            dpitch * math.cos(roll) + dyaw * math.cos(pitch) * math.sin(roll),
            dyaw * math.cos(pitch) * math.cos(roll) - dpitch * math.sin(roll),
        )
        x, y, z = (math.degrees(value) for value in rate)
        return turned(force, self.behaviour.up), turned((x, y, z), self.behaviour.up)

    def _swing(self) -> float:
        return self.behaviour.motion if self.behaviour.scene == "motion" else 0.0

    def _accel_g(self, at_s: float, settings: Settings) -> list[float]:
        behaviour = self.behaviour
        force, _ = self.true(at_s)
        noise_g = behaviour.noise * ACCEL_NOISE_g * math.sqrt(ACCEL_BANDWIDTH_Hz[settings.filter])
        tested = [accel_trim_g(code) * self._response(axis) for axis, code in enumerate(ACCEL_TRIM)]
        return [
            force[i] * behaviour.accel_scale[i] + behaviour.accel_offset_g[i] + self._noise(noise_g) + _when(settings.accel_test, i, tested)
            for i in range(3)
        ]

    def _gyro_dps(self, at_s: float, awake_s: float, settings: Settings) -> list[float]:
        behaviour = self.behaviour
        _, rate = self.true(at_s)
        noise_dps = behaviour.noise * GYRO_NOISE_dps * math.sqrt(GYRO_BANDWIDTH_Hz[settings.filter])
        tested = [gyro_trim_dps(axis, code) * self._response(axis + 3) for axis, code in enumerate(GYRO_TRIM)]
        drift = behaviour.drift_dps_s * at_s + (50 * math.exp(-awake_s / GYRO_SETTLES_s) if awake_s < 0.5 else 0.0)
        return [
            rate[i] + behaviour.gyro_bias_dps[i] + drift + self._noise(noise_dps) + _when(settings.gyro_test, i, tested) for i in range(3)
        ]

    def _response(self, axis: int) -> float:
        return BROKEN_RESPONSE if AXES[axis] == self.behaviour.broken else RESPONSE[axis]

    def _noise(self, sigma: float) -> float:
        return self._random.gauss(0.0, sigma) if sigma else 0.0


def counted(number: int) -> list[int]:
    """Seven words that carry a sample's number and each its own place 1 to 7 in the lowest three bits: lost, doubled and rotated show."""
    base = number % COUNTS * 8 - 16384
    return [base + place for place in range(1, 8)]


def number_of(words: Sequence[int]) -> int:
    """The number that counted words carry; -1 where a word stands in another's place. Six words are those without temperature."""
    places = range(1, 8) if len(words) == 7 else (1, 2, 3, 5, 6, 7)
    numbers = {(word + 16384 - place) / 8 for word, place in zip(words, places, strict=True)}
    number = numbers.pop()
    return int(number) if not numbers and number.is_integer() else -1


def turned(vector: Vector, up: Side) -> Vector:
    """A vector of the level chip as its axes see it with another side on top."""
    x, y, z = vector
    return {"z": (x, y, z), "-z": (x, -y, -z), "x": (z, y, -x), "-x": (-z, y, x), "y": (x, z, -y), "-y": (x, -z, y)}[up]


def temperature_word(degC: float, identity: str) -> int:
    """As the part says it: slope and offset differ between the family's branches."""
    slope, offset = {"70": (333.87, 21.0), "98": (326.8, 25.0)}.get(identity, (340.0, 36.53))
    return clipped((degC - offset) * slope)


def clipped(value: float) -> int:
    """The nearest word: a saturated transducer gives the last one."""
    return max(-32768, min(32767, round(value)))


def _when(bits: int, axis: int, values: Sequence[float]) -> float:
    return values[axis] if bits >> (2 - axis) & 1 else 0.0
