"""Finding the poison in a delivery that a sink rejects: halve until it is alone, deliver the rest; and telling poison from a sick sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from edgegw.errors import Refused, Rejected
from edgegw.reading import Reading, Record

Deliver = Callable[[Sequence[Record]], None]
Poison = list[tuple[Record, Rejected]]
Key = tuple[str, str, int]  # sensor, run, seq

MANY: Final = 16  # rejected alone, one after the other: then it is worth asking whether anything is taken at all
_SENSORS = 2  # that must have been rejected alike; one alone may well be a sensor that measures nonsense


class Doubt:
    """What a sink has rejected since it last took anything, over several deliveries; one for each sink.

    A sink that rejects whatever it is given is sick, not the readings: a column was made narrower, a trigger added. Setting all of
    it aside would turn a backlog into dead letters. A code in small letters is a word of ours, said before anybody else had a look
    (not a number, no Unicode): that is poison in any case, and counts for nothing here. What is held against the sink once is poison
    where the sink rejects it again, having taken something else in between: so nothing is held for ever that is in its own way only.
    """

    def __init__(self) -> None:
        self._alike: dict[str, set[Key]] = {}  # by code, no more than it takes to be sure
        self._held: Key | None = None  # the reading for which the sink was blamed
        self._guilty: Key | None = None  # the same, once the sink has taken something else

    def weigh(self, poison: Poison, taken: bool) -> None:
        """After a delivery, of which something was `taken` or nothing. Raises Refused where the sink is to blame."""
        if taken:
            self._alike.clear()
            self._guilty, self._held = self._held or self._guilty, None
        elif self._guilty not in [_key(record) for record, _ in poison]:
            self._judge(poison)

    def _judge(self, poison: Poison) -> None:
        for record, rejected in poison:
            if not rejected.code.islower():
                self._note(_key(record), self._alike.setdefault(rejected.code, set()))
        for rejected in {rejected.code: rejected for _, rejected in reversed(poison)}.values():  # of each code the first
            alike = self._alike.get(rejected.code, set())
            sensors = {sensor for sensor, _, _ in alike}
            if len(sensors) >= _SENSORS and len(alike) >= MANY:
                self._held = _key(poison[0][0])
                raise Refused(
                    f"it rejects whatever it is given, readings of {len(sensors)} sensors alike: {rejected}; undo what was changed there"
                    " (columns, checks, triggers), for until then all waits and nothing is set aside"
                )

    def _note(self, key: Key, alike: set[Key]) -> None:
        if len(alike) < MANY or key[0] not in {sensor for sensor, _, _ in alike}:
            alike.add(key)


def isolate(records: Sequence[Record], deliver: Deliver, doubt: Doubt | None = None) -> Poison:
    """Deliver all of `records` but what is rejected; returns the rejected, each as a record of one reading, with the reason.

    A poison among n readings costs about 2·log2(n) deliveries; no n readings cost more than 2·n. Other errors pass through, and
    redelivering is harmless. With a `doubt`, raises Refused where nothing was taken and that is not the readings' fault.
    """
    poison: Poison = []
    taken = False
    waiting = [list(records)]  # the next one last
    while waiting:
        part = waiting.pop()
        if not taken and len(poison) >= MANY and _size(part) > 1:  # halves of what is all bad are tried for nothing
            waiting += reversed(_split(part, 1))
            continue
        try:
            deliver(part)
        except Rejected as rejected:
            if _size(part) == 1:
                poison.append((part[0], rejected))
            else:
                waiting += reversed(halve(part))
        else:
            taken = True
    if doubt is not None:
        doubt.weigh(poison, taken)
    return poison


def halve(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Two parts with half of the readings each; the record in the middle is cut in two, where it must be."""
    return _split(records, _size(records) // 2)


def _key(record: Record) -> Key:
    return record.run.sensor, record.batch.run, record.batch.first_seq


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.batch.readings) for record in records)


def _split(records: Sequence[Record], room: int) -> tuple[list[Record], list[Record]]:
    """The first `room` readings, and the others."""
    left, right = list[Record](), list[Record]()
    for record in records:
        readings = record.batch.readings
        left += [_part(record, readings[:room])] if room else []
        right += [_part(record, readings[room:])] if room < len(readings) else []
        room -= min(room, len(readings))
    return left, right


def _part(record: Record, readings: tuple[Reading, ...]) -> Record:
    if len(readings) == len(record.batch.readings):
        return record
    return msgspec.structs.replace(record, batch=msgspec.structs.replace(record.batch, readings=readings))
