"""The keeper of the spool: one transaction for all, letters that outlive a failure, books closed in good time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from edgegw.bridge.crowd import TAKEN_ns
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.gather import Step
from edgegw.bridge.keeper import Keeper
from edgegw.errors import SpoolError
from edgegw.reading import Counts, Letter, Run
from edgegw.spool import Book, Commit, Reader, Share, Spool, Turn
from edgegw.spool.attached import NEVER
from edgegw.tally import Tally
from edgegw.testing import ListSink
from tests.records import a_run
from tests.rig import Rig
from tests.services.base import until
from tests.spooling import handed, held, letter

RUN, OTHER = a_run(1), a_run(2, "rear")
Done = TypeVar("Done")


class Spy(Spool):
    """Notes what is committed, and cannot write when told."""

    def __init__(self, path: Path, sinks: Sequence[str], plan: Plan) -> None:
        if plan.opens_fail:
            raise SpoolError("cannot use the spool: no such device")
        plan.opened += 1
        self._plan = plan
        super().__init__(path, sinks, plan.max_bytes, shares=plan.shares)

    def commit(self, work: Commit) -> int:
        return self._planned(work, super().commit)

    def fit(self, work: Commit) -> Turn:
        return self._planned(work, super().fit)

    def _planned(self, work: Commit, write: Callable[[Commit], Done]) -> Done:
        self._plan.tried.append(work)
        if self._plan.commits_fail or (work.handed and self._plan.is_full):
            raise SpoolError("cannot write to the spool: input/output error")
        done = write(work)
        self._plan.done.append(work)
        return done


class Plan:
    """What the spool will do, and what it did."""

    def __init__(self) -> None:
        self.opens_fail = self.commits_fail = self.is_full = False
        self.max_bytes = 1 << 30
        self.shares: dict[str, Share] = {}
        self.opened = 0
        self.tried: list[Commit] = []
        self.done: list[Commit] = []


class Bench:
    """A keeper over a real spool that fails when it is told to, and forwarders that stand still."""

    def __init__(self, directory: Path) -> None:
        self.rig = Rig()
        self.plan = Plan()
        self.path = directory / "spool.db"
        self.tallies = directory / "tally"
        self.tallies.mkdir()
        self.now = NEVER
        self.keeper = Keeper(lambda: Spy(self.path, ["one", "two"], self.plan), self.tallies, self.rig.process.log, lambda: self.now, 1)
        self.one, self.two = self._forwarder("one"), self._forwarder("two")
        self.keeper.serve([self.one, self.two])

    def _forwarder(self, name: str) -> Forwarder:
        return Forwarder(ListSink(name), self.path, self.keeper.reach(name), self.rig.process.log, self.rig.clock, lambda: 0.5)

    def done(self, forwarder: Forwarder, upto: int, letters: Sequence[Letter] = (), damaged: Sequence[int] = ()) -> None:
        """It is done with everything up to there, of which nothing was delivered but what is said."""
        forwarder.report.tell(Step((forwarder.position + 1, upto), {}, letters, damaged))

    def close(self) -> None:
        self.one.stop_soon()
        assert self.one._thread.ident is None or self.one.ended(60)
        self.keeper.close()
        self.rig.close()

    def books(self) -> dict[str, Book]:
        reader = Reader(self.path)
        try:
            return {book.run.id: book for book in reader.books()}
        finally:
            reader.close()

    def dead_worker(self, run: Run, produced: int) -> Path:
        """Leaves a tally behind, as one that was killed does."""
        tally = Tally(self.tallies, run)
        tally.set(produced, 0, 2)
        tally.close()
        return tally.path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_readings_cursors_letters_and_damage_are_one_commit(bench: Bench) -> None:
    """All or nothing: a cursor on disk never stands behind a reading whose letter is not."""
    assert bench.keeper.commit([handed(RUN, 0, 0), handed(OTHER, 0, 0)])
    bench.done(bench.one, 1, [letter("one", RUN, 1)])
    bench.done(bench.two, 2, damaged=[2])
    assert bench.keeper.commit([handed(RUN, 1, 3)])
    work = bench.plan.done[-1]
    assert (len(bench.plan.done), dict(work.cursors), list(work.damaged)) == (2, {"one": 1, "two": 2}, [("two", 2)])
    assert [one.reading.seq for one in work.letters] == [1]
    assert bench.books()[RUN.id].sinks["one"].dead == 1
    assert bench.books()[OTHER.id].sinks["two"].damaged == 3
    assert bench.keeper.stored == 9


def test_nothing_to_do_costs_no_commit(bench: Bench) -> None:
    """An idle gateway does not wear its card; a cursor that has moved is worth one."""
    assert bench.keeper.commit([])
    assert bench.plan.tried == []
    bench.keeper.commit([handed(RUN, 0, 0)])
    bench.done(bench.one, 1)
    for _ in range(3):
        assert bench.keeper.commit([])
    assert len(bench.plan.done) == 2


def test_a_failed_commit_promises_nothing(bench: Bench) -> None:
    """False, why is told once, nothing counted, the file opened anew; the next try with the same readings succeeds, once."""
    bench.plan.commits_fail = True
    for _ in range(3):
        assert not bench.keeper.commit([handed(RUN, 0, 0)])
    assert (bench.keeper.stored, bench.keeper.why) == (0, "cannot write to the spool: input/output error")
    assert bench.plan.opened > 1
    bench.plan.commits_fail = False
    assert bench.keeper.commit([handed(RUN, 0, 0)])
    assert (bench.keeper.stored, bench.keeper.why, bench.keeper.acked(RUN.id)) == (3, "", 0)
    assert [batch.first_seq for batch in held(bench.path)] == [0]
    assert len(bench.rig.log("spool_cannot_write")) == len(bench.rig.log("spool_back")) == 1


def test_letters_and_damage_survive_a_failed_commit(bench: Bench) -> None:
    """They are taken from the forwarders once, and kept until they are on disk."""
    bench.keeper.commit([handed(RUN, 0, 0), handed(OTHER, 0, 0)])
    bench.done(bench.one, 2, [letter("one", RUN, 1)], [2])
    bench.plan.commits_fail = True
    assert not bench.keeper.commit([])
    bench.done(bench.one, 3, [letter("one", RUN, 2)])
    assert not bench.keeper.commit([])
    bench.plan.commits_fail = False
    assert bench.keeper.commit([])
    assert bench.books()[RUN.id].sinks["one"].dead == 2
    assert bench.books()[OTHER.id].sinks["one"].damaged == 3
    last = len(bench.plan.done)
    assert bench.keeper.commit([])
    assert len(bench.plan.done) == last


def test_a_full_spool_still_lets_go_of_what_the_sinks_have(bench: Bench) -> None:
    """No room for readings, but cursors and letters are kept, records trimmed, and nothing piles up in memory meanwhile."""
    bench.keeper.commit([handed(RUN, 0, 0)])
    bench.plan.is_full = True
    bench.done(bench.one, 1, [letter("one", RUN, 1)])
    bench.done(bench.two, 1)
    assert not bench.keeper.commit([handed(RUN, 1, 3)])
    assert held(bench.path) == []
    assert bench.books()[RUN.id].sinks["one"].dead == 1
    assert bench.keeper.why
    tried = len(bench.plan.tried)
    assert not bench.keeper.commit([handed(RUN, 1, 3)])
    assert [len(work.letters) for work in bench.plan.tried[tried:]] == [0, 0]
    bench.plan.is_full = False
    assert bench.keeper.commit([handed(RUN, 1, 3)])


def test_a_spool_that_is_really_full_drains_and_takes_in_again(bench: Bench) -> None:
    """By quota, with nothing faked: it fills, refuses, is read by its sinks, and takes the refused batch."""
    bench.plan.max_bytes = 512 * 1024
    bench.plan.commits_fail = True
    bench.keeper.commit([handed(RUN, 0, 0)])  # opens it anew, with that quota
    bench.plan.commits_fail = False
    number = 0
    while bench.keeper.commit([handed(RUN, number, number * 100, 100)]) and not bench.keeper.blocked:
        number += 1
        assert number < 1000
    assert number > 10
    assert bench.keeper.commit([handed(RUN, number, number * 100, 100)])
    assert (bench.keeper.blocked, bench.keeper.stored) == ({RUN.id}, number * 100)
    bench.done(bench.one, bench.keeper.newest())
    bench.done(bench.two, bench.keeper.newest())
    assert bench.keeper.commit([handed(RUN, number, number * 100, 100)])  # makes room first
    assert (bench.keeper.blocked, bench.keeper.acked(RUN.id)) == (frozenset(), number)
    assert [batch.first_seq for batch in held(bench.path)] == [number * 100]
    assert bench.books()[RUN.id].kept == (number + 1) * 100


def test_a_spool_that_cannot_be_opened_is_tried_at_every_commit(bench: Bench) -> None:
    """Also where opening it anew fails: errors are told in plain words, and the first commit after the trouble succeeds."""
    bench.plan.commits_fail = bench.plan.opens_fail = True
    for _ in range(3):
        assert not bench.keeper.commit([handed(RUN, 0, 0)])
    assert bench.keeper.why == "cannot use the spool: no such device"
    with pytest.raises(SpoolError):
        bench.keeper.acked(RUN.id)
    with pytest.raises(SpoolError):
        bench.keeper.bytes()
    bench.plan.commits_fail = bench.plan.opens_fail = False
    assert bench.keeper.acked(RUN.id) == -1
    assert bench.keeper.commit([handed(RUN, 0, 0)])
    assert bench.keeper.why == ""


def test_trouble_that_is_over_is_not_shown_for_ever(bench: Bench) -> None:
    """An idle gateway finds out by itself, too."""
    bench.plan.commits_fail = True
    bench.keeper.commit([handed(RUN, 0, 0)])
    bench.plan.commits_fail = False
    assert bench.keeper.commit([])
    assert bench.keeper.why == ""


def test_a_spool_in_ruins_is_replaced_while_the_bridge_runs(bench: Bench) -> None:
    """The old file is set aside and said so; what is handed over from then on is kept, and reaches a sink that had the old one open."""
    bench.keeper.commit([handed(RUN, 0, 0)])
    bench.one.start()
    until(lambda: bench.one.position == 1, 60, "the first record to be delivered")
    ruin = bench.path.with_name("ruin")
    ruin.write_bytes(b"\xaa" * 8192)
    ruin.replace(bench.path)
    for beside in ("-wal", "-shm"):
        bench.path.with_name(f"{bench.path.name}{beside}").unlink()
    bench.plan.commits_fail = True
    assert not bench.keeper.commit([handed(RUN, 1, 3)])
    bench.plan.commits_fail = False
    assert bench.keeper.commit([handed(RUN, 1, 3)])
    assert [batch.first_seq for batch in held(bench.path)] == [3]
    (aside,) = bench.rig.log("spool_set_aside")
    assert Path(str(aside["file"])).exists()
    until(lambda: bench.one.position == bench.keeper.newest(), 60, "the sink to have the new record")
    assert bench.keeper.commit([])
    assert (bench.keeper.lag(bench.one), bench.keeper.lag(bench.two)) == (0, 3)


def test_a_spool_that_cannot_be_opened_does_not_end_the_bridge(bench: Bench) -> None:
    """Whatever the bridge wants of it just then: it is told why, and goes on."""
    bench.plan.commits_fail = bench.plan.opens_fail = True
    bench.keeper.commit([handed(RUN, 0, 0)])
    bench.keeper.expire()
    assert bench.keeper.purge() is None
    assert bench.keeper.why == "cannot use the spool: no such device"


def test_a_state_directory_that_is_removed_is_noticed_and_made_anew(bench: Bench) -> None:
    """What is written to a removed file is gone when it is closed: nothing is acknowledged into it, and the sinks follow to the new one."""
    state = bench.path.parent / "state"
    bench.keeper.close()
    bench.path = state / "spool.db"
    bench.keeper = Keeper(lambda: Spy(bench.path, ["one", "two"], bench.plan), bench.tallies, bench.rig.process.log, lambda: NEVER, 1)
    bench.one, bench.two = bench._forwarder("one"), bench._forwarder("two")
    bench.keeper.serve([bench.one, bench.two])
    for number in range(5):
        bench.keeper.commit([handed(RUN, number, number * 3)])
    bench.one.start()
    until(lambda: bench.one.position == 5, 60, "the sink to have all")
    shutil.rmtree(state)
    assert not bench.keeper.commit([handed(RUN, 5, 15)])
    assert "it was removed while it was in use" in bench.keeper.why
    assert bench.keeper.commit([handed(RUN, 5, 15)])
    assert [batch.first_seq for batch in held(bench.path)] == [15]
    until(lambda: bench.one.position == bench.keeper.newest() == 6, 60, "the sink to have the new one")
    assert len(bench.rig.log("spool_cannot_write")) == len(bench.rig.log("spool_back")) == 1


def test_who_has_no_room_is_said_once_and_when_it_is_over(bench: Bench) -> None:
    """Sensor, cause, what to do; how long, and how many readings; one line when it begins and one when it ends."""
    bench.plan.shares = {"front": Share("block", 100)}
    bench.plan.commits_fail = True
    bench.keeper.commit([handed(RUN, 0, 0)])  # opens it anew, with that share
    bench.plan.commits_fail = False
    bench.keeper.commit([handed(RUN, 0, 0)])
    for _ in range(3):
        assert bench.keeper.commit([handed(RUN, 1, 3), handed(OTHER, 0, 0)])
        assert bench.keeper.blocked == {RUN.id}
    (crowded,) = bench.keeper.crowd.health({"front": 3})
    assert (crowded.sensor, crowded.waiting, crowded.given_up) == ("front", 3, 0)
    assert crowded.why.startswith("it holds all of the spool that its spool_max_bytes allows, so its readings wait")
    bench.done(bench.one, 1)
    bench.done(bench.two, 1)
    bench.keeper.commit([handed(RUN, 1, 3)])
    bench.now = NEVER._replace(boot_ns=TAKEN_ns + 1)
    assert bench.keeper.crowd.health({}) == ()
    assert len(bench.rig.log("spool_has_no_room")) == len(bench.rig.log("spool_has_room_again")) == 1


def test_books_are_closed_at_the_second_sight(bench: Bench) -> None:
    """The dead worker's last messages may still be on their way: not at once, but the next time, and then its tally is gone."""
    path = bench.dead_worker(RUN, 12)
    assert bench.keeper.close_books(wait=True) == []
    assert (path.exists(), bench.books()) == (True, {})
    assert bench.keeper.close_books(wait=True) == [RUN.id]
    book = bench.books()[RUN.id]
    assert (book.closed, book.counts) == (True, Counts(produced=12, dropped=2))
    assert not path.exists()
    assert bench.keeper.close_books(wait=True) == []


