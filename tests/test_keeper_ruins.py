"""The keeper when the structure of its file breaks while it has it open: who notices, what is done about it, what the sinks get."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.bridge.gather import Step
from edgegw.bridge.keeper import RUINS, SALVAGING
from edgegw.bridge.timekeeper import Timekeeper
from edgegw.clock import NS_PER_S
from edgegw.reading import ClockState
from edgegw.spool.file import PAGE_bytes
from edgegw.testing import ListSink
from tests.records import a_run
from tests.services.base import until
from tests.spooling import handed, held
from tests.test_keeper import Bench

RUN = a_run(1)
BATCHES = 60


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    for number in range(BATCHES):
        bench.keeper.commit([handed(RUN, number, number * 50, 50)])
    yield bench
    bench.close()


def broken(path: Path, table: str) -> None:
    """The root of that table, in the file itself and under whatever the WAL has."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    file = os.open(path, os.O_WRONLY)
    os.pwrite(file, b"\xa5" * PAGE_bytes, (page - 1) * PAGE_bytes)
    os.close(file)


def test_a_sink_that_cannot_read_on_is_believed_at_the_second_time(bench: Bench) -> None:
    """The writer may never look at that page; all that was in the file reaches the sink, each reading once, and what is new, too."""
    broken(bench.path, "record")
    bench.one.start()
    until(lambda: bench.one.report.ruins >= RUINS, 60, "the sink to have tried")
    assert bench.keeper.commit([handed(RUN, BATCHES, BATCHES * 50, 50)])
    while bench.keeper.salvaging:
        bench.keeper.salvage()
    (aside,), (salvaged,) = bench.rig.log("spool_set_aside"), bench.rig.log("spool_salvaged")
    assert str(aside["file"]).endswith("spool.db.damaged-1")
    assert (salvaged["records"], salvaged["readings"], salvaged["missing"]) == (BATCHES, BATCHES * 50, 0)
    until(lambda: bench.one.position >= bench.keeper.newest(), 60, "the sink to have all")
    sink = bench.one.sink
    assert isinstance(sink, ListSink)
    seqs = [reading.seq for record in sink.records for reading in record.batch.readings]
    assert sorted(seqs) == list(range(BATCHES * 50 + 50))


def test_a_writer_that_cannot_go_on_is_believed_at_the_second_time(bench: Bench) -> None:
    """Opening the file anew looks well each time; then it is set aside, and the batch that could not be written is."""
    broken(bench.path, "delivery")
    bench.one.report.tell(Step((1, BATCHES), {RUN.id: BATCHES * 50}))
    for _ in range(5):
        if bench.keeper.commit([handed(RUN, BATCHES, BATCHES * 50, 50)]):
            break
    assert len(bench.rig.log("spool_set_aside")) == 1
    assert len(held(bench.path)) == BATCHES + 1


def test_a_new_file_is_told_of_the_clock_again(bench: Bench) -> None:
    """Or what was read before the clock was right would be held back for ever."""
    clock = bench.rig.clock
    clock.synced = ClockState.SYNCED
    timekeeper = Timekeeper(clock, "boot", 120 * NS_PER_S, bench.rig.process.log)
    bench.keeper.keep_time(timekeeper)
    bench.path.unlink()
    bench.keeper.commit([handed(RUN, BATCHES, BATCHES * 50, 50)])
    bench.keeper.commit([handed(RUN, BATCHES, BATCHES * 50, 50)])
    bench.keeper.keep_time(timekeeper)
    with closing(sqlite3.connect(bench.path)) as db:
        assert db.execute("SELECT count(*) FROM mark").fetchone() == (1,)


def test_it_says_that_it_is_at_work(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as old readings are still to come: the operator sees why they do not arrive."""
    monkeypatch.setattr("edgegw.spool.salvage._PIECE_pages", 1)
    broken(bench.path, "delivery")
    bench.one.report.tell(Step((1, BATCHES), {RUN.id: BATCHES * 50}))
    while not bench.keeper.commit([handed(RUN, BATCHES, BATCHES * 50, 50)]):
        pass
    assert bench.keeper.trouble == SALVAGING
    while bench.keeper.salvaging:
        bench.keeper.salvage()
    assert bench.keeper.trouble == ""
