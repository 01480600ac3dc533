"""What a virtual HC-SR04 peripheral can be told to do, by name: its payloads, its radio link, and everything that can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from workers.virtual import asked

Fraction = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Word = Literal["nordic-uart", "hm10", "text", "u16-mm", "u16-cm", "f32-m", "obs8", "sig-length", "custom"]
Connect = Literal["works", "refused", "hangs", "lost"]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One peripheral, and of its adapter what concerns it. Fractions are of its measurements or notifications."""

    address: Annotated[str, Meta(pattern=r"^([0-9A-F]{2}:){5}[0-9A-F]{2}$", description="its Bluetooth address")] = "AA:BB:CC:DD:EE:01"
    name: Annotated[str, Meta(min_length=1, description="the name that it advertises")] = "HC-SR04"
    format: Annotated[Word, Meta(description="how its payloads are written")] = "u16-mm"
    characteristic: Annotated[str, Meta(description="UUID that it notifies on, in full; empty: the format's own")] = ""
    layout: Annotated[str, Meta(description="of a custom format, as in Python's struct, with one number; empty: text")] = ""
    scale_m: Annotated[float, Meta(gt=0, description="one unit of text and custom formats, in m")] = 0.01
    none: Annotated[float, Meta(description="what text and custom formats say for want of an echo, in units")] = 0.0
    battery_V: Annotated[float, Meta(ge=0, le=1000, description="its battery, to be read as 2B18 (1/64 V); 0: it tells of none")] = 0.0
    seed: Annotated[int | None, Meta(description="the same seed, the same readings; without it every sensor moves its own way")] = None

    rate_hz: Annotated[float, Meta(ge=0.1, le=100, description="measurements a second on average, each of them sent")] = 15.0
    no_echo: Annotated[Fraction, Meta(description="fraction of measurements without an echo")] = 0.0
    stuck_s: Annotated[Seconds, Meta(description="how long the echo line stays high after a missing echo, as with some clones")] = 0.0
    noise_m: Annotated[float, Meta(ge=0, le=1, description="spread of the measured distance, in m")] = 0.003
    garbage: Annotated[Fraction, Meta(description="fraction of notifications that random bytes are sent in place of")] = 0.0
    dropped: Annotated[Fraction, Meta(description="fraction of notifications that never arrive")] = 0.0
    silence_every_s: Annotated[Seconds, Meta(description="fall silent once in so many seconds; 0: never")] = 0.0
    silence_s: Annotated[Seconds, Meta(description="how long such a silence lasts")] = 1.0

    advertising: Annotated[bool, Meta(description="whether it can be found and connected to: 1 or 0")] = True
    stale: Annotated[bool, Meta(description="the kernel holds an old link to it: not to be found until the adapter was off and on")] = False
    held: Annotated[bool, Meta(description="an old link to it still looks connected: not to be found until that is disconnected")] = False
    forgotten: Annotated[bool, Meta(description="BlueZ forgets it as soon as the scan is over, so that connecting comes too late")] = False
    connect: Annotated[Connect, Meta(description="what becomes of a connection attempt: works, refused, hangs or lost")] = "works"
    connect_times: Annotated[Count, Meta(description="how many attempts meet that; 0: all")] = 0
    lost_after_s: Annotated[Seconds, Meta(description="lose the link so many seconds after each connect; 0: never")] = 0.0
    zombie_after_s: Annotated[Seconds, Meta(description="so long after each connect the link carries nothing any more; 0: never")] = 0.0
    eof_after_s: Annotated[Seconds, Meta(description="so long after each connect the notify socket is closed; 0: never")] = 0.0
    late_s: Annotated[Seconds, Meta(description="how long a lost link still looks connected")] = 0.0
    disconnect_s: Annotated[Seconds, Meta(description="how long BlueZ takes to disconnect it, with the link up meanwhile")] = 0.0

    powered: Annotated[bool, Meta(description="whether the adapter is switched on: 1 or 0")] = True
    power_s: Annotated[Seconds, Meta(description="how long the adapter takes to switch, and is busy meanwhile")] = 0.0
    in_progress: Annotated[Count, Meta(description="how many scans the adapter refuses because one were in progress")] = 0


def behaviour_of(values: Mapping[str, Any]) -> Behaviour:
    """From text, as on a command line or in a device's name. Raises DriverError, with a suggestion for a misspelt name."""
    return asked.behaviour_as(Behaviour, "hcsr04", values)


def values_of(text: str) -> dict[str, str]:
    """Of the pairs in "noise_m=0.01&seed=3". Raises DriverError for what is no pair."""
    return asked.values_of(text, "no_echo=0.1&seed=3")
