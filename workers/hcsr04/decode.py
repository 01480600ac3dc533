"""What notifications say: the conventions that peripherals keep, as data, and the two decoders that need them. Pure.

No convention has a way to say "no echo" that all keep to. Read as such are: NaN, infinity, zero and less (a sensor measures from
2 cm on, and pulseIn gives 0 for want of an echo), the numbers a format or the options name, and in text some words for it.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from typing import Protocol

import msgspec

Distance = float | None  # in m; None: no echo

UNITS_m = {"mm": 0.001, "cm": 0.01, "m": 1.0, "in": 0.0254}
LINE_bytes = 64  # "Distance: 123.45 cm" is 19; what is longer is none of these

_NORDIC_UART = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"  # …0003 is what the peripheral sends, though named after its TX
_HM10 = "0000ffe1-0000-1000-8000-00805f9b34fb"
_ESP32 = "beb5483e-36c1-4688-b7f5-ea07361b26a8"  # of an example that thousands have copied
_OBS = "1fe7faf9-ce63-4236-0004-000000000002"
_SIG_LENGTH = "00002c0a-0000-1000-8000-00805f9b34fb"


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One convention."""

    characteristic: str  # UUID of what it is notified on
    layout: str = ""  # of struct.unpack, with one number among its pad bytes; empty: text
    scale_m: float = 0.01  # metres per unit
    invalid: tuple[float, ...] = ()  # numbers that say "no echo", in units
    stream: bool = False  # text: a serial line, whose ends of line are the only boundaries


FORMATS = {
    "nordic-uart": Format(characteristic=_NORDIC_UART, stream=True),
    "hm10": Format(characteristic=_HM10, stream=True),
    "text": Format(characteristic=_ESP32),
    "u16-mm": Format(characteristic=_ESP32, layout="<H", scale_m=0.001, invalid=(0xFFFF,)),
    "u16-cm": Format(characteristic=_ESP32, layout="<H", invalid=(0xFFFF,)),
    "f32-m": Format(characteristic=_ESP32, layout="<f", scale_m=1.0),
    # u32 ms since power-up, u16 left, u16 right, in cm; its documentation says 0xFFF, its firmware 0xFFFF
    "obs8": Format(characteristic=_OBS, layout="<4xH2x", invalid=(0xFFFF, 0xFFF)),
    "sig-length": Format(characteristic=_SIG_LENGTH, layout="<I", scale_m=1e-7, invalid=(0xFFFFFFFF,)),
    "custom": Format(characteristic=_ESP32),
}

_LABEL = rb"\s*(?:[a-z][a-z _]{0,23}[ :=]\s*)?"  # "D:", "Distance = "
_NUMBER = re.compile(_LABEL + rb"([-+]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))\s*(mm|cm|m|in|inch|inches)?\s*", re.IGNORECASE)
_NO_ECHO = re.compile(
    _LABEL + rb"(?:no[ _-]?echo|out[ _-]?of[ _-]?range|[-+]?(?:nan|inf)|none|null|n/?a|oor|timeout|-+)\s*(?:mm|cm|m|in)?\s*", re.IGNORECASE
)
_LINE_END = re.compile(rb"[\r\n\x00]+")


class Decoder(Protocol):
    """Notifications in, distances out. `faults` counts what could not be read, since the beginning."""

    faults: int

    def feed(self, payload: bytes) -> list[Distance]:
        """What this notification completes, oldest first. Never raises."""

    def gap(self) -> None:
        """Notifications are missing before the next one."""


def decoder(form: Format) -> Decoder:
    """The one for this format."""
    if form.layout:
        return Packed(form)
    return Lines(form) if form.stream else Texts(form)


def distance_m(raw: float, scale_m: float, invalid: Iterable[float]) -> Distance:
    """A number in metres, or None where it says that there was no echo."""
    if not raw > 0 or any(math.isclose(raw, none, rel_tol=1e-6) for none in invalid):  # a float32 999.9 is not quite 999.9
        return None
    distance = raw * scale_m
    return distance if math.isfinite(distance) else None


def parsed_m(line: bytes, form: Format) -> Distance:
    """One line of text; the unit that stands in it counts more than the format's. Raises ValueError."""
    if number := _NUMBER.fullmatch(line):
        unit = (number[2] or b"").decode().lower().replace("inches", "in").replace("inch", "in")
        return distance_m(float(number[1]), UNITS_m.get(unit, form.scale_m), form.invalid)
    if _NO_ECHO.fullmatch(line):
        return None
    raise ValueError(line)


class Packed:
    """One number a notification, at a fixed place."""

    def __init__(self, form: Format) -> None:
        self.faults = 0
        self._form = form
        self._struct = struct.Struct(form.layout if form.layout[0] in "<>" else f"<{form.layout}")

    def feed(self, payload: bytes) -> list[Distance]:
        if len(payload) != self._struct.size:
            self.faults += 1
            return []
        (raw,) = self._struct.unpack(payload)
        return [distance_m(raw, self._form.scale_m, self._form.invalid)]

    def gap(self) -> None:
        """Each notification stands for itself."""


class Texts:
    """One line of text a notification, with an end of line or without."""

    def __init__(self, form: Format) -> None:
        self.faults = 0
        self._form = form

    def feed(self, payload: bytes) -> list[Distance]:
        return self._parsed(_LINE_END.split(payload))

    def gap(self) -> None:
        """Each notification stands for itself."""

    def _parsed(self, lines: Iterable[bytes]) -> list[Distance]:
        distances = []
        for line in filter(None, lines):
            try:
                distances.append(parsed_m(line, self._form))
            except ValueError:
                self.faults += 1
        return distances


class Lines(Texts):
    """Lines of text on a serial line, cut into notifications anyhow. Between two of them it keeps LINE_bytes at most.

    What comes before the first end of line is passed over: who tunes in amid "123.4" would read 23.4.
    """

    def __init__(self, form: Format) -> None:
        super().__init__(form)
        self._begun = b""
        self._tuned_in = False  # whether what comes next belongs to a line whose beginning is known

    def feed(self, payload: bytes) -> list[Distance]:
        *lines, self._begun = _LINE_END.split(self._begun + payload)
        if lines and not self._tuned_in:
            del lines[0]
            self._tuned_in = True
        distances = self._parsed(lines)
        if len(self._begun) > LINE_bytes:
            self.faults += self._tuned_in  # one fault a line, however long
            self._begun, self._tuned_in = b"", False
        return distances

    def gap(self) -> None:
        self._begun, self._tuned_in = b"", False
