"""Strangers on the bus of a running gateway: what is no message, what was said before, what nobody is. Who is honest notices nothing."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psutil
import pytest
import zmq

from edgegw import codec
from edgegw.bridge.intake import MOST_runs
from edgegw.bus import WorkerEnd, endpoint
from edgegw.codec import Ack, Again, Hello, Message, Push, Welcome
from edgegw.control import ask
from edgegw.paths import Paths
from edgegw.reading import Batch, Counts, Run, Value
from tests.nonsense import nonsense
from tests.processes.rig import Rig, rig
from tests.records import a_reading, a_run
from tests.services.base import until

LONG = "EDGEGW_LOAD_S" in os.environ
FRAMES = 100_000 if LONG else 5_000
BETWEEN = 25  # frames of a stranger between two of an honest worker
PATIENCE_s = 60
NOISE_s = 0.02 if LONG else 0.5  # of the slowest in a hundred; of 200 they are two, and a busy machine alone makes such
GROWN_bytes = 8 << 20
LINGER = "linger_s = 0.01\n[sinks.sqlite]"  # the delay that is there on purpose shall not hide one that is not


@pytest.fixture(scope="module")
def gateway() -> Iterator[Rig]:
    """One gateway for all of them, with one sensor of its own."""
    with rig(1, 100, LINGER) as made:
        made.start()
        yield made
        made.stop()


def told(paths: Paths) -> dict[str, Any]:
    """The bridge's part of the status."""
    found: dict[str, Any] = next(child for child in ask(paths.control, "status")["children"] if child["role"] == "bridge")
    return found


def health(paths: Paths, key: str) -> Any:
    """One number of what the bridge says of itself; what is at its default is left out."""
    return (told(paths)["health"] or {}).get(key, 0)


def push(run: Run, number: int, values: Sequence[Value] = (1.5, 2, 40.0), seq: int | None = None) -> Push:
    """One reading as a batch of its own."""
    readings = (a_reading(number if seq is None else seq, values),)
    return Push(number, Batch(run.id, next(iter(run.fields)), Counts(produced=number + 1), readings))


class Worker:
    """The other end of the bus, spoken by hand, as honest as it is asked to be."""

    def __init__(self, paths: Paths, run: Run) -> None:
        self.run = run
        self.heard: list[Message] = []
        self.end = WorkerEnd(paths.bus)

    def hello(self, committed: int = -1) -> None:
        """On a connection of its own; the bridge must have so much of this run."""
        self.end.connect()
        assert self.end.send(codec.encode(Hello(self.run)))
        self.hears(Welcome(self.run.id, committed))

    def hello_until(self, committed: int) -> None:
        """The same, asked again while there is no answer, as a real worker does."""

        def welcome() -> bool:
            self.end.connect()
            assert self.end.send(codec.encode(Hello(self.run)))
            self.end.wait(0.5)
            return codec.encode(Welcome(self.run.id, committed)) in self.end.receive()

        until(welcome, PATIENCE_s, "a welcome")

    def say(self, message: Message) -> None:
        assert self.end.send(codec.encode(message))

    def push(self, number: int) -> None:
        """One reading, the same whenever it is said again."""
        self.say(push(self.run, number))

    def hears(self, message: Message) -> None:
        def arrived() -> bool:
            self.end.wait(0.5)
            self.heard += map(codec.decode, self.end.receive())
            return message in self.heard

        until(arrived, PATIENCE_s, f"{message} (heard {self.heard[-5:]})")

    def push_s(self, number: int) -> float:
        """How long one reading takes until it is on disk and acknowledged."""
        begun = time.monotonic()
        self.push(number)
        self.hears(Ack(self.run.id, number))
        self.heard.clear()
        return time.monotonic() - begun


@pytest.fixture
def workers(gateway: Rig) -> Iterator[Callable[[Run], Worker]]:
    """Workers that are closed in the end."""
    made: list[Worker] = []

    def worker(run: Run) -> Worker:
        made.append(Worker(gateway.paths, run))
        return made[-1]

    yield worker
    for each in made:
        each.end.close()


