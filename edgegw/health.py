"""What a child tells the supervisor about itself, beside being alive; `status` and the demo show it."""

from __future__ import annotations

import msgspec

from edgegw.reading import Value


class Healed(msgspec.Struct, frozen=True):
    """What one rung of the recovery ladder has done for a sensor, since the gateway's runtime directory was made."""

    count: int = 0
    last_ns: int = 0  # wall clock


class SensorHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker's own view. Counts are of this run."""

    run: str = ""
    produced: int = 0
    dropped: int = 0
    filtered: int = 0  # produced, and held back as the configuration asks
    bad: int = 0  # readings of quality bad
    faults: int = 0  # what went wrong on the wire and was skipped
    window: int = 0  # readings that the bridge has not acknowledged yet
    rate_hz: float = 0.0  # over the last few seconds
    newest_ns: int = 0  # wall clock of the newest reading; 0: none yet
    newest: dict[str, Value] = {}
    rung: str = ""  # of the recovery ladder that is being tried; "" while all is well
    healed: dict[str, Healed] = {}  # by rung
    why: str = ""  # "" while all is well; else one plain sentence


class SharedHealth(msgspec.Struct, frozen=True):
    """Of a process that reads several sensors."""

    sensors: dict[str, SensorHealth]


class SinkHealth(msgspec.Struct, frozen=True):
    """One sink as the bridge sees it."""

    name: str
    up: bool
    delivered: int  # readings since the bridge started
    dead: int  # readings given up as poison since the bridge started
    lag: int  # readings in the spool that it has not got yet
    lag_s: float  # age of the oldest of them
    why: str = ""


class Crowded(msgspec.Struct, frozen=True):
    """A sensor that the spool has no room for."""

    sensor: str
    why: str  # what happens to its readings, the cause, and what to do
    for_s: float
    waiting: int  # readings that the bridge holds until there is room
    given_up: int  # readings given up since it began, as the configuration asks


class BridgeHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """The bridge's own view."""

    stored: int = 0  # readings committed to the spool since it started
    refused: int = 0  # messages on the bus that were none
    spool_bytes: int = 0
    crowded: tuple[Crowded, ...] = ()
    room: str = ""  # a warning that the spool is nearly full
    tap: str = ""  # why it takes no further listeners
    written_day_bytes: int = 0  # what the spool writes to its disk in a day, at the rate since the bridge started; 0: not known
    card: str = ""  # how long a memory card stands that
    sinks: tuple[SinkHealth, ...] = ()
    why: str = ""
