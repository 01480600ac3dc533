"""What a virtual TF-Luna sees, in all the formats that the device can write it, and how it may misbehave."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from workers.virtual.asked import behaviour_as

Fraction = Annotated[float, Meta(ge=0, le=1)]
HEADER = 0x5959
# Frames that hold a header where none is: in the strength, or as the sum with the next frame's first byte.
KILLERS = {"a": bytes.fromhex("595959005959C8088D"), "b": bytes.fromhex("595996004001C80859")}


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a virtual sensor does beside measuring; fractions are of its frames."""

    noise: Annotated[Fraction, Meta(description="fraction of frames that 1 to 20 random bytes come before")] = 0.0
    bad_sum: Annotated[Fraction, Meta(description="fraction of frames with a wrong checksum")] = 0.0
    lost: Annotated[Fraction, Meta(description="fraction of frames that lack one byte")] = 0.0
    doubled: Annotated[Fraction, Meta(description="fraction of frames that have one byte twice")] = 0.0
    weak: Annotated[Fraction, Meta(description="fraction of frames whose echo is too weak")] = 0.0
    saturated: Annotated[Fraction, Meta(description="fraction of frames with an over-exposed receiver")] = 0.0
    ambient: Annotated[Fraction, Meta(description="fraction of frames blinded by sunlight")] = 0.0
    weak_style: Annotated[Literal["0", "65535"], Meta(description="the distance of a weak echo: 0 as newer firmware, 65535 as older")] = "0"
    killer: Annotated[Literal["", "a", "b"], Meta(description="send nothing but this frame, which misleads a careless parser")] = ""
    burst: Annotated[int, Meta(ge=1, le=1000, description="how many frames come at once, as from a slow USB bridge")] = 1
    silence_every_s: Annotated[float, Meta(ge=0, description="fall silent once in so many seconds; 0: never")] = 0.0
    silence_s: Annotated[float, Meta(ge=0, description="how long such a silence lasts")] = 1.0
    silent_beyond_cm: Annotated[int, Meta(ge=0, description="send nothing of what is farther away, as in its silence mode; 0: all")] = 0
    hang_after_s: Annotated[float, Meta(ge=0, description="stop sending after so long, until it is reset; 0: never")] = 0.0
    deaf: Annotated[bool, Meta(description="hear no command, as without a wire to its RX")] = False
    stubborn: Annotated[bool, Meta(description="answer every change with the setting as it was")] = False
    reads_back: Annotated[bool, Meta(description="tell settings when it is asked, as newer firmware does")] = True
    old_sums: Annotated[bool, Meta(description="answer with the sums of the first manual, one too low in a status")] = False
    saving_s: Annotated[float, Meta(ge=0, description="how long writing its flash takes; it does nothing else meanwhile")] = 0.3
    baud: Annotated[int, Meta(ge=9600, le=921600, description="the speed it has been set to")] = 115200
    format: Annotated[int, Meta(ge=1, le=10, description="the output format it has been set to: 1 cm, 2 text, 6 mm, 7 to 10")] = 1
    seed: Annotated[int | None, Meta(description="the same seed, the same readings; without it every sensor moves its own way")] = None


def behaviour_of(values: Mapping[str, str]) -> Behaviour:
    """From text, as on a command line or in a port's name. Raises DriverError, with a suggestion for a misspelt name."""
    return behaviour_as(Behaviour, "tfluna", values)


class Measured(NamedTuple):
    """One measurement."""

    distance_cm: float
    strength: int
    temperature_degC: float
    at_s: float


class Scene:
    """What the sensor looks at: something that comes and goes between 0.3 and 6 m, while the chip warms up."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._period_s = self._random.uniform(15, 30)
        self._phase = self._random.uniform(0, math.tau)

    def measured(self, at_s: float, behaviour: Behaviour) -> Measured:
        """What the device makes of it `at_s` seconds after power-up."""
        true_cm = 315 + 285 * math.sin(math.tau * at_s / self._period_s + self._phase)
        strength = min(25_000, round(6000 * (100 / true_cm) ** 2))  # the light spreads over the square of the distance
        # a repeatability of about 3 cm with weak light and 0.5 cm with plenty
        distance_cm = max(1.0, self._random.gauss(true_cm, 0.5 if strength > 2000 else 2.0))
        return Measured(*self._disturbed(distance_cm, strength, behaviour), 45 - 20 * math.exp(-at_s / 300), at_s)

    def _disturbed(self, distance_cm: float, strength: int, behaviour: Behaviour) -> tuple[float, int]:
        draw = self._random.random()
        if draw < behaviour.weak:
            return int(behaviour.weak_style), self._random.randrange(100)
        if draw - behaviour.weak < behaviour.saturated:
            return distance_cm, 65535
        if draw - behaviour.weak - behaviour.saturated < behaviour.ambient:
            return distance_cm, self._random.randrange(32769, 65535)
        return distance_cm, strength


def encoded(measured: Measured, form: int) -> bytes:
    """A measurement as the device sends it in that output format."""
    cm, strength, ms = round(measured.distance_cm), measured.strength, round(measured.at_s * 1000) & 0xFFFFFFFF
    chip = round((measured.temperature_degC + 256) * 8)
    match form:
        case 2:
            return f"{measured.distance_cm / 100:.2f}\r\n".encode()
        case 6:
            return summed(struct.pack("<HHHH", HEADER, min(65535, round(measured.distance_cm * 10)), strength, chip))
        case 7:
            return summed(struct.pack("<HHHI", HEADER, cm, strength, ms))
        case 8:
            return summed(struct.pack("<BBBHHI", 0x5A, 0x0C, 0, cm, strength, ms))
        case 9:
            return struct.pack("<HHI", cm, strength, ms)
        case 10:
            return summed(struct.pack("<BBBHHIB", 0x5A, 0x0D, 0, cm, strength, ms, 0x10))
    return summed(struct.pack("<HHHH", HEADER, cm, strength, chip))


def summed(raw: bytes) -> bytes:
    """With the sum that closes every message of the device."""
    return raw + bytes([sum(raw) & 0xFF])