@pytest.fixture
def strangers(gateway: Rig) -> Iterator[Callable[[], zmq.Socket[bytes]]]:
    """Raw sockets, connected to the bus."""
    context = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def stranger() -> zmq.Socket[bytes]:
        sockets.append(context.socket(zmq.DEALER))
        sockets[-1].setsockopt(zmq.SNDTIMEO, PATIENCE_s * 1000)
        sockets[-1].connect(endpoint(gateway.paths.bus))
        return sockets[-1]

    yield stranger
    for each in sockets:
        each.close(0)
    context.term()


def stored(gateway: Rig, run: Run) -> list[int]:
    """Seqs of a run in the embedded store, in order."""
    with contextlib.closing(sqlite3.connect(gateway.paths.store)) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM lidar JOIN run USING (run_id) WHERE uuid = ? ORDER BY seq", (run.id,))]


@pytest.mark.timeout(900)
def test_nonsense_is_refused_and_counted_and_slows_nobody(
    gateway: Rig, workers: Callable[[Run], Worker], strangers: Callable[[], zmq.Socket[bytes]]
) -> None:
    """Thousands of frames that are no message, on many connections: each is counted, and an honest worker is answered as before."""
    rng, pid, before = random.Random(42), told(gateway.paths)["pid"], health(gateway.paths, "refused")
    honest, rounds = workers(a_run(1, "honest")), FRAMES // BETWEEN
    honest.hello()
    quiet_s, noisy_s, connection = [honest.push_s(0)], [honest.push_s(1)], strangers()
    rss_bytes = psutil.Process(pid).memory_info().rss
    for number in range(2, 2 * rounds + 2, 2):  # in turn: what else the machine does strikes both
        quiet_s.append(honest.push_s(number))
        for _ in range(BETWEEN):
            connection.send_multipart(nonsense(rng, honest.run))
        noisy_s.append(honest.push_s(number + 1))
        if number % 20 == 0:
            connection.close(PATIENCE_s * 1000)  # in a thread of libzmq's own, once all is sent
            connection = strangers()
    until(lambda: health(gateway.paths, "refused") >= before + rounds * BETWEEN, PATIENCE_s, "all to be refused")
    grown_bytes = psutil.Process(pid).memory_info().rss - rss_bytes
    medians_s, worst_s = ([statistics.quantiles(each, n=100)[at] for each in (quiet_s, noisy_s)] for at in (49, 98))
    print(f"quiet, noisy: median {medians_s}, p99 {worst_s} s; {rounds * BETWEEN} frames; bridge grew by {grown_bytes >> 10} KiB")
    assert health(gateway.paths, "refused") == before + rounds * BETWEEN
    assert told(gateway.paths)["pid"] == pid
    assert medians_s[1] < 1.2 * medians_s[0] + 0.005
    assert worst_s[1] < 1.2 * worst_s[0] + NOISE_s
    assert grown_bytes < GROWN_bytes
    until(lambda: stored(gateway, honest.run) == list(range(2 * rounds + 2)), PATIENCE_s, "all that was honest, once, in the store")
    assert "is no worker of this gateway" in gateway.run("logs").stdout


def test_a_message_of_more_than_a_megabyte_costs_its_sender_the_connection(
    gateway: Rig, workers: Callable[[Run], Worker], strangers: Callable[[], zmq.Socket[bytes]]
) -> None:
    """libzmq throws it away unread: the bridge does not grow by it, and who is honest goes on."""
    bridge, honest = psutil.Process(told(gateway.paths)["pid"]), workers(a_run(2, "beside"))
    honest.hello()
    honest.push_s(0)
    rss_bytes = bridge.memory_info().rss
    for number in range(1, 11):
        stranger = strangers()
        with contextlib.closing(stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)) as events:
            stranger.send(bytes(50 << 20))
            gone = events.poll(PATIENCE_s * 1000)
            stranger.disable_monitor()
        stranger.close(0)
        assert gone
        honest.push_s(number)
    assert bridge.memory_info().rss - rss_bytes < GROWN_bytes
    assert told(gateway.paths)["pid"] == bridge.pid


def test_who_says_what_was_said_before_adds_nothing(gateway: Rig, workers: Callable[[Run], Worker]) -> None:
    """A whole run repeated by a stranger is acknowledged and kept once; its worker is asked to begin anew, and loses nothing."""
    honest, stranger, again = workers(a_run(3, "twice")), workers(a_run(3, "twice")), Again()
    honest.hello()
    for number in range(5):
        honest.push_s(number)
    stranger.hello(4)
    for number in range(5):
        stranger.push(number)
    stranger.hears(Ack(honest.run.id, 4))
    honest.push(5)
    honest.hears(again)
    honest.hello(4)
    honest.push_s(5)
    stranger.push(6)
    stranger.hears(again)
    until(lambda: stored(gateway, honest.run) == list(range(6)), PATIENCE_s, "six readings in the store")
    assert [book.kept for book in gateway.books() if book.run.id == honest.run.id] == [6]


