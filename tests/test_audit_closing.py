"""Books of runs that nobody closed: which of them are over, and that no living run is ever taken for one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edgegw.bridge.closing import Closing, LOOK_ns, SILENT_ns, is_cut
from edgegw.reading import Counts, Run
from edgegw.spool import Book, Closed, Commit, Moment, Reader, Spool
from edgegw.tally import Tally
from tests.records import a_run
from tests.rig import Rig
from tests.spooling import handed

HERE, ELSEWHERE = "this boot", "another boot"


@pytest.mark.parametrize(
    ("its_boot", "silent_ns", "over"),
    [
        (ELSEWHERE, 0, True),
        ("", 0, True),  # the spool's record of the run is damaged
        (HERE, 0, False),
        (HERE, SILENT_ns - 1, False),
        (HERE, SILENT_ns, True),
    ],
)
def test_when_a_run_without_a_tally_is_over(its_boot: str, silent_ns: int, over: bool) -> None:
    """At once after a reboot; in this boot, when it should have said Hello long ago."""
    assert is_cut(its_boot, HERE, silent_ns) is over


class Bench:
    """A spool, the directory of tallies, and a clock that is set by hand."""

    def __init__(self, directory: Path) -> None:
        self.rig = Rig()
        self.tallies = directory / "tally"
        self.boot_ns = 0
        self.spool = Spool(directory / "spool.db", ["one"])
        self.reader = Reader(self.spool.path)
        self.closing = Closing(self.tallies, lambda: Moment(HERE, self.boot_ns, 1), self.rig.process.log)

    def taken_in(self, number: int, boot_id: str) -> Run:
        """A run that has handed over a batch."""
        run = msgspec.structs.replace(a_run(number), boot_id=boot_id, window=7)
        self.spool.commit(Commit(handed=[handed(run, 0, 0)]))
        return run

    def tally(self, run: Run, produced: int) -> Tally:
        """As its worker keeps it."""
        made = Tally(self.tallies, run)
        made.set(produced, 0, 0)
        return made

    def look(self, after_ns: int = 0, *, wait: bool = False) -> list[str]:
        """What is closed when the bridge looks again."""
        self.boot_ns += after_ns
        return self.closing.close(self.reader, self._commit, wait=wait)

    def _commit(self, closed: Closed) -> bool:
        self.spool.commit(Commit(closed=[closed]))
        return True

    def book(self, run: Run) -> Book:
        """As it stands."""
        return next(book for book in self.reader.books() if book.run.id == run.id)

    def close(self) -> None:
        """Leave nothing."""
        self.reader.close()
        self.spool.close()
        self.rig.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with contextlib.closing(Bench(tmp_path)) as made:
        yield made


def test_a_run_of_another_boot_is_closed_at_the_first_look(bench: Bench) -> None:
    """With the counts of its last batch, as cut; a warning says how much may be missing."""
    run = bench.taken_in(1, ELSEWHERE)
    assert bench.look(wait=True) == [run.id]
    book = bench.book(run)
    assert (book.closed, book.cut, book.held, book.counts, book.kept, book.run) == (True, True, -1, Counts(3), 3, run)
    assert bench.look(LOOK_ns) == []


def test_a_worker_that_lives_keeps_its_book_open(bench: Bench) -> None:
    """It holds its tally, whatever boot it says it is of; and one whose tally somebody has removed is known by its Hello."""
    holding, speaking = bench.taken_in(1, ELSEWHERE), bench.taken_in(2, HERE)
    bench.closing.hear(speaking.id)
    with contextlib.closing(bench.tally(holding, 5)):
        assert [bench.look(SILENT_ns, wait=False) for _ in range(4)] == [[]] * 4
    assert not bench.book(holding).closed
    assert not bench.book(speaking).closed


def test_a_run_of_this_boot_without_a_tally_is_given_time(bench: Bench) -> None:
    """A new bridge knows nobody yet: who lives says Hello within seconds, so nobody is given up before a minute is over."""
    run = bench.taken_in(1, HERE)
    assert bench.look() == []
    assert bench.look(SILENT_ns - 1) == []
    assert not bench.book(run).closed
    assert bench.look(LOOK_ns) == [run.id]
    assert bench.book(run).cut


def test_a_tally_closes_a_book_with_its_last_word(bench: Bench) -> None:
    """Killed: no word, and not cut. Stopped in order: so many were not acknowledged. Of another boot: whatever was on the disk, so cut."""
    killed, stopped, cut = bench.taken_in(1, HERE), bench.taken_in(2, HERE), bench.taken_in(3, ELSEWHERE)
    for run in (killed, stopped, cut):
        with contextlib.closing(bench.tally(run, 9)) as made:
            if run is stopped:
                made.leave(6)
    assert bench.look() == [killed.id, stopped.id, cut.id]
    found = [(book.held, book.cut, book.counts.produced) for book in map(bench.book, (killed, stopped, cut))]
    assert found == [(-1, False, 9), (6, False, 9), (-1, True, 9)]
    assert list(bench.tallies.iterdir()) == []


def test_a_run_whose_description_is_damaged_is_closed_all_the_same(bench: Bench) -> None:
    """And its book keeps what was there: a guess must not take its place."""
    run = bench.taken_in(1, HERE)
    bench.spool._db.execute("UPDATE run SET crc = crc + 1")
    assert bench.look() == [run.id]
    (book,) = bench.reader.whole_ledger().books
    assert (book.run.id, book.run.sensor, book.closed, book.cut, book.kept) == (run.id, "", True, True, 3)
    bench.spool._db.execute("UPDATE run SET crc = crc - 1")
    assert bench.book(run).run == run


def test_a_sink_that_comes_later_has_missed_what_was_let_go_of(tmp_path: Path) -> None:
    """Its total is still what was kept; and a sink that goes and comes back is counted anew, not twice."""
    run, path = a_run(1), tmp_path / "spool.db"
    for sinks in (["one"], ["one", "two"], ["two"], ["one", "two"]):
        with contextlib.closing(Spool(path, sinks)) as spool:
            if sinks == ["one"]:
                first = spool.commit(Commit(handed=[handed(run, 0, 0)]))
                spool.commit(Commit(handed=[handed(run, 1, 3, 5)]))
                spool.commit(Commit(cursors={"one": first}, delivered={(run.id, "one"): 3}, trim=True))
        with contextlib.closing(Reader(path)) as reader:
            (book,) = reader.books()
            assert [book.sinks[sink].total for sink in sinks] == [8] * len(sinks)
            assert "two" not in sinks or book.sinks["two"].missed == 3
