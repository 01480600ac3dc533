"""The bridge from end to end in one process: real sockets, a real spool that fails when told, and workers played by the test."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from edgegw import codec
from edgegw.bridge import body as room
from edgegw.bridge import forwarder
from edgegw.bridge.body import Bridge
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.keeper import Keeper
from edgegw.bus import BridgeEnd, TapEnd, WorkerEnd
from edgegw.clock import NS_PER_S, SystemClock
from edgegw.codec import Ack, Again, Held, Hello, Message, Push, Welcome
from edgegw.config import SpoolSettings
from edgegw.errors import SpoolError, Unavailable
from edgegw.health import BridgeHealth
from edgegw.reading import Batch, Counts, Run
from edgegw.spool import Book, Commit, Reader, Share, Spool, Turn
from edgegw.spool.attached import moment
from edgegw.tally import Tally
from edgegw.testing import ListSink
from tests.records import a_reading, a_run
from tests.rig import Rig
from tests.services.base import until
from tests.spooling import held

RUN, OTHER = a_run(1), a_run(2, "rear")
PATIENCE_s = 60
Event = tuple[str, str, int]  # what, of which run, up to which number


class SpySpool(Spool):
    """Notes each commit when it is on disk; fails or waits when told."""

    def __init__(self, path: Path, sinks: Sequence[str], bench: Bench) -> None:
        self._bench = bench
        if bench.broken:
            raise SpoolError("cannot use the spool: no such device")
        super().__init__(path, sinks, shares=bench.shares)

    def fit(self, work: Commit) -> Turn:
        if work.handed:
            self._bench.inside.set()
            assert self._bench.go.wait(PATIENCE_s)
        if self._bench.broken or (self._bench.full and work.handed):
            raise SpoolError("cannot write to the spool: input/output error")
        turn = super().fit(work)
        self._bench.events += [("commit", one.run.id, one.number) for one in work.handed if one.run.id not in turn.blocked]
        return turn


class SpyEnd(BridgeEnd):
    """Notes each answer as it goes out, and what is offered to the tap."""

    events: list[Event]
    offers = 0

    def answer(self, peer: bytes, message: bytes) -> None:
        decoded = codec.decode(message)
        if isinstance(decoded, Ack | Welcome):
            self.events.append(("answer", decoded.run, decoded.committed))
        super().answer(peer, message)

    def offer(self, topic: str, reading: bytes) -> None:
        self.offers += 1
        super().offer(topic, reading)


class Worker:
    """The other end of the bus, spoken by hand."""

    def __init__(self, path: Path, run: Run = RUN) -> None:
        self.run = run
        self._end = WorkerEnd(path)
        self._heard: list[Message] = []

    def say(self, *messages: Message | bytes) -> None:
        for message in messages:
            assert self._end.send(message if isinstance(message, bytes) else codec.encode(message))

    def push(self, number: int, *seqs: int) -> None:
        readings = tuple(a_reading(seq, (1.5, seq, 40.0)) for seq in seqs)
        self.say(Push(number, Batch(self.run.id, "lidar", Counts(produced=seqs[-1] + 1), readings)))

    def hears(self, *either: Message) -> None:
        """One of these."""

        def arrived() -> bool:
            self._heard += map(codec.decode, self._end.receive())
            return any(message in self._heard for message in either)

        until(arrived, PATIENCE_s, f"{either} (heard {self._heard})")

    def hello(self) -> None:
        self._end.connect()
        self.say(Hello(self.run))

    def close(self) -> None:
        self._end.close()


class Bench:
    """A bridge in a thread of its own, with one sink or more."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rig = Rig()
        self.events: list[Event] = []
        self.broken = self.full = False
        self.inside, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.shares: dict[str, Share] = {}
        self.settings = SpoolSettings()
        self.sink = ListSink("one")
        self.workers: list[Worker] = []
        self.spool = directory / "spool.db"
        self.end = SpyEnd(directory / "bus.sock", directory / "tap.sock")
        self.end.events = self.events
        self.crash: list[BaseException] = []
        self.thread = threading.Thread(target=self._live, name="bridge")

    def _live(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.crash.append(error)

    def _work(self) -> None:
        """As edgegw.bridge.run(): all in one thread, as SQLite wants it."""
        log, clock = self.rig.process.log, SystemClock()
        now = functools.partial(moment, SystemClock(), "boot")
        keeper = Keeper(lambda: SpySpool(self.spool, ["one"], self), self.directory / "tally", log, now, 1 << 60)
        try:
            out = Forwarder(self.sink, self.spool, keeper.reach("one"), log, clock, lambda: 0.5)
            keeper.serve([out])
            Bridge(self.end, keeper, [out], 0.01, msgspec.structs.replace(self.rig.process, clock=clock), self.settings).work()
        finally:
            keeper.close()

    def start(self) -> None:
        self.thread.start()
        until(lambda: self.rig.heard.told or self.crash, PATIENCE_s, "the bridge to be ready")

    def worker(self, run: Run = RUN) -> Worker:
        self.workers.append(Worker(self.directory / "bus.sock", run))
        return self.workers[-1]

    def stop(self) -> None:
        """Ask, and wait for the end."""
        self.rig.stop.ask()
        self.thread.join(PATIENCE_s)
        assert not self.thread.is_alive()
        assert self.crash == []

    def health(self) -> BridgeHealth:
        return msgspec.json.decode(self.rig.heard.beats[-1], type=BridgeHealth)

    def told(self, condition: Callable[[BridgeHealth], bool], what: str) -> BridgeHealth:
        """The first heartbeat from now on of which it is true."""
        seen = len(self.rig.heard.beats)
        until(lambda: len(self.rig.heard.beats) > seen and condition(self.health()), PATIENCE_s, what)
        return self.health()

    def close(self) -> None:
        self.go.set()
        if self.thread.ident:
            self.rig.stop.ask()
            self.thread.join(PATIENCE_s)
        for worker in self.workers:
            worker.close()
        self.end.close()
        self.rig.close()
        assert self.crash == []

    def seqs(self) -> list[int]:
        return [reading.seq for record in self.sink.records for reading in record.batch.readings]

    def book(self, run: Run = RUN) -> Book:
        reader = Reader(self.spool)
        try:
            return next(book for book in reader.books() if book.run.id == run.id)
        finally:
            reader.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat, a look at the books and another try every 50 ms; a sink that nobody wakes sleeps on."""
    monkeypatch.setattr(forwarder, "IDLE_s", 1000.0)
    for pace in ("BEAT_ns", "BOOKS_ns", "RETRY_ns"):
        monkeypatch.setattr(room, pace, 50_000_000)
    monkeypatch.setattr(room, "IDLE_s", 0.05)


@pytest.fixture
def bench() -> Iterator[Bench]:
    directory = Path(tempfile.mkdtemp(prefix="edgegw-bridge-"))  # a socket's path has 107 bytes
    try:
        bench = Bench(directory)
        yield bench
        bench.close()
    finally:
        shutil.rmtree(directory)


def promised(events: Sequence[Event]) -> list[Event]:
    """Answers that promise more than was on disk when they were given."""
    disk: dict[str, int] = {}
    broken = []
    for event in events:
        what, run, number = event
        if what == "commit":
            disk[run] = max(number, disk.get(run, -1))
        elif number > disk.get(run, -1):
            broken.append(event)
    return broken


def test_readings_go_from_worker_to_sink(bench: Bench) -> None:
    """Hello, welcome, batches, acknowledgements; all is in the sink, in order, once."""
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    for number in range(20):
        worker.push(number, 2 * number, 2 * number + 1)
    worker.hears(Ack(RUN.id, 19))
    until(lambda: len(bench.seqs()) == 40, PATIENCE_s, "all in the sink")
    assert bench.seqs() == list(range(40))
    bench.stop()
    assert promised(bench.events) == []
    assert bench.rig.heard.told == ["ready", "stopping"]
    (done,) = bench.rig.log("bridge_done")
    assert done["stored"] == 40


def test_no_acknowledgement_before_the_commit_is_on_disk(bench: Bench) -> None:
    """While the disk works nobody hears anything, not even a welcome that comes after; afterwards all do."""
    bench.start()
    worker, newcomer = bench.worker(), bench.worker(OTHER)
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    bench.go.clear()
    worker.push(0, 0, 1)
    assert bench.inside.wait(PATIENCE_s)
    newcomer.hello()
    assert bench.events == [("answer", RUN.id, -1)]
    bench.go.set()
    worker.hears(Ack(RUN.id, 0))
    newcomer.hears(Welcome(OTHER.id, -1))
    assert bench.events[1:3] == [("commit", RUN.id, 0), ("answer", RUN.id, 0)]


def test_a_bridge_that_knows_nobody_says_so(bench: Bench) -> None:
    """As after a restart: a batch without a Hello is answered by Again, at once, and not kept."""
    bench.start()
    worker = bench.worker()
    worker.push(0, 0)
    worker.hears(Again())
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    bench.stop()
    assert held(bench.spool) == []


def test_a_failing_spool_never_acknowledges_and_recovers(bench: Bench) -> None:
    """Not a word while it fails; the trouble is in the heartbeat; when the disk is back, each reading is kept once and promised."""
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    bench.broken = True
    worker.push(0, 0, 1)
    worker.push(1, 2)
    bench.told(lambda health: "spool" in health.why, "the trouble to be told")
    newcomer = bench.worker(OTHER)
    newcomer.hello()
    newcomer.push(0, 0)
    worker.hello()  # silence made it begin anew
    worker.push(0, 0, 1)
    worker.push(1, 2)
    bench.told(lambda health: "spool" in health.why, "another beat")
    assert bench.events == [("answer", RUN.id, -1)]
    bench.broken = False
    worker.hears(Welcome(RUN.id, 1))
    newcomer.hello()
    newcomer.hears(Welcome(OTHER.id, -1))
    newcomer.push(0, 0)
    newcomer.hears(Ack(OTHER.id, 0))
    bench.told(lambda health: health.why == "", "all to be well")
    until(lambda: len(bench.seqs()) == 4, PATIENCE_s, "all in the sink")
    bench.stop()
    assert promised(bench.events) == []
    assert sorted(bench.seqs()) == [0, 0, 1, 2]
    assert (bench.book().kept, bench.book(OTHER).kept) == (3, 1)


@pytest.mark.parametrize("trouble", ["broken", "full"])
def test_a_worker_that_dies_while_the_spool_fails_loses_nothing_it_handed_over(bench: Bench, trouble: str) -> None:
    """Its book is not closed over batches that still wait for the disk, and the bridge goes on."""
    tally = Tally(bench.directory / "tally", RUN)
    tally.set(3, 0, 0)
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    setattr(bench, trouble, True)
    worker.push(0, 0, 1)
    bench.told(lambda health: "spool" in health.why, "the trouble to be told")
    tally.close()
    for _ in range(10):  # as often the books are looked at
        bench.told(lambda health: "spool" in health.why, "another beat")
    assert tally.path.exists()
    setattr(bench, trouble, False)
    worker.hears(Ack(RUN.id, 0))
    until(lambda: not tally.path.exists(), PATIENCE_s, "the book to be closed")
    bench.stop()
    book = bench.book()
    assert (book.kept, book.counts.produced, book.closed) == (2, 3, True)


def test_only_who_listens_costs_anything(bench: Bench) -> None:
    """Nothing is encoded for nobody; a subscriber gets what is committed from then on, as JSON under kind/sensor."""
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.push(0, 0)
    worker.hears(Welcome(RUN.id, 0))
    assert bench.end.offers == 0
    tap = TapEnd(bench.directory / "tap.sock", ["lidar/front"])
    try:
        number = 0
        got = None
        while got is None and number < 500:  # until the subscription has arrived
            number += 1
            worker.push(number, number)
            worker.hears(Ack(RUN.id, number))
            got = tap.receive(0.05)
        assert got is not None
        topic, reading = got
        decoded = json.loads(reading)
        assert (topic, decoded["sensor"], decoded["run"]) == ("lidar/front", RUN.sensor, RUN.id)
        assert decoded["values"] == {"distance_m": 1.5, "strength": decoded["seq"], "temperature_degC": 40.0}
    finally:
        tap.close()
    assert bench.end.offers > 0


def test_the_farewell_takes_in_and_delivers_what_is_there(bench: Bench) -> None:
    """What workers say last is committed, acknowledged and delivered, and their books are closed."""
    tally = Tally(bench.directory / "tally", RUN)
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    bench.rig.stop.ask()
    for number in range(5):
        worker.push(number, number)
    tally.set(5, 0, 0)
    tally.close()
    bench.stop()
    worker.hears(Ack(RUN.id, 4))
    assert bench.seqs() == list(range(5))
    book = bench.book()
    assert (book.closed, book.kept, book.counts.produced, book.sinks["one"].waiting) == (True, 5, 5, 0)
    assert not tally.path.exists()
    assert bench.sink.attempts[-1] == "close"


def test_the_farewell_does_not_wait_for_a_sink_that_is_away(bench: Bench) -> None:
    """What it lacks stays in the spool, and the log says how much."""
    bench.sink.trouble = Unavailable("away")
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.push(0, 0, 1, 2)
    worker.hears(Welcome(RUN.id, 0))
    bench.stop()
    (done,) = bench.rig.log("bridge_done")
    assert str(done["undelivered"]).replace("'", '"') == '{"one": 3}'
    assert [batch.first_seq for batch in held(bench.spool)] == [0]


def test_the_farewell_ends_also_with_a_spool_that_fails(bench: Bench) -> None:
    """It leaves in time, with the reason, and promises nothing."""
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    bench.broken = True
    worker.push(0, 0)
    bench.told(lambda health: "spool" in health.why, "the trouble to be told")
    bench.stop()
    (done,) = bench.rig.log("bridge_done")
    assert (done["stored"], "spool" in str(done["why"])) == (0, True)
    assert bench.events == [("answer", RUN.id, -1)]


def test_nonsense_is_counted_and_harms_nobody(bench: Bench) -> None:
    """A stranger that sends rubbish is not answered; the worker beside it is, and the operator sees a number."""
    bench.start()
    stranger, worker = bench.worker(OTHER), bench.worker()
    stranger.say(*[b"\xffrubbish"] * 300)
    worker.hello()
    worker.push(0, 0)
    worker.hears(Welcome(RUN.id, 0))
    bench.told(lambda health: health.refused == 300, "all of it to be counted")


def test_one_turn_takes_in_no_more_than_it_should(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood is committed in parts, each acknowledged; nothing of it is lost."""
    monkeypatch.setattr(room, "TURN_readings", 10)
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    bench.go.clear()
    for number in range(50):
        worker.push(number, 2 * number, 2 * number + 1)
    assert bench.inside.wait(PATIENCE_s)
    bench.go.set()
    worker.hears(Ack(RUN.id, 49))
    bench.stop()
    assert bench.seqs() == list(range(100))
    assert sum(what == "commit" for what, *_ in bench.events) >= 9
    assert promised(bench.events) == []


def test_the_heartbeat_tells_of_spool_and_sinks(bench: Bench) -> None:
    """What is stored, what each sink has and lacks, and why."""
    bench.sink.trouble = Unavailable("the broker is away")
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.push(0, 0, 1, 2)
    health = bench.told(lambda health: health.stored == 3 and health.sinks[0].lag == 3, "the lag to be told")
    (sink,) = health.sinks
    assert (sink.name, sink.why, sink.delivered) == ("one", "the broker is away", 0)
    assert health.spool_bytes > 0
    bench.sink.trouble = None
    (sink,) = bench.told(lambda health: health.sinks[0].delivered == 3, "the delivery to be told").sinks
    assert (sink.up, sink.lag, sink.why) == (True, 0, "")


def test_a_sensor_without_room_waits_and_its_neighbour_does_not(bench: Bench) -> None:
    """Its own share is used up while the sink is away: no acknowledgement but a sign of life, told in the heartbeat; then it goes on."""
    bench.shares = {"front": Share("block", 300)}
    bench.sink.trouble = Unavailable("away")
    bench.start()
    worker, neighbour = bench.worker(), bench.worker(OTHER)
    for one in (worker, neighbour):
        one.hello()
        one.hears(Welcome(one.run.id, -1))
    worker.push(0, 0, 1, 2, 3, 4, 5)
    worker.hears(Ack(RUN.id, 0))
    worker.push(1, 6, 7, 8, 9)
    worker.hears(Held(RUN.id, 1))
    for number in range(20):
        neighbour.push(number, number)
    neighbour.hears(Ack(OTHER.id, 19))
    (crowded,) = bench.told(lambda health: bool(health.crowded), "who has no room").crowded
    assert (crowded.sensor, crowded.waiting) == ("front", 4)
    assert "spool_max_bytes" in crowded.why
    bench.sink.trouble = None
    worker.hears(Ack(RUN.id, 1))
    bench.told(lambda health: not health.crowded, "all to be well")
    until(lambda: len(bench.seqs()) == 30, PATIENCE_s, "all in the sink")
    bench.stop()
    assert promised(bench.events) == []


def test_rare_commits_for_a_card_lose_nothing_and_keep_nobody_waiting_too_long(bench: Bench) -> None:
    """commit_s: the disk is written seldom; a worker hears that all has arrived, and much in flight or a farewell is a reason to write."""
    bench.settings = SpoolSettings(commit_s=5.0)
    began = SystemClock().monotonic_ns()
    bench.start()
    worker = bench.worker()
    worker.hello()
    worker.hears(Welcome(RUN.id, -1))
    for number in range(10):
        worker.push(number, number)
        worker.hears(Held(RUN.id, number))
    commits = sum(what == "commit" for what, *_ in bench.events)
    assert commits <= 1 + (SystemClock().monotonic_ns() - began) // (5 * NS_PER_S)
    for number in range(10, 60):
        worker.push(number, number)
    worker.hears(Ack(RUN.id, 59), Held(RUN.id, 59))  # what comes while the bridge says farewell is written as it comes
    bench.stop()
    until(lambda: len(bench.seqs()) == 60, PATIENCE_s, "all in the sink")
    assert bench.seqs() == list(range(60))
    assert sum(what == "commit" for what, *_ in bench.events) <= 4 + (SystemClock().monotonic_ns() - began) // (5 * NS_PER_S)
    assert promised(bench.events) == []
