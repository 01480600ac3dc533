"""What the bridge does to the disk, as a process of its own: commits of several sensors, sinks that read and store, pictures, trimming.

Says on stdout, a line of JSON each time, what it may promise from now on: which batch of each run is safe (this is what a worker
is told), what is in the embedded store, and a fingerprint of everything in the spool. `python -m tests.lab.load ROOT SEED COMMITS`;
after them one of the faults that the laboratory must find.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import zlib
from pathlib import Path

import msgspec

from edgegw.errors import SinkError, SpoolError
from edgegw.reading import Attachment, Batch, Counts, Run
from edgegw.sinks.sqlite import SQLiteSink
from edgegw.spool import Closed, Commit, Handed, Reader, Spool
from tests.records import a_reading, a_run
from tests.spooling import letter

RUNS = [a_run(number, sensor=f"sensor-{number}") for number in range(4)]
SINKS, OUTBOXES = ["sqlite", "rabbitmq", "box"], ["box"]
STEP = 100  # seqs from one batch of a run to the next
FAULTS = ("spool-normal", "store-normal", "said-too-early")


class Promise(msgspec.Struct):
    """What must be true from now on, whatever happens."""

    acked: dict[str, int]  # run → number of its last batch that is safe
    stored: dict[str, int]  # run → number of its last batch in the embedded store
    fingerprint: int  # of everything in the spool


def the_batch(run: Run, number: int) -> Batch:
    """Batch `number` of a run: always the same, and like no other."""
    first, count = number * STEP, 1 + number * 37 % 60
    readings = tuple(a_reading(seq, (seq / 7, seq % 1000, number / 3)) for seq in range(first, first + count))
    return Batch(run.id, "lidar", Counts(produced=first + count), readings)


def open_spool(root: Path) -> Spool:
    """The spool below `root`."""
    return Spool(root / "state" / "spool.db", SINKS, outboxes=OUTBOXES)


def fingerprint(root: Path) -> int:
    """Of every row of every table of the spool."""
    db = sqlite3.connect(f"file:{root}/state/spool.db?mode=ro", uri=True)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        rows = sorted(repr((name, row)) for name in names for row in db.execute(f"SELECT * FROM {name}"))
    finally:
        db.close()
    return zlib.crc32("".join(rows).encode())


class Load:
    """One life of a bridge."""

    def __init__(self, root: Path, seed: int, fault: str) -> None:
        self.root, self.rng, self.fault = root, random.Random(seed), fault
        self.spool = open_spool(root)
        self.store = SQLiteSink(root / "state" / "store.db")
        self.store.open()
        if fault == "spool-normal":
            self.spool._db.execute("PRAGMA synchronous=NORMAL")
        if fault == "store-normal":
            self.store._opened().execute("PRAGMA synchronous=NORMAL")
        self.reader = Reader(self.spool.path)
        self.acked = {run.id: self.spool.acked(run.id) for run in RUNS}
        self.stored = dict.fromkeys(self.acked, -1)
        self.cursors = self.spool.cursors()
        self.say()

    def say(self) -> None:
        """What is promised from now on."""
        os.write(1, msgspec.json.encode(Promise(self.acked, self.stored, fingerprint(self.root))) + b"\n")

    def step(self) -> None:
        """What a bridge does in one turn."""
        chance = self.rng.random()
        if chance < 0.02:
            self.spool.purge()
        else:
            self.commit(trim=chance < 0.9)
        self.say()
        if chance < 0.5:
            self.deliver()

    def commit(self, *, trim: bool) -> None:
        rng = self.rng
        runs = rng.sample(RUNS[:3], rng.randint(0, 3))
        numbers = {run.id: self.acked[run.id] + 1 for run in runs}
        if self.fault == "said-too-early":
            self.acked |= numbers
            self.say()
        letters = [letter("rabbitmq", run, rng.randrange(1000)) for run in runs if rng.random() < 0.1]
        closed = [Closed(RUNS[3], Counts(rng.randrange(100)))] if rng.random() < 0.1 else []
        handed = [Handed(run, numbers[run.id], the_batch(run, numbers[run.id]), self.pictures(numbers[run.id])) for run in runs]
        self.spool.commit(Commit(handed, dict(self.cursors), letters=letters, closed=closed, trim=trim))
        self.acked |= numbers

    def pictures(self, number: int) -> dict[int, Attachment]:
        if self.rng.random() > 0.1:
            return {}
        return {number * STEP: Attachment("image/jpeg", self.rng.randbytes(self.rng.randrange(1, 60_000)), 3)}

    def deliver(self) -> None:
        """The embedded store gets what it has not got; the other sinks are somewhere behind."""
        records, damaged = self.reader.after(self.cursors["sqlite"], self.rng.choice([1, 100, 1000]))
        assert not damaged
        if records:
            self.store.deliver(records)
            self.stored |= {record.run.id: record.batch.first_seq // STEP for record in records}
            self.cursors["sqlite"] = records[-1].position
        for sink in ("rabbitmq", "box"):
            self.cursors[sink] = self.rng.randint(self.cursors[sink], self.cursors["sqlite"])
        self.say()

    def close(self) -> None:
        """As a gateway that is stopped."""
        self.reader.close()
        self.spool.close()
        self.store.close()


def main(root: str, seed: str, commits: str, fault: str = "") -> None:
    """A life of so many turns; some end in an ordinary stop, some just end; the first error is the end, too."""
    try:
        load = Load(Path(root), int(seed), fault)
        for _ in range(int(commits)):
            load.step()
    except (SpoolError, SinkError) as error:
        os.write(2, f"{error}\n".encode())
        os._exit(1)  # without closing anything
    if load.rng.random() < 0.5:
        load.close()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
