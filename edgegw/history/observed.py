"""What came out at one place, as rows that can be compared: out of either store's tables, or out of messages of the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

KIND = "metronome"
# Both stores understand it; the caller asks it.
ROWS = (
    "SELECT s.`name`, r.`uuid`, m.`seq`, m.`life`, m.`tick`, m.`value`, m.`text` FROM `metronome` AS m"
    " JOIN `run` AS r ON r.`run_id` = m.`run_id` JOIN `sensor` AS s ON s.`sensor_id` = m.`sensor_id`"
)


class Row(NamedTuple):
    """A reading as it was found; what is None or of another type has been spoilt on its way."""

    sensor: str
    run: str
    seq: int
    life: object
    tick: object
    value: object
    text: object
    rest: object = ()  # what else must be equal where the same reading comes twice: its times, quality, clock


class Observed(msgspec.Struct, frozen=True):
    """All that was found at `place`."""

    place: str
    rows: tuple[Row, ...]
    repeats: bool = False  # whether a reading may come twice there, as at a broker that promises "at least once"


def from_table(place: str, rows: Iterable[Sequence[Any]]) -> Observed:
    """What ROWS gave, which is every row of a store, once or the store has failed."""
    return Observed(place, tuple([Row(str(row[0]), str(row[1]), int(row[2]), row[3], row[4], row[5], row[6]) for row in rows]))


def from_messages(place: str, bodies: Iterable[Mapping[str, Any]]) -> Observed:
    """Decoded message bodies in the order of their arrival; other kinds than the metronome's are passed over."""
    rows = [_row(body, reading) for body in bodies if body["kind"] == KIND for reading in body["readings"]]
    return Observed(place, tuple(rows), repeats=True)


def _row(body: Mapping[str, Any], reading: Mapping[str, Any]) -> Row:
    values = reading["values"]
    rest = tuple([reading.get(name) for name in ("time_ns", "boot_ns", "clock", "quality")])
    life, tick, value, text = [values.get(name) for name in ("life", "tick", "value", "text")]
    return Row(body["sensor"], body["run"], reading["seq"], life, tick, value, text, rest)
