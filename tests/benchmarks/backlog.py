"""How a gateway works off a backlog while its sensors go on: time to READY, readings a second, memory of the bridge, live latency.

python -m tests.benchmarks.backlog [READINGS]    private RabbitMQ and MariaDB, four virtual TF-Lunas at 100 Hz
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import aio_pika
import msgspec
import psutil
from rich.console import Console

from edgegw.reading import Batch, ClockState, Counts, Quality, Reading, Run
from edgegw.spool import Closed, Commit, Handed, Reader, Spool
from tests.processes.rig import Consumer, Rig, rig, sinks_toml
from tests.records import a_run
from tests.services.base import until
from tests.services.mariadb import Database, MariaDB, make_database, make_template
from tests.services.rabbitmq import Rabbit

SENSORS, HZ = 4, 100
RUNS = 5
SIZES = (10, 40, 100, 50)  # readings in a record
PATIENCE_s = 900.0
_START_ns = 1_700_000_000_000_000_000


class Found(msgspec.Struct, frozen=True):
    """What was measured."""

    ready_s: float
    drained_s: float  # from READY on
    readings: int  # in the backlog
    rss_bytes: int  # of the bridge, at most above what it had when it was READY
    live_s: Sequence[float]  # latencies of what was read meanwhile, ascending

    @property
    def p99_s(self) -> float:
        """Of the live readings."""
        return self.live_s[len(self.live_s) * 99 // 100]

    def __str__(self) -> str:
        rate = self.readings / self.drained_s
        live = f"live p50 {self.live_s[len(self.live_s) // 2]:.2f} s, p99 {self.p99_s:.2f} s, at most {self.live_s[-1]:.2f} s"
        drained = f"{self.readings} readings drained in {self.drained_s:.1f} s ({rate:.0f}/s)"
        return f"READY after {self.ready_s:.1f} s; {drained}; bridge +{self.rss_bytes / (1 << 20):.0f} MiB; {len(self.live_s)} {live}"


def preload(path: Path, sinks: Sequence[str], readings: int) -> list[Run]:
    """A spool with so many readings that no sink has, of runs that are over."""
    runs = [a_run(900 + number, f"old{number}", "rig") for number in range(RUNS)]
    spool = Spool(path, sinks)
    made = [0] * RUNS
    numbers = itertools.count()
    while sum(made) < readings:
        spool.commit(Commit(handed=[_handed(runs, made, readings, next(numbers)) for _ in range(200) if sum(made) < readings]))
    spool.commit(Commit(closed=[Closed(run, Counts(count), held=0) for run, count in zip(runs, made, strict=True)]))
    spool.close()
    return runs


def _handed(runs: Sequence[Run], made: list[int], readings: int, number: int) -> Handed:
    which = number % RUNS
    first, count = made[which], min(SIZES[number % len(SIZES)], readings - sum(made))
    made[which] += count
    values = (1.25, 100, 40.0)
    some = [
        Reading(seq, _START_ns + seq * 10_000_000, 1 + seq * 10_000_000, ClockState.SYNCED, Quality.GOOD, values)
        for seq in range(first, first + count)
    ]
    return Handed(runs[which], number, Batch(runs[which].id, "lidar", Counts(first + count), tuple(some)))


class Watch:
    """Asks again and again, in a thread, for boot times of live readings that have arrived; samples the bridge's memory."""

    def __init__(self, arrived: Callable[[], Sequence[int]], bridge: psutil.Process) -> None:
        self.live_s: list[float] = []
        self.rss_bytes = [bridge.memory_info().rss]
        self._arrived = arrived
        self._bridge = bridge
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            found = self._arrived()
            now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            self.live_s += [(now_ns - at_ns) / 1e9 for at_ns in found]
            self.rss_bytes.append(self._bridge.memory_info().rss)


