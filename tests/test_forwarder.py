"""One sink's way out of a real spool: in order, nothing lost, nothing passed over in silence, and no sink waits for another."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edgegw.bridge import forwarder as room
from edgegw.bridge import pace
from edgegw.bridge.forwarder import Forwarder
from edgegw.errors import Refused, Unavailable
from edgegw.reading import Letter, Record
from edgegw.spool import Commit, Outgoing, Reach, Reader, Spool
from edgegw.testing import ListSink
from tests.records import a_run
from tests.rig import Rig
from tests.services.base import until
from tests.spooling import filled, handed

RUN = a_run(1)
PATIENCE_s = 60


class Gated(ListSink):
    """Stops in deliver() until it is let go."""

    def __init__(self, name: str = "gated") -> None:
        super().__init__(name)
        self.inside = threading.Event()
        self.go = threading.Event()

    def deliver(self, records: Sequence[Record]) -> None:
        self.inside.set()
        assert self.go.wait(PATIENCE_s)
        super().deliver(records)


class Bench:
    """A spool of two sinks, and forwarders for them."""

    def __init__(self, directory: Path) -> None:
        self.rig = Rig()
        self.path = directory / "spool.db"
        self.spool = Spool(self.path, ["one", "two"])
        self.forwarders: list[Forwarder] = []
        self.made = 0

    def forward(self, sink: ListSink, position: int = 0) -> Forwarder:
        one = Forwarder(sink, self.path, Reach(position), self.rig.process.log, self.rig.clock, lambda: 0.5)
        self.forwarders.append(one)
        return one

    def fill(self, records: int, each: int = 3) -> None:
        for _ in range(records):
            self.spool.commit(Commit(handed=[handed(RUN, self.made, self.made * each, each)]))
            self.made += 1
        for one in self.forwarders:
            one.wake()

    def close(self) -> None:
        for one in self.forwarders:
            one.stop_soon()
        alive = [one.sink.name for one in self.forwarders if one._thread.ident and not one.ended(PATIENCE_s)]
        self.spool.close()
        self.rig.close()
        assert alive == []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No pauses; gives the number of each attempt that failed."""
    attempts: list[int] = []

    def pause_s(_error: Exception, failures: int, _random: object) -> float:
        attempts.append(failures)
        return 0.0

    monkeypatch.setattr(pace, "pause_s", pause_s)
    return attempts


def seqs(sink: ListSink) -> list[int]:
    return [reading.seq for record in sink.records for reading in record.batch.readings]


def letters(forwarder: Forwarder) -> list[Letter]:
    return [letter for step in forwarder.report.steps for letter in step.letters]


def reached(forwarder: Forwarder, position: int) -> None:
    until(lambda: forwarder.position == position, PATIENCE_s, f"position {position} ({forwarder.health(0)})")