def test_who_takes_the_name_of_a_run_does_not_change_it(
    gateway: Rig, workers: Callable[[Run], Worker], strangers: Callable[[], zmq.Socket[bytes]]
) -> None:
    """Whatever else it says of a run that is known, by the bridge or by a bridge before it, is refused: sensor, fields, boot."""
    honest, stranger = workers(a_run(4, "mine")), strangers()
    honest.hello()
    honest.push_s(0)
    others = [a_run(4, "theirs"), a_run(4, "mine", kinds={"lidar": {"distance_m": "float"}}), a_run(4, "mine", "elsewhere")]
    before = health(gateway.paths, "refused")
    for other in others:
        stranger.send(codec.encode(Hello(other)))
        stranger.send(codec.encode(push(other, 1, [1.5] * len(other.fields["lidar"]))))
        assert codec.decode(stranger.recv()) == Again()
    until(lambda: health(gateway.paths, "refused") == before + len(others), PATIENCE_s, "each to be refused")
    honest.push_s(1)
    until(lambda: stored(gateway, honest.run) == [0, 1], PATIENCE_s, "both readings under their own name")


def test_runs_that_nobody_is_stop_no_sink(gateway: Rig, workers: Callable[[Run], Worker]) -> None:
    """Names and kinds that no table has, SQL in place of a name, nothing in place of one: kept, and dead letters at worst."""
    names = ("", "'; DROP TABLE lidar; --", "a" * 3000, "\0", "../../etc", "\n\x1b[2J", "𝔘")
    runs = [a_run(100 + at, name) for at, name in enumerate(names)]
    runs += [a_run(200 + at, "odd", kinds={name: {"x": "float"}}) for at, name in enumerate(names)]
    runs += [a_run(300 + at, "odd", kinds={"lidar": {name: "float"}}) for at, name in enumerate(names)]
    runs += [a_run(400, "odd", kinds={"lidar": {"x": "no type"}}), a_run(401, "odd", kinds={"run": {"uuid": "text"}})]
    pid = told(gateway.paths)["pid"]
    for run in runs:
        wild = workers(run)
        wild.hello()
        wild.say(push(run, 0, [1.5] * len(next(iter(run.fields.values())))))
        wild.hears(Ack(run.id, 0))
    honest = workers(a_run(5, "behind"))
    honest.hello()
    honest.push_s(0)
    until(lambda: stored(gateway, honest.run) == [0], PATIENCE_s, "the sink to be past all of them")
    assert told(gateway.paths)["pid"] == pid
    assert [sink["up"] for sink in health(gateway.paths, "sinks")] == [True]


def test_who_announces_run_after_run_fills_no_memory(
    gateway: Rig, workers: Callable[[Run], Worker], strangers: Callable[[], zmq.Socket[bytes]]
) -> None:
    """Only so many runs are known at a time; whoever was forgotten over it is asked to say Hello again, and goes on."""
    bridge, honest, stranger = psutil.Process(told(gateway.paths)["pid"]), workers(a_run(6, "early")), strangers()
    honest.hello()
    honest.push_s(0)
    wide = {"lidar": {f"f{at:04}": "float" for at in range(2000)}}
    grown_bytes = [bridge.memory_info().rss]
    for first in (0, 2 * MOST_runs, 4 * MOST_runs):
        for number in range(first, first + 2 * MOST_runs):
            stranger.send(codec.encode(Hello(a_run(1000 + number, "many", kinds=wide))))
        honest.hello_until(0)
        grown_bytes.append(bridge.memory_info().rss)
    print(f"the bridge, before and after three times {2 * MOST_runs} runs: {[each >> 20 for each in grown_bytes]} MiB")
    assert told(gateway.paths)["pid"] == bridge.pid, gateway.logs()
    assert grown_bytes[3] - grown_bytes[2] < (grown_bytes[1] - grown_bytes[0]) / 4
    honest.push_s(1)
