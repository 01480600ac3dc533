"""Double entry under everything that may come between: whatever happens, the books balance at every commit, and claim nothing untrue.

The real forwarders, gathering and spool, turn by turn in one thread. Commits fall between two deliveries, and into the middle of one.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.gather import Gathering
from edgegw.errors import SinkError, Unavailable
from edgegw.reading import Record
from edgegw.spool import Outcome, Reader, Spool
from edgegw.spool.attached import NEVER
from edgegw.spool.share import Share
from edgegw.testing import ListSink
from tests.records import a_run
from tests.rig import Rig
from tests.spooling import handed

RUNS = [a_run(0, "front"), a_run(1, "rear"), a_run(2, "front")]
SINKS = ["one", "two"]
FAST = Path("/dev/shm")
POISON = frozenset(range(7, 1000, 13))  # seqs


class Busy(ListSink):
    """Lets something else happen while a delivery is under way; remembers what it was ever given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.poison = set(POISON)
        self.meanwhile: Callable[[], None] | None = None
        self.got: dict[str, set[int]] = defaultdict(set)  # run → seqs

    def deliver(self, records: Sequence[Record]) -> None:
        if self.meanwhile:
            self.meanwhile()
        super().deliver(records)
        for record in records:
            self.got[record.run.id].update(reading.seq for reading in record.batch.readings)


class Machine(RuleBasedStateMachine):
    """Two sinks, three runs of two sensors, of which one gives up its oldest readings when its share of the spool is full."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="edgegw-forward-", dir=FAST if FAST.is_dir() else None))
        self.rig = Rig()
        self.sinks = {name: Busy(name) for name in SINKS}
        self.next_seq = [0] * len(RUNS)
        self.numbers = 0
        self.undisturbed = True  # nothing was delivered without being told: by a crash, or by trouble halfway

    @initialize()
    def begin(self) -> None:
        shares = {"front": Share("drop_oldest", 1500)}
        self.spool = Spool(self.root / "spool.db", SINKS, shares=shares)
        self.reader = Reader(self.spool.path)
        log, clock = self.rig.process.log, self.rig.clock
        self.forwarders = {
            name: Forwarder(sink, self.spool.path, self.reader.reach(name), log, clock, lambda: 0.5) for name, sink in self.sinks.items()
        }
        self.gathering = Gathering([one.report for one in self.forwarders.values()])

    @rule(run=st.integers(0, 2), readings=st.integers(1, 30), batches=st.integers(1, 4))
    def fill(self, run: int, readings: int, batches: int) -> None:
        """A commit with readings."""
        for _ in range(batches):
            self.commit(run, readings)

    @rule()
    def commit_nothing_new(self) -> None:
        """What the sinks have done becomes durable."""
        self.commit()

    @rule()
    def commit_fails(self) -> None:
        """It was gathered, and nothing was written."""
        with self.gathering.still():
            self.gathering.work([], [], NEVER)

    @rule(sink=st.sampled_from(SINKS), turns=st.integers(1, 3), meanwhile=st.none() | st.integers(0, 2))
    def forward(self, sink: str, turns: int, meanwhile: int | None) -> None:
        """Some deliveries; while one is under way, there may be a commit that wants room."""
        self.sinks[sink].meanwhile = None if meanwhile is None else lambda: self.commit(meanwhile, 30)
        for _ in range(turns):
            self.turn(sink)
        self.sinks[sink].meanwhile = None

    @rule(sink=st.sampled_from(SINKS))
    def outage(self, sink: str) -> None:
        """It goes away, and comes back later with a backlog."""
        self.undisturbed = False
        self.sinks[sink].trouble = Unavailable("away")
        self.turn(sink)
        self.sinks[sink].trouble = None

    @rule(sink=st.sampled_from(SINKS), batches=st.integers(3, 8), news=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def backlog(self, sink: str, batches: int, news: list[int]) -> None:
        """It was away for long, and readings come while it works that off: they go ahead of the backlog."""
        self.outage(sink)
        self.fill(1, 30, batches)
        for run in news:
            self.turn(sink)
            self.commit(run, 5)
        self.turn(sink)

    @rule(data=st.data())
    def rot(self, data: st.DataObject) -> None:
        """A payload is damaged on the disk, and not one that is in hand (nobody would notice)."""
        db = sqlite3.connect(self.spool.path, isolation_level=None)
        positions = [at for (at,) in db.execute("SELECT position FROM record")]
        if positions:
            at = data.draw(st.sampled_from(positions))
            db.execute("UPDATE record SET payload = zeroblob(length(payload)) WHERE position = ?", (at,))
        db.close()

    @rule()
    def crash(self) -> None:
        """What was not committed is forgotten, and the sinks are given it once more."""
        self.undisturbed = False
        self.end()
        self.begin()

    @rule()
    def settle(self) -> None:
        """Everything goes out; then no reading waits, and what was delivered is what the sinks have."""
        for name in SINKS:
            for _ in range(1000):
                if not self.reader.undone(name):
                    break
                self.turn(name)
                self.commit()
        self.commit()
        assert [self.reader.undone(sink) for sink in SINKS] == [0, 0]
        if self.undisturbed:
            assert self.delivered() == {(sink, run): len(seqs) for sink in SINKS for run, seqs in self.sinks[sink].got.items()}

    @invariant()
    def balances(self) -> None:
        """kept = delivered + dead + damaged + evicted + waiting, and nothing counts as delivered that the sink has not got."""
        books = self.reader.books()
        assert [(book.run.id[-1], sink, book) for book in books for sink in SINKS if book.kept != _outcome(book.sinks, sink).total] == []
        waiting = [sum(_outcome(book.sinks, sink).waiting for book in books) for sink in SINKS]
        assert [self.reader.undone(sink) for sink in SINKS] == waiting
        for (sink, run), count in self.delivered().items():
            assert count <= len(self.sinks[sink].got[run])

    def teardown(self) -> None:
        self.end()
        self.rig.close()
        shutil.rmtree(self.root)

    def turn(self, sink: str) -> None:
        """What the forwarder's thread does, once."""
        forwarder = self.forwarders[sink]
        forwarder._more = _Never()
        try:
            forwarder._turn(self.reader)
        except SinkError as error:
            forwarder._stop.set()  # or it would wait
            forwarder._trouble(error, str(error))
            forwarder._stop.clear()

    def commit(self, run: int | None = None, readings: int = 0) -> None:
        new = []
        if run is not None:
            new = [handed(RUNS[run], self.numbers, self.next_seq[run], readings)]
            self.next_seq[run] += readings
            self.numbers += 1
        with self.gathering.still():
            self.spool.fit(self.gathering.work(new, [], NEVER))
            self.gathering.written()
        for forwarder in self.forwarders.values():
            forwarder.wake()

    def delivered(self) -> dict[tuple[str, str], int]:
        books = self.reader.books()
        counts = {(sink, book.run.id): _outcome(book.sinks, sink).delivered for book in books for sink in SINKS}
        return {key: count for key, count in counts.items() if count}

    def end(self) -> None:
        self.reader.close()
        self.spool.close()


class _Never(threading.Event):
    """Is not waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


def _outcome(sinks: object, sink: str) -> Outcome:
    assert isinstance(sinks, dict)
    found = sinks.get(sink, Outcome())
    assert isinstance(found, Outcome)
    return found


TestForwarding = Machine.TestCase
TestForwarding.settings = settings(stateful_step_count=40, deadline=None, max_examples=50)
