"""The spine, end to end: eight TF-Lunas at 100 Hz into a real RabbitMQ and a real MariaDB, through real commands."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import pytest

from edgegw.spool import Book
from tests.processes.rig import Consumer, Key, Rig, load_s, rig, sinks_toml, stored
from tests.services.base import living, until
from tests.services.mariadb import Database
from tests.services.rabbitmq import Rabbit, Vhost

SENSORS, HZ = 8, 100
LIVELINESS = 0.5  # of what the devices send in the time; a dead gateway loses nothing either


@pytest.fixture
def gateway(vhost: Vhost, database: Database) -> Iterator[Rig]:
    """Eight sensors and both sinks, not started."""
    with rig(SENSORS, HZ, sinks_toml(vhost, database)) as made:
        yield made


def wait(seconds: float, gateway: Rig) -> None:
    """Load for a while; the gateway must be there all along."""
    until_ = time.monotonic() + seconds
    supervisor = gateway.children()["supervisor"]
    until(lambda: time.monotonic() >= until_ or not supervisor.is_running(), seconds + 30, "the load to pass")
    assert supervisor.is_running(), gateway.logs()


def by_run(keys: Iterable[Key]) -> dict[str, list[int]]:
    """run → seqs in order."""
    found: dict[str, list[int]] = defaultdict(list)
    for _, run, seq in keys:
        found[run].append(seq)
    return {run: sorted(seqs) for run, seqs in found.items()}


def spans(found: dict[str, list[int]]) -> dict[str, tuple[int, int, int]]:
    """run → (how many, first, last): readable when it fails."""
    return {run: (len(seqs), seqs[0], seqs[-1]) for run, seqs in found.items()}


def check(gateway: Rig, consumer: Consumer, database: Database, seconds: float) -> dict[str, int]:
    """No gap but what the books declare, no duplicate in MySQL, everything in both places; returns lost readings by run."""
    rows, books = stored(database), gateway.books()
    with contextlib.suppress(AssertionError):
        until(lambda: len(consumer.seen) >= len(rows), 30, "the consumer to have it all")
    assert max(rows.values()) == 1
    missing, extra = by_run(set(rows) - set(consumer.seen)), by_run(set(consumer.seen) - set(rows))
    assert (spans(missing), spans(extra)) == ({}, {}), f"not at the consumer, not in MySQL; consumer's sessions: {consumer.sessions}"
    assert len(rows) >= LIVELINESS * SENSORS * HZ * seconds
    seqs = by_run(rows)
    assert set(seqs) <= {book.run.id for book in books}
    return {book.run.id: declared(book, seqs.get(book.run.id, [])) for book in books}


def declared(book: Book, seqs: list[int]) -> int:
    """What a closed book says is missing; the seqs must say the same."""
    assert book.closed
    assert all(at.delivered == at.total == book.kept for at in book.sinks.values())
    assert book.kept == len(seqs)
    missing = book.counts.produced - len(seqs)
    gaps = len(set(range(seqs[-1] + 1)) - set(seqs)) if seqs else 0
    assert gaps <= book.counts.dropped <= missing
    return missing


def test_at_rest_every_reading_arrives(gateway: Rig, vhost: Vhost, database: Database) -> None:
    """Without a fault, consumer and table hold every (sensor, run, seq) from 0 on, and nothing is left behind after stop."""
    seconds = load_s(10)
    gateway.start()
    with contextlib.closing(Consumer(vhost)) as consumer:
        wait(seconds, gateway)
        processes = gateway.children()
        gateway.stop()
        lost = check(gateway, consumer, database, seconds)
    assert set(lost.values()) == {0}
    assert len(lost) == SENSORS
    assert not living(*processes.values())
    assert sorted(path.name for path in gateway.paths.runtime.rglob("*")) == ["lock", "tally"]


def faults(gateway: Rig, rabbitmq: Rabbit, database: Database, seconds: float) -> list[tuple[str, Callable[[], object]]]:
    """In turn: the broker away, the database away, the bridge killed, a worker killed."""
    mariadb = database.mariadb

    def kill(name: str) -> None:
        victim = gateway.children()[name]
        victim.send_signal(signal.SIGKILL)
        until(lambda: gateway.children().get(name, victim).pid != victim.pid, 30, f"{name} to be back")

    def away(stop: Callable[[], object], start: Callable[[], object]) -> None:
        stop()
        wait(seconds, gateway)
        start()

    return [
        ("RabbitMQ stopped", lambda: away(rabbitmq.stop, rabbitmq.start)),
        ("MariaDB stopped", lambda: away(mariadb.stop, mariadb.start)),
        ("bridge killed", lambda: kill("bridge")),
        ("worker killed", lambda: kill("s3")),
    ]


@pytest.mark.timeout(600)
def test_through_faults_nothing_is_missing_but_what_is_declared(gateway: Rig, rabbitmq: Rabbit, vhost: Vhost, database: Database) -> None:
    """Broker and database away, bridge and worker killed: only the killed worker's window may be missing, and the books say so."""
    seconds = load_s(15) / 3
    begun = time.monotonic()
    gateway.start()
    with contextlib.closing(Consumer(vhost)) as consumer:
        wait(2, gateway)
        victim = next(child["health"]["run"] for child in gateway.status()["children"] if child["name"] == "s3")
        for _, strike in faults(gateway, rabbitmq, database, seconds):
            strike()
            wait(2, gateway)
        gateway.settle()
        gateway.stop()
        lost = check(gateway, consumer, database, time.monotonic() - begun)
    assert {run: count for run, count in lost.items() if run != victim and count} == {}
    assert lost[victim] <= 4096
    assert len(lost) == SENSORS + 1


def test_supervisor_killed_leaves_no_process(gateway: Rig) -> None:
    """SIGKILL of the supervisor ends every process of the gateway within two seconds, and a new one starts at once."""
    gateway.start()
    processes = gateway.children()
    processes.pop("supervisor").send_signal(signal.SIGKILL)
    until(lambda: not living(*processes.values()), 2, "all of them to end")
    gateway.start()
    assert gateway.status()["state"] == "running"


def test_sigterm_ends_all_within_ten_seconds(gateway: Rig) -> None:
    """SIGTERM ends everything in ten seconds; the books of all runs are closed by then."""
    gateway.start()
    until(lambda: all(sink["delivered"] for sink in gateway.sinks().values()) and gateway.sinks(), 60, "first deliveries")
    processes = gateway.children()
    processes["supervisor"].send_signal(signal.SIGTERM)
    until(lambda: not living(*processes.values()), 10, "all of them to end")
    assert all(book.closed for book in gateway.books())


def test_second_start_touches_nothing(gateway: Rig) -> None:
    """A second start exits 75 and the first goes on with the same processes."""
    gateway.start()
    before = {name: process.pid for name, process in gateway.children().items()}
    again = gateway.run("start")
    assert again.returncode == 75
    assert f"pid {before['supervisor']}" in again.stderr
    assert {name: process.pid for name, process in gateway.children().items()} == before
