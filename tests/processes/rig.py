"""A whole gateway as its users have it: real commands, real processes, virtual TF-Lunas on real ports, somebody else's consumer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aio_pika
import psutil
from aio_pika.connection import make_url

from edgegw.paths import Paths
from edgegw.spool import Book, Reader
from tests.processes.typed import REPOSITORY, Typed
from tests.services.base import until
from tests.services.mariadb import Database
from tests.services.rabbitmq import Vhost

Key = tuple[str, str, int]  # sensor, run, seq


class Rig(Typed):
    """One gateway in a short temporary directory; close() leaves nothing of it."""

    def __init__(self, sensors: int, hz: int, sinks: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="eg-", dir="/tmp"))
        self.names = [f"s{number}" for number in range(sensors)]
        self.paths = Paths(self.home / "run", self.home / "state")
        super().__init__(self.home / "edgegw.toml")
        blocks = [f'[gateway]\nid = "rig"\nruntime_dir = "{self.paths.runtime}"\nstate_dir = "{self.paths.state}"', sinks]
        blocks += [
            f'[sensors.{name}]\ndriver = "tfluna"\nport = "{self.home}/dev/{at}"\nrate_hz = {hz}' for at, name in enumerate(self.names)
        ]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(blocks) + "\n")
        arguments = ["--count", str(sensors), "--dir", str(self.home / "dev"), "--hz", str(hz)]
        (self.home / "dev").mkdir()
        self.lunas = subprocess.Popen(
            [sys.executable, "-m", "workers.virtual.tfluna", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPOSITORY,
        )
        until(lambda: len(list((self.home / "dev").iterdir())) >= sensors, 30, "the virtual devices")

    def children(self) -> dict[str, psutil.Process]:
        """The gateway's processes by name, with the supervisor."""
        answer = self.status()
        named = {child["name"]: psutil.Process(child["pid"]) for child in answer["children"] if child["pid"]}
        return {"supervisor": psutil.Process(answer["pid"]), **named}

    def sinks(self) -> dict[str, dict[str, Any]]:
        """The sinks as status shows them."""
        bridge = next(child for child in self.status()["children"] if child["name"] == "bridge")
        return {sink["name"]: sink for sink in (bridge["health"] or {}).get("sinks", ())}

    def settle(self, timeout_s: float = 90) -> None:
        """Wait until every sink is up and has all that the spool had."""

        def settled() -> bool:
            sinks = self.sinks()
            return bool(sinks) and all(sink["up"] and sink["lag_s"] < 3 for sink in sinks.values())

        until(settled, timeout_s, f"the sinks to catch up: {self.sinks()}")

    def books(self) -> list[Book]:
        """The spool's books."""
        with contextlib.closing(Reader(self.paths.spool)) as reader:
            return reader.books()

    def close(self) -> None:
        """End everything and remove the directory."""
        if self.paths.lock.exists():
            self.run("stop", "--timeout", "20")
        self.lunas.communicate()  # closing its standard input ends it
        shutil.rmtree(self.home, ignore_errors=True)


@contextlib.contextmanager
def rig(sensors: int, hz: int, sinks: str) -> Iterator[Rig]:
    """A rig that is cleared away."""
    made = Rig(sensors, hz, sinks)
    try:
        yield made
    finally:
        made.close()


def sinks_toml(vhost: Vhost, database: Database) -> str:
    """Both real sinks, as a user writes them."""
    server = database.gateway
    broker = f"amqp://{vhost.user}:{vhost.password}@{vhost.host}:{vhost.port}/{vhost.name}"
    store = f"mysql://{server.user}:{server.password()}@{server.host}:{server.port}/{server.database}"
    return f'[sinks.rabbitmq]\nurl = "{broker}"\n[sinks.mysql]\nurl = "{store}"\ntls = "off"'


class Consumer:
    """A foreign AMQP consumer in a thread: counts every (sensor, run, seq), and comes back when the broker does."""

    def __init__(self, vhost: Vhost) -> None:
        self.seen: Counter[Key] = Counter()
        self.sessions: list[str] = []  # how each ended
        self._vhost = vhost
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="consumer")
        self._thread.start()

    def close(self) -> None:
        """Stop consuming."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._consume())
            self._loop.run_until_complete(self._end())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        """aio-pika leaves tasks that close lost connections: one that never begins would warn, at some later test."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _consume(self) -> None:
        while not self._stop.is_set():
            try:
                await self._session()
                self.sessions.append("closed")
            except (TimeoutError, aio_pika.exceptions.AMQPError, OSError) as error:
                self.sessions.append(f"{type(error).__name__}: {error}")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.5)

    async def _session(self) -> None:
        ended = asyncio.Event()
        async with await self._connected() as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=200)
            queue = await channel.declare_queue("edgegw.readings", passive=True)
            await queue.consume(self._note)
            connection.close_callbacks.add(lambda *_: ended.set())
            while not ended.is_set() and not self._stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), 0.2)

    async def _connected(self) -> aio_pika.Connection:
        """Closed where it fails: aio-pika's __del__ would want to, in whichever thread collects the garbage, and that one has no loop."""
        v = self._vhost
        connection = aio_pika.Connection(make_url(host=v.host, port=v.port, login=v.user, password=v.password, virtualhost=v.name))
        try:
            await connection.connect(timeout=5)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _note(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        self.seen.update((body["sensor"], body["run"], reading["seq"]) for reading in body["readings"])
        await message.ack()


def stored(database: Database) -> Counter[Key]:
    """Every row in MySQL."""
    rows: Sequence[Sequence[Any]] = database.sql(
        "SELECT s.name, r.uuid, l.seq FROM lidar l JOIN run r ON r.run_id = l.run_id JOIN sensor s ON s.sensor_id = l.sensor_id"
    )
    return Counter((str(name), str(run), int(seq)) for name, run, seq in rows)


def load_s(short: float) -> float:
    """How long to load the gateway: `short` in the everyday suite, EDGEGW_LOAD_S in the long form."""
    return float(os.environ.get("EDGEGW_LOAD_S", short))