def test_all_arrives_in_order(bench: Bench) -> None:
    """A backlog of several deliveries, then what comes afterwards; no delivery is much larger than it should be."""
    bench.fill(1000)
    sink = ListSink("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    reached(forwarder, 1000)
    bench.fill(1)
    reached(forwarder, 1001)
    assert seqs(sink) == list(range(3003))
    assert sink.attempts.count("deliver") == 8  # 50, 100, 200, 400, 800, 1000 and the rest; then the new one
    health = forwarder.health(lag=0)
    assert (health.name, health.up, health.delivered, health.dead, health.why) == ("one", True, 3003, 0, "")


def test_it_goes_on_where_its_cursor_stands(bench: Bench) -> None:
    """What a sink has is not given to it again."""
    filled(bench.spool, RUN, 5)
    sink = ListSink("one")
    forwarder = bench.forward(sink, position=3)
    forwarder.start()
    reached(forwarder, 5)
    assert seqs(sink) == list(range(9, 15))


def test_the_cursor_moves_only_after_the_delivery(bench: Bench) -> None:
    """While a delivery is on its way, its records are not done."""
    bench.fill(2)
    sink = Gated("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    assert sink.inside.wait(PATIENCE_s)
    assert forwarder.position == 0
    sink.go.set()
    reached(forwarder, 2)


@pytest.mark.parametrize("where", ["open", "deliver"])
def test_a_sink_that_is_away_is_tried_again_later_and_later(bench: Bench, soon: list[int], where: str) -> None:
    """Nothing is lost or passed over; the pauses grow also where it lets itself be opened; its trouble is logged once."""

    class Away(ListSink):
        def _begin(self, what: str) -> None:
            try:
                super()._begin(what)
            except Unavailable:
                if what == where:
                    raise

    bench.fill(4)
    sink = Away("one")
    sink.trouble = Unavailable("the broker is away")
    forwarder = bench.forward(sink)
    forwarder.start()
    until(lambda: len(soon) > 5, PATIENCE_s, "more attempts")
    assert (forwarder.position, forwarder.health(12).why, sink.records) == (0, "the broker is away", [])
    sink.trouble = None
    reached(forwarder, 4)
    until(lambda: forwarder.health(0).why == "", PATIENCE_s, "all to be well")
    assert soon == list(range(len(soon)))
    assert seqs(sink) == list(range(12))
    assert [entry["why"] for entry in bench.rig.log("sink_lost")] == ["the broker is away"]
    (connected,) = bench.rig.log("sink_connected")
    assert connected["attempts"] == len(soon) + 1


def test_old_trouble_does_not_make_new_pauses_longer(bench: Bench, soon: list[int]) -> None:
    """Once it has taken something, all is forgiven."""
    sink = ListSink("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    for record in range(1, 4):
        sink.trouble = Unavailable("away")
        soon.clear()
        bench.fill(1)
        until(lambda: soon, PATIENCE_s, "the trouble to be met")
        sink.trouble = None
        reached(forwarder, record)
        until(lambda: forwarder.health(0).why == "", PATIENCE_s, "all to be well")
        assert soon[0] == 0


def test_an_idle_sink_reads_the_spool_no_more_often_than_it_should(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once woken, it waits again; a loop that did not would burn a core."""
    reads = []

    class Counting(Reader):
        def piece(self, first: int, last: int | None, readings: int) -> Outgoing:
            reads.append(time.monotonic())
            return super().piece(first, last, readings)

    monkeypatch.setattr(room, "Reader", Counting)
    monkeypatch.setattr(room, "IDLE_s", 0.05)
    forwarder = bench.forward(ListSink("one"))
    forwarder.start()
    bench.fill(1)
    reached(forwarder, 1)
    begin = len(reads) + 1
    until(lambda: len(reads) > begin + 5, PATIENCE_s, "some more looks")
    assert reads[begin + 5] - reads[begin] >= 5 * 0.05 * 0.9


def test_after_trouble_it_is_opened_again_before_it_is_given_anything(bench: Bench, soon: list[int]) -> None:
    """That is what a sink was promised."""
    sink = ListSink("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    bench.fill(1)
    reached(forwarder, 1)
    sink.trouble = Unavailable("away")
    bench.fill(1)
    until(lambda: soon, PATIENCE_s, "the trouble to be met")
    sink.trouble = None
    reached(forwarder, 2)
    calls = sink.attempts
    failed = calls.index("deliver", calls.index("deliver") + 1)
    assert set(calls[failed + 1 : -1]) == {"open"}
    assert calls[-1] == "deliver"


def test_a_refusal_is_tried_again_slowly(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has to act first; a stop does not wait for the end of the pause."""
    pauses: list[Exception] = []

    def pause_s(error: Exception, *_: object) -> float:
        pauses.append(error)
        return 100_000.0

    monkeypatch.setattr(pace, "pause_s", pause_s)
    bench.fill(1)
    sink = ListSink("one")
    sink.trouble = Refused("wrong password")
    forwarder = bench.forward(sink)
    forwarder.start()
    until(lambda: forwarder.health(3).why == "wrong password", PATIENCE_s, "the refusal to be shown")
    forwarder.wake()
    forwarder.stop_soon()
    assert forwarder.ended(PATIENCE_s)
    assert sink.attempts == ["open", "close"]
    assert pauses == [sink.trouble]


def test_poison_is_set_aside_and_the_rest_arrives(bench: Bench) -> None:
    """The letter lies ready before the cursor has passed it, is buried with its reason, and is counted."""
    bench.fill(10)
    sink = ListSink("one")
    sink.poison = {13}
    forwarder = bench.forward(sink)
    forwarder.start()
    reached(forwarder, 10)
    assert sorted(seqs(sink)) == [seq for seq in range(30) if seq != 13]
    (letter,) = letters(forwarder)
    assert (letter.sink, letter.run, letter.reading.seq, letter.code) == ("one", RUN, 13, "poison")
    assert list(sink.letters) == [("one", RUN.id, 13)]
    health = forwarder.health(0)
    assert (health.delivered, health.dead, health.up) == (29, 1, True)
    (logged,) = bench.rig.log("reading_rejected")
    assert (logged["sensor"], logged["seq"]) == (RUN.sensor, 13)


def test_a_letter_that_cannot_be_buried_yet_is_no_loss(bench: Bench, soon: list[int]) -> None:
    """The cursor stays until the sink has taken the letter; then all of the delivery is done, and the reading counted dead once."""

    class NoGrave(ListSink):
        def bury(self, letter: Letter) -> None:
            if len(soon) < 3:
                raise Unavailable("no grave")
            super().bury(letter)

    bench.fill(2)
    sink = NoGrave("one")
    sink.poison = {4}
    forwarder = bench.forward(sink)
    forwarder.start()
    reached(forwarder, 2)
    assert len(soon) == 3
    assert forwarder.health(0).dead == 1
    assert list(sink.letters) == [("one", RUN.id, 4)]
    assert [letter.reading.seq for letter in letters(forwarder)] == [4]


@pytest.mark.parametrize(("position", "rest"), [(1, [3, 4, 5, 6, 7, 8]), (2, [0, 1, 2, 6, 7, 8]), (3, [0, 1, 2, 3, 4, 5])])
def test_a_damaged_record_is_reported_and_passed_over(bench: Bench, position: int, rest: list[int]) -> None:
    """Wherever it lies, it is never delivered, it stops nobody, and it goes to the keeper to be set aside."""
    bench.fill(3)
    with contextlib.closing(sqlite3.connect(bench.path)) as db, db:
        db.execute("UPDATE record SET payload = zeroblob(length(payload)) WHERE position = ?", (position,))
    sink = ListSink("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    reached(forwarder, 3)
    assert seqs(sink) == rest
    assert [at for step in forwarder.report.steps for at in step.damaged] == [position]
    assert [str(entry["positions"]) for entry in bench.rig.log("record_damaged")] == [f"[{position}]"]


def test_a_backlog_is_marked_as_such_and_what_comes_live_is_not(bench: Bench) -> None:
    """A consumer can tell history from news."""
    bench.fill(2)
    sink = ListSink("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    reached(forwarder, 2)
    bench.fill(1)
    reached(forwarder, 3)
    assert [record.replay for record in sink.records] == [True, True, False]


def test_a_bug_in_a_sink_is_shown_and_tried_again(bench: Bench, soon: list[int]) -> None:
    """It neither ends the thread nor loses a reading; the operator is told, and the sink is closed before it is opened again."""
    bench.fill(1)
    sink = ListSink("one")
    sink.trouble = ValueError("a bug")
    forwarder = bench.forward(sink)
    forwarder.start()
    until(lambda: len(soon) > 1, PATIENCE_s, "it to be tried again")
    assert forwarder.health(3).why == "internal error: ValueError: a bug"
    sink.trouble = None
    reached(forwarder, 1)
    assert sink.attempts[:3] == ["open", "close", "open"]
    assert "ValueError" in str(bench.rig.log("sink_bug")[0])


def test_one_sinks_trouble_does_not_slow_the_other(bench: Bench) -> None:
    """While the one hangs in a delivery, the other gets everything."""
    stuck, well = Gated("one"), ListSink("two")
    forwarders = [bench.forward(stuck), bench.forward(well)]
    for one in forwarders:
        one.start()
    bench.fill(1)
    assert stuck.inside.wait(PATIENCE_s)
    bench.fill(20)
    reached(forwarders[1], 21)
    assert (forwarders[0].position, stuck.records) == (0, [])
    stuck.go.set()
    reached(forwarders[0], 21)
    assert seqs(stuck) == seqs(well) == list(range(63))


def test_a_stop_lets_the_delivery_in_hand_end(bench: Bench) -> None:
    """What is being delivered is finished and its cursor moved; nothing else is begun, and the sink is closed."""
    bench.fill(1)
    sink = Gated("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    assert sink.inside.wait(PATIENCE_s)
    bench.fill(1)
    forwarder.stop_soon()
    assert not forwarder.ended(0.0)
    sink.go.set()
    assert forwarder.ended(PATIENCE_s)
    assert (forwarder.position, seqs(sink)) == (1, [0, 1, 2])
    assert sink.attempts[-1] == "close"


def test_a_spool_that_cannot_be_read_yet_does_not_end_the_thread(bench: Bench, soon: list[int]) -> None:
    """From its first line on, trouble is shown and tried again: a thread that ended in silence would never deliver anything."""
    sink = ListSink("one")
    bench.fill(1)
    hidden = bench.path.with_name("hidden")
    bench.spool.close()
    bench.path.rename(hidden)
    forwarder = bench.forward(sink)
    forwarder.start()
    until(lambda: len(soon) > 1, PATIENCE_s, "it to be tried again")
    assert "cannot read the spool" in forwarder.health(0).why
    hidden.rename(bench.path)
    reached(forwarder, 1)
    assert seqs(sink) == [0, 1, 2]


def test_a_spool_that_was_begun_anew_is_read_anew(bench: Bench) -> None:
    """Where a ruined file was set aside, the old one is still open here: told so, the forwarder reads the new one."""
    sink = ListSink("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    bench.fill(1)
    reached(forwarder, 1)
    bench.spool.close()
    bench.path.write_bytes(b"no database at all" * 1000)
    for aside in ("-wal", "-shm"):
        bench.path.with_name(bench.path.name + aside).unlink(missing_ok=True)
    bench.spool = Spool(bench.path, ["one", "two"])
    assert bench.spool.set_aside
    bench.fill(1)
    forwarder.renew()
    reached(forwarder, bench.spool.newest())
    assert seqs(sink) == [0, 1, 2, 3, 4, 5]


def test_the_age_of_the_backlog_is_told(bench: Bench) -> None:
    """Seconds between now and the oldest reading in hand; none where nothing is behind."""
    bench.fill(1)
    sink = Gated("one")
    forwarder = bench.forward(sink)
    forwarder.start()
    assert sink.inside.wait(PATIENCE_s)
    bench.rig.clock.now_ns += 90 * 10**9
    assert forwarder.health(lag=3).lag_s == pytest.approx(90, abs=1)
    assert forwarder.health(lag=0).lag_s == 0
    sink.go.set()
    reached(forwarder, 1)