class StoreTail:
    """Boot times of the newest rows in the embedded store, each once."""

    def __init__(self, path: Path, sensors: Sequence[str]) -> None:
        self._path = path
        self._sensors = sensors
        self._last: dict[str, tuple[str, int]] = {}

    def __call__(self) -> list[int]:
        """Of all live sensors since the last time."""
        if not self._path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as db:
            return [boot_ns for sensor in self._sensors for boot_ns in self._of(db, sensor)]

    def _of(self, db: sqlite3.Connection, sensor: str) -> Iterator[int]:
        try:
            rows = db.execute(
                "SELECT time, seq, boot_ns FROM lidar WHERE sensor_id = (SELECT sensor_id FROM sensor WHERE name = ?)"
                " AND (time, seq) > (?, ?) ORDER BY time, seq",
                (sensor, *self._last.get(sensor, ("", -1))),
            ).fetchall()
        except sqlite3.OperationalError:  # no tables yet
            return
        for at, seq, boot_ns in rows:
            self._last[sensor] = (at, seq)
            yield boot_ns


class ConsumerTail(Consumer):
    """A consumer that notes when live readings arrive."""

    def __init__(self, *given: object) -> None:
        self.late_s: list[float] = []
        super().__init__(*given)  # type: ignore[arg-type] # whatever a consumer is given

    async def _note(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        body = json.loads(message.body)
        if not body["sensor"].startswith("old"):
            self.late_s += [(now_ns - reading["boot_ns"]) / 1e9 for reading in body["readings"]]
        await super()._note(message)


def drained(gateway: Rig, sinks: Sequence[str], readings: int, arrived: Callable[[], Sequence[int]]) -> Found:
    """Start a gateway on a spool that was preloaded for `sinks`, and stay until the backlog has gone to all of them."""
    with contextlib.closing(Reader(gateway.paths.spool)) as reader:
        newest = reader.newest()
    began_s = time.monotonic()
    gateway.start()
    ready_s = time.monotonic() - began_s
    watch = Watch(arrived, gateway.children()["bridge"])
    try:
        with contextlib.closing(Reader(gateway.paths.spool)) as reader:
            until(lambda: all(reader.reach(sink).cursor >= newest for sink in sinks), PATIENCE_s, "the backlog to be drained")
        drained_s = time.monotonic() - began_s - ready_s
    finally:
        watch.close()
    return Found(ready_s, drained_s, readings, max(watch.rss_bytes) - watch.rss_bytes[0], sorted(watch.live_s))


def main() -> None:
    """Measure with both servers, and print."""
    readings = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    console = Console(width=140)
    template = make_template()
    rabbit, mariadb = Rabbit(), MariaDB(template)
    try:
        rabbit.start()
        mariadb.start()
        vhost, database = rabbit.add_vhost("backlog"), make_database(mariadb)
        with rig(SENSORS, HZ, sinks_toml(vhost, database)) as gateway:
            console.print(with_servers(gateway, ConsumerTail(vhost), database, readings))
    finally:
        mariadb.remove()
        rabbit.remove()
        shutil.rmtree(template)


def with_servers(gateway: Rig, consumer: ConsumerTail, database: Database, readings: int) -> str:
    """Preload, drain, and what both have to say about it."""
    try:
        preload(gateway.paths.spool, ["rabbitmq", "mysql"], readings)
        found = drained(gateway, ["rabbitmq", "mysql"], readings, list)
        gateway.stop()
    finally:
        consumer.close()
    rows = database.sql("SELECT count(*) FROM lidar")[0][0]
    kept = sum(book.kept for book in gateway.books())
    found = msgspec.structs.replace(found, live_s=sorted(consumer.late_s))
    return f"{found}; kept {kept}, rows in MariaDB {rows}, seen by the consumer {len(consumer.seen)}, books {_outcomes(gateway)}"


def _outcomes(gateway: Rig) -> dict[str, int]:
    totals: dict[str, int] = {}
    for book in gateway.books():
        for sink, outcome in book.sinks.items():
            totals[sink] = totals.get(sink, 0) + outcome.delivered
    return totals


if __name__ == "__main__":
    main()
