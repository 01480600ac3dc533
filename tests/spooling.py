"""Batches for the spool's tests, and what a spool holds, read back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgegw import codec
from edgegw.reading import Batch, Counts, Letter, Run
from edgegw.spool import Commit, Handed, Reader, Spool, file
from tests.records import a_reading

ALL = 1_000_000  # readings: more than any test has


def batch(run: Run, first: int, count: int, counts: Counts | None = None, text: str = "") -> Batch:
    """Readings first to first + count - 1; no two batches have a payload in common."""
    readings = tuple(a_reading(seq, (seq / 7, seq, f"{text}{run.id}/{seq}")) for seq in range(first, first + count))
    return Batch(run.id, "lidar", counts or Counts(produced=first + count), readings)


def handed(run: Run, number: int, first: int, count: int = 3, counts: Counts | None = None) -> Handed:
    """A batch, as the bridge hands it over."""
    return Handed(run, number, batch(run, first, count, counts))


def filled(spool: Spool, run: Run, records: int, each: int = 3) -> list[Batch]:
    """Append `records` records of `each` readings, a commit for each; returns the batches."""
    batches = [batch(run, number * each, each) for number in range(records)]
    for number, one in enumerate(batches):
        spool.commit(Commit(handed=[Handed(run, number, one)]))
    return batches


def older(path: Path, form: int, run: Run, records: int, cursors: Mapping[str, int]) -> None:
    """A spool as the version with this format left it: records of three readings, and how far the sinks were."""
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(file.connect(path)) as db:
        db.executescript("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;")
        db.executescript(f"{file._TABLES} {file._ATTACHED if form > 1 else ''} PRAGMA user_version={form};")
        body = codec.encode_run(run)
        crc = file.checksum(run.id, body)
        book = (run.id, body, crc, records - 1, records * 3, records * 3)
        db.execute("INSERT INTO run (id, body, crc, acked, kept, produced) VALUES (?,?,?,?,?,?)", book)
        db.executemany("INSERT INTO cursor VALUES (?,?)", cursors.items())
        for number in range(records):
            payload = codec.encode_batch(batch(run, number * 3, 3))
            row = (run.id, 3, number * 3 + 3, file.checksum(run.id, payload), payload)
            db.execute("INSERT INTO record (run, count, total, crc, payload) VALUES (?,?,?,?,?)", row)


def letter(sink: str, run: Run, seq: int) -> Letter:
    """A reading that `sink` refused."""
    return Letter(sink, run, "lidar", batch(run, seq, 1).readings[0], "1406", "too long", 1)


def held(path: Path, position: int = 0) -> list[Batch]:
    """The batches behind `position`; none may be damaged."""
    reader = Reader(path)
    try:
        records, damaged = reader.after(position, ALL)
    finally:
        reader.close()
    assert damaged == []
    return [msgspec.structs.replace(record.batch) for record in records]
