"""How firmware writes a distance into a notification: the characteristics and bytes that are met in the field."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable

import msgspec

from workers.virtual.hcsr04.behaviour import Behaviour

Encode = Callable[[float | None, float], bytes]


class Profile(msgspec.Struct, frozen=True):
    """Where a format is found, and what it looks like."""

    service: str
    characteristic: str
    encode: Encode  # (distance in m or None, seconds since power-up) → payload
    resolution_m: float
    chunked: bool = False  # a serial line behind a radio: no message boundaries


def profile_of(behaviour: Behaviour) -> Profile:
    """Of the format, with what the behaviour says of it."""
    profile = _ALWAYS.get(behaviour.format) or _as_told(behaviour)
    return msgspec.structs.replace(profile, characteristic=behaviour.characteristic or profile.characteristic)


def _sig(short: str) -> str:
    """A 16-bit UUID in full."""
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


def _steps(layout: str, step_m: float, none: float) -> Encode:
    """One number, in steps of so many metres, and another that stands for no echo; whole ones where the layout wants them so."""
    fit = float if layout.strip("<>0123456789x") in "efd" else round
    return lambda distance_m, _: struct.pack(layout, fit(none if distance_m is None else distance_m / step_m))


def _line(behaviour: Behaviour, end: str) -> Encode:
    """As Serial.print writes it: one digit behind the point; pulseIn gives 0 when no echo came in time."""
    scale_m, none = behaviour.scale_m, behaviour.none
    return lambda distance_m, _: f"{none if distance_m is None else distance_m / scale_m:.1f}{end}".encode()


def _obs8(distance_m: float | None, at_s: float) -> bytes:
    """OpenBikeSensor: milliseconds since power-up, then left and right in cm; on the right there is no sensor."""
    return struct.pack("<IHH", round(at_s * 1000) & 0xFFFFFFFF, 0xFFFF if distance_m is None else round(distance_m * 100), 0xFFFF)


_ESP = ("4fafc201-1fb5-459e-8fcc-c5c9c331914b", "beb5483e-36c1-4688-b7f5-ea07361b26a8")  # of an example that thousands have copied
_NORDIC = ("6e400001-b5a3-f393-e0a9-e50e24dcca9e", "6e400003-b5a3-f393-e0a9-e50e24dcca9e")  # …0003 is what the peripheral sends
_HM10 = (_sig("ffe0"), _sig("ffe1"))
_OBS = ("1fe7faf9-ce63-4236-0004-000000000000", "1fe7faf9-ce63-4236-0004-000000000002")
BATTERY = _sig("2b18")  # voltage, in 1/64 V
_ALWAYS = {
    "u16-mm": Profile(*_ESP, _steps("<H", 0.001, 0xFFFF), 0.001),
    "u16-cm": Profile(*_ESP, _steps("<H", 0.01, 0xFFFF), 0.01),
    "f32-m": Profile(*_ESP, _steps("<f", 1.0, math.nan), 1e-6),
    "obs8": Profile(*_OBS, _obs8, 0.01),
    "sig-length": Profile(_sig("181a"), _sig("2c0a"), _steps("<I", 1e-7, 0xFFFFFFFF), 1e-6),
}


def _as_told(behaviour: Behaviour) -> Profile:
    """Of the formats that behaviour has a word in: text in any unit, and numbers laid out anyhow."""
    step_m = behaviour.scale_m / 10
    match behaviour.format:
        case "nordic-uart":
            return Profile(*_NORDIC, _line(behaviour, "\r\n"), step_m)
        case "hm10":
            return Profile(*_HM10, _line(behaviour, "\r\n"), step_m, chunked=True)
        case "custom" if behaviour.layout:
            return Profile(*_ESP, _steps(behaviour.layout, behaviour.scale_m, behaviour.none), behaviour.scale_m)
    return Profile(*_ESP, _line(behaviour, ""), step_m)


class Chunks:
    """An HM-10: it sends what its serial line has brought, 20 bytes at most, whenever it thinks fit."""

    LENGTH_bytes = 20

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._held = b""

    def cut(self, data: bytes) -> list[bytes]:
        """Nothing, a part of a line, or parts of several."""
        self._held += data
        chunks = []
        while len(self._held) > self.LENGTH_bytes:
            chunks.append(self._take(self.LENGTH_bytes))
        if self._random.random() < 0.7:
            chunks.append(self._take(self._random.randint(1, len(self._held))))
        return chunks

    def _take(self, length: int) -> bytes:
        chunk, self._held = self._held[:length], self._held[length:]
        return chunk
