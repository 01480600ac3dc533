"""What must hold of a bridge's files after a power cut: all that was promised, each batch whole and once, and books that agree."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import defaultdict
from pathlib import Path

import msgspec

from edgegw.reading import Run
from edgegw.sinks.sqlite import SQLiteSink
from edgegw.spool import Spool
from tests.lab import kept
from tests.lab.load import RUNS, STEP, Promise, fingerprint, open_spool, the_batch
from tests.spooling import handed, held

OPENS_s = 10  # the matrix says 1, on a machine that does nothing else


def judge(root: Path, promised: Promise, allowed: set[int]) -> float:
    """Open what a cut has left; how long that took, in seconds. AssertionError where a promise is broken.

    `allowed` are the fingerprints of the last commit that had returned, and of the one that was under way.
    """
    before = time.monotonic()
    spool = open_spool(root)
    opened_s = time.monotonic() - before
    try:
        assert spool.set_aside is None, "the spool was ruined"
        assert opened_s < OPENS_s, f"opening took {opened_s:.1f} s"
        assert _is_sound(spool.path), "the spool's structure is broken"
        found = Promise({run.id: spool.acked(run.id) for run in RUNS}, _stored(root), fingerprint(root))
        assert found.fingerprint in allowed, "the spool holds neither what the last commit left nor what the next one would have"
        for run in RUNS:
            assert found.acked[run.id] >= promised.acked[run.id], f"an acknowledged batch of {run.sensor} is lost"
            assert found.stored[run.id] >= promised.stored[run.id], f"a batch of {run.sensor} that the store had is lost"
            _judge_run(spool, run, found)
    finally:
        spool.close()
    return opened_s


def judge_batches(root: Path, safe: int, what: str, *, may_be_ruined: bool = False) -> None:
    """Of a spool of `tests.lab.kept`: all batches below `safe` are there, whole and once, and at most one that was not called safe."""
    spool = Spool(root / "spool.db", ["mysql"])
    try:
        assert spool.set_aside is None or may_be_ruined, what
        count = spool.acked(kept.RUN.id) + 1
        assert safe <= count <= safe + 1, f"{what}: {safe} batches were called safe, {count} are there"
        batches = held(spool.path)
        first = batches[0].first_seq // kept.EACH if batches else 0
        assert batches == [handed(kept.RUN, number, number * kept.EACH, kept.EACH).batch for number in range(first, count)], what
        assert _is_sound(spool.path), what
    finally:
        spool.close()


def merged(earlier: Promise, later: Promise) -> Promise:
    """Both promises."""
    stored = {run: max(number, earlier.stored[run]) for run, number in later.stored.items()}
    return msgspec.structs.replace(later, stored=stored)


def _judge_run(spool: Spool, run: Run, found: Promise) -> None:
    """Each batch up to the last one is in the spool, whole and once, or in the store; and the book counts them all."""
    numbers = [batch.first_seq // STEP for batch in held(spool.path) if batch.run == run.id]
    assert [batch for batch in held(spool.path) if batch.run == run.id] == [the_batch(run, number) for number in numbers]
    assert numbers == sorted(set(numbers)), "a batch is there twice, or in another's place"
    assert set(numbers) | set(range(found.stored[run.id] + 1)) == set(range(found.acked[run.id] + 1)), "a batch is nowhere"
    count = sum(len(the_batch(run, number).readings) for number in range(found.acked[run.id] + 1))
    with contextlib.closing(sqlite3.connect(spool.path)) as db:
        assert (db.execute("SELECT kept FROM run WHERE id = ?", (run.id,)).fetchone() or (0,))[0] == count, "the book does not agree"


def _stored(root: Path) -> dict[str, int]:
    """Run → number of its last batch in the embedded store; those before it must be there, too, and whole."""
    sink = SQLiteSink(root / "state" / "store.db")
    sink.open()
    sink.close()
    assert _is_sound(root / "state" / "store.db"), "the store's structure is broken"
    with contextlib.closing(sqlite3.connect(root / "state" / "store.db")) as db:
        seqs = defaultdict(set)
        for run_id, seq in db.execute("SELECT uuid, seq FROM lidar JOIN run USING (run_id)"):
            seqs[run_id].add(seq)
    for run in RUNS:
        whole = {reading.seq for number in range(_last(seqs[run.id]) + 1) for reading in the_batch(run, number).readings}
        assert seqs[run.id] == whole, "the store has a part of a batch"
    return {run.id: _last(seqs[run.id]) for run in RUNS}


def _last(seqs: set[int]) -> int:
    return max(seqs) // STEP if seqs else -1


def _is_sound(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
