"""The spool's file is gone and another is begun: what the sinks did with the old one says nothing of the new one."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edgegw.bridge.gather import Step
from edgegw.reading import Record
from edgegw.testing import ListSink
from tests.services.base import until
from tests.spooling import handed, letter
from tests.test_keeper import RUN, Bench, bench

__all__ = ["bench"]


class Slow(ListSink):
    """Its first delivery takes until it is let go on."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.in_hand, self.go_on = threading.Event(), threading.Event()

    def deliver(self, records: Sequence[Record]) -> None:
        self.in_hand.set()
        assert self.go_on.wait(60)
        super().deliver(records)


def remove(bench: Bench) -> None:
    """As `rm` does while the gateway runs."""
    for beside in ("", "-wal", "-shm"):
        bench.path.with_name(f"{bench.path.name}{beside}").unlink()


def seqs(sink: ListSink) -> list[int]:
    return [reading.seq for record in sink.records for reading in record.batch.readings]


def test_a_delivery_from_the_old_file_passes_nothing_in_the_new_one(bench: Bench) -> None:
    """It is in hand while the file is removed and begun anew: what is handed over then is delivered, and counted once."""
    slow = Slow("one")
    bench.one.sink = slow
    for number in range(5):
        bench.keeper.commit([handed(RUN, number, number * 3)])
    bench.one.start()
    assert slow.in_hand.wait(60)
    remove(bench)
    assert not bench.keeper.commit([handed(RUN, 5, 15)])
    assert bench.keeper.commit([handed(RUN, 5, 15)])
    slow.go_on.set()
    until(lambda: set(range(15, 18)) <= set(seqs(slow)), 60, "the new readings at the sink")
    until(lambda: bench.one.position >= bench.keeper.newest(), 60, "the sink to be done with the new file")
    assert bench.keeper.commit([])
    at = bench.books()[RUN.id].sinks["one"]
    assert (at.delivered, at.total, bench.books()[RUN.id].kept) == (3, 3, 3)
    assert bench.keeper.lag(bench.one) == 0


def test_what_was_told_of_the_old_file_is_not_written_to_the_new_one(bench: Bench) -> None:
    """Deliveries and letters that no commit has had yet, also those that one gathered and could not write."""
    for number in range(5):
        bench.keeper.commit([handed(RUN, number, number * 3)])
    bench.plan.commits_fail = True
    bench.one.report.tell(Step((1, 2), {RUN.id: 6}))
    assert not bench.keeper.commit([])
    bench.one.report.tell(Step((3, 4), {RUN.id: 5}, [letter("one", RUN, 7)]))
    remove(bench)
    bench.plan.commits_fail = False
    assert bench.keeper.commit([handed(RUN, 5, 15)])
    book = bench.books()[RUN.id]
    assert (book.kept, book.sinks["one"].waiting, book.sinks["one"].total) == (3, 3, 3)
    assert bench.keeper.reach("one").end == bench.one.position == 0


def test_the_same_file_opened_anew_keeps_what_was_told(bench: Bench) -> None:
    """A commit that failed once says all of it again: nothing of it is forgotten."""
    bench.keeper.commit([handed(RUN, 0, 0)])
    bench.one.report.tell(Step((1, 1), {RUN.id: 3}))
    bench.plan.commits_fail = True
    assert not bench.keeper.commit([])
    bench.plan.commits_fail = False
    assert bench.keeper.commit([])
    assert (bench.books()[RUN.id].sinks["one"].delivered, bench.one.position) == (3, 1)
