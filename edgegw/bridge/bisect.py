"""Finding the poison in a delivery that a sink rejects: halve until it is alone, deliver the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edgegw.errors import Rejected
from edgegw.reading import Reading, Record

Deliver = Callable[[Sequence[Record]], None]


def isolate(records: Sequence[Record], deliver: Deliver) -> list[tuple[Record, Rejected]]:
    """Deliver all of `records` but what is rejected; returns the rejected, each as a record of one reading, with the reason.

    A poison among n readings costs about 2·log2(n) deliveries. Other errors pass through; redelivering is harmless.
    """
    try:
        deliver(records)
    except Rejected as rejected:
        if len(records) == 1 and len(records[0].batch.readings) == 1:
            return [(records[0], rejected)]
        left, right = halve(records)
        return isolate(left, deliver) + isolate(right, deliver)
    return []


def halve(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Two parts with half of the readings each; the record in the middle is cut in two, where it must be."""
    left, right = list[Record](), list[Record]()
    room = sum(len(record.batch.readings) for record in records) // 2
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