def test_at_the_end_books_are_closed_at_once(bench: Bench) -> None:
    """The bridge is leaving; all that could come has been heard."""
    bench.dead_worker(RUN, 12)
    bench.dead_worker(OTHER, 1)
    assert sorted(bench.keeper.close_books(wait=False)) == sorted([RUN.id, OTHER.id])
    assert [book.closed for book in bench.books().values()] == [True, True]


def test_the_book_of_a_living_worker_stays_open(bench: Bench) -> None:
    """Its lock says that it lives."""
    tally = Tally(bench.tallies, RUN)
    try:
        for wait in (True, True, False):
            assert bench.keeper.close_books(wait=wait) == []
    finally:
        tally.close()
    assert bench.keeper.close_books(wait=False) == [RUN.id]


def test_a_book_that_cannot_be_closed_keeps_its_tally(bench: Bench) -> None:
    """The counts are forgotten only once they are durable elsewhere; nobody holds the tally's lock meanwhile."""
    path = bench.dead_worker(RUN, 12)
    bench.plan.commits_fail = True
    for _ in range(3):
        assert bench.keeper.close_books(wait=True) == []
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(file)
    bench.plan.commits_fail = False
    assert bench.keeper.close_books(wait=True) == [RUN.id]
    assert bench.books()[RUN.id].counts.produced == 12


def test_the_lag_of_a_sink_is_counted_in_readings(bench: Bench) -> None:
    """Each sink has its own."""
    bench.keeper.commit([handed(RUN, 0, 0, 5)])
    bench.keeper.commit([handed(RUN, 1, 5, 2)])
    bench.one.report.tell(Step((1, 1), {RUN.id: 5}))
    bench.keeper.commit([])
    assert (bench.keeper.lag(bench.one), bench.keeper.lag(bench.two)) == (2, 7)


def test_no_file_stays_open(bench: Bench) -> None:
    """However often the spool had to be opened anew."""

    def files() -> int:
        return len(os.listdir("/proc/self/fd"))

    bench.plan.commits_fail = True
    bench.keeper.commit([handed(RUN, 0, 0)])
    before = files()
    for _ in range(50):
        bench.keeper.commit([handed(RUN, 0, 0)])
    assert files() == before
