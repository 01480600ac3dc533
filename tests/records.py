"""Runs, readings and records for tests that need some."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from edgegw.reading import Batch, ClockState, Counts, Quality, Reading, Record, Run, Value
from edgegw.sinks.schema import KINDS

START_ns = 1_795_228_291_123_456_789  # 2026-11-21 02:31:31.123456789 UTC
BOOT_ns = 81_234_567_890
_positions = itertools.count(1)


def a_run(number: int = 0, sensor: str = "front", gateway: str = "pi-7", kinds: Mapping[str, Mapping[str, str]] | None = None) -> Run:
    """A run with a different id for every number; its fields are those of the named kinds."""
    fields = {kind: dict(of) for kind, of in (kinds or {"lidar": KINDS["lidar"]}).items()}
    return Run(gateway, sensor, "tfluna", f"0198c0de-0000-7000-8000-{number:012d}", "b007" * 8, START_ns, fields)


def a_reading(seq: int, values: Sequence[Value], time_ns: int | None = None) -> Reading:
    """A good reading; a hundred a second by default."""
    at_ns = seq * 10_000_000
    when = START_ns + at_ns if time_ns is None else time_ns
    return Reading(seq, when, BOOT_ns + at_ns, ClockState.SYNCED, Quality.GOOD, tuple(values))


def a_record(run: Run, readings: Iterable[Reading], kind: str = "lidar") -> Record:
    """Readings as one record of the spool."""
    return Record(next(_positions), run, Batch(run.id, kind, Counts(), tuple(readings)))


def lidar(run: Run, seqs: Iterable[int]) -> Record:
    """A record of lidar readings with these seqs."""
    return a_record(run, [a_reading(seq, (seq / 7, seq % 1000, 41.5)) for seq in seqs])


def part(record: Record, start: int, end: int) -> Record:
    """Readings start to end - 1 of a record, as when a delivery is halved."""
    return msgspec.structs.replace(record, batch=msgspec.structs.replace(record.batch, readings=record.batch.readings[start:end]))
