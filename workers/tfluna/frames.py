"""Bytes of the TF-Luna's stream in, frames out; and what a frame says of its echo. Pure: no port, no time.

    59 59 DistL DistH AmpL AmpH TempL TempH Sum     unsigned; Sum is the low byte of the sum of the eight before it

The distance is in cm, or in mm where the device has been set so: on the wire the two cannot be told apart.
"""

from __future__ import annotations

import enum
import struct
from collections import Counter
from typing import NamedTuple

from edgegw.reading import Quality, Sample

HEADER, LENGTH_bytes = b"\x59\x59", 9
FIELDS = {"lidar": {"distance_m": float, "strength": int, "temperature_degC": float}}
CM, MM = 100, 1000  # units of distance in a metre
_NUMBERS = struct.Struct("<HHH")  # distance, strength, temperature of the chip


class Echo(enum.Enum):
    """What became of the light, as the table of this package has it: the quality, and whether the distance is kept."""

    VALID = ("valid", Quality.GOOD, True)
    NEAR = ("near", Quality.UNCERTAIN, True)
    FAR = ("far", Quality.UNCERTAIN, True)
    NONE = ("none", Quality.UNCERTAIN, False)
    WEAK = ("weak", Quality.UNCERTAIN, False)
    AMBIENT = ("ambient", Quality.BAD, False)
    SATURATED = ("saturated", Quality.BAD, False)

    def __init__(self, _word: str, quality: Quality, kept: bool) -> None:
        self.quality = quality
        self.kept = kept


def echo_of(distance_cm: float, strength: int, dummy_cm: int = 0) -> Echo:
    """Judge a frame's two numbers; strength comes first, since a blinded receiver still gives a distance."""
    if strength >= 32768:
        return Echo.SATURATED if strength == 65535 else Echo.AMBIENT
    if strength < 100:
        return Echo.WEAK
    if distance_cm in (0, dummy_cm) or distance_cm >= 32768:
        return Echo.NONE
    if distance_cm < 20:
        return Echo.NEAR
    return Echo.FAR if distance_cm > 800 else Echo.VALID


class Frame(NamedTuple):
    """A frame whose sum is right."""

    distance_m: float
    strength: int
    temperature_degC: float
    echo: Echo
    newer: int  # how many frames' worth of bytes had already come after it when it was taken

    def sample(self, period_ns: int, faults: int = 0) -> Sample:
        """As a reading to be; frames that came together are dated back by their distance from the last byte."""
        distance_m = self.distance_m if self.echo.kept else None
        values = {"distance_m": distance_m, "strength": self.strength, "temperature_degC": self.temperature_degC}
        return Sample(values, self.echo.quality, age_ns=self.newer * period_ns, faults=faults)


class Parser:
    """Bytes in, frames out, however the bytes are cut. Between two calls it keeps less than two frames.

    Of every byte it has been given: skipped_bytes + 9 * frames + len(pending).
    """

    def __init__(self, dummy_cm: int = 0, per_m: int = CM) -> None:
        self._dummy_cm = dummy_cm
        self._per_m = per_m
        self.pending = b""
        self.locked = False  # whether the beat of the frames is known
        self.frames = 0
        self.bad_sums = 0  # headers that no frame followed: a wrong sum, or a temperature that cannot be
        self.skipped_bytes = 0
        self.resyncs = 0  # times that the beat was lost
        self._faults_told = 0
        self.echoes: Counter[Echo] = Counter()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, oldest first."""
        data = self.pending + data
        frames: list[Frame] = []
        at = self._align(data, 0, 0)
        while len(data) - at >= LENGTH_bytes:
            if not _fits(data, at):
                self.bad_sums += 1
                at = self._align(data, at, at + 1)
            elif self.locked:
                frames.append(self._frame(data, at))
                at = self._align(data, at + LENGTH_bytes, at + LENGTH_bytes)
            elif len(data) - at < 2 * LENGTH_bytes:
                break  # one sum in 256 fits by chance: only a second frame right behind it makes the first one true
            elif _fits(data, at + LENGTH_bytes):
                self.locked = True
            else:
                at = self._align(data, at, at + 1)
        self.pending = data[at:]
        return frames

    def new_faults(self) -> int:
        """How often a frame was spoilt since the last call: a wrong sum, or the beat lost to stray or missing bytes."""
        faults = max(self.bad_sums, self.resyncs)  # a wrong sum mostly costs the beat, too: that is one fault, not two
        new, self._faults_told = faults - self._faults_told, faults
        return new

    def _align(self, data: bytes, start: int, at: int) -> int:
        """The next header from `at` on; what lies between `start` and it is skipped.

        After a bad sum `at` is one byte on, never nine: a header within a frame would hold the beat for ever.
        """
        found = data.find(HEADER, at)
        if found < 0:
            found = len(data) - (at < len(data) and data[-1] == HEADER[0])
        if found > start:
            self.skipped_bytes += found - start
            self.resyncs += self.locked
            self.locked = False
        return found

    def _frame(self, data: bytes, at: int) -> Frame:
        distance, strength, chip = _NUMBERS.unpack_from(data, at + 2)
        # from 32768 on it is a code in either format, and not a length
        echo = echo_of(distance if self._per_m == CM or distance >= 32768 else distance / 10, strength, self._dummy_cm)
        self.frames += 1
        self.echoes[echo] += 1
        newer = (len(data) - at) // LENGTH_bytes - 1
        return Frame(distance / self._per_m, strength, chip / 8 - 256, echo, newer)


def _fits(data: bytes, at: int) -> bool:
    """Whether nine bytes are a frame: header, sum, and a chip between -64 and 160 °C.

    The temperature is there for still targets: the frame 59 59 CC 00 59 59 C8 08 00, repeated, is as right when read from its
    fifth byte on, and only a chip at 6283 °C tells the two apart.
    """
    return data.startswith(HEADER, at) and 6 <= data[at + 7] <= 12 and sum(data[at : at + 8]) & 0xFF == data[at + 8]
