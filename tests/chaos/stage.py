"""The gateway under test: eight metronomes, a real RabbitMQ and a real MariaDB behind bad networks, and somebody who listens."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import aio_pika
import psutil
import pymysql
import zmq

from edgegw import control, driver, failpoint, history
from edgegw.errors import EdgegwError
from edgegw.sinks.mysql import initialise
from edgegw.spool import Book, Reader
from tests.chaos.plan import SENSORS
from tests.processes import metronomes
from tests.processes.rig import Consumer, sinks_toml
from tests.services.base import living, until
from tests.services.mariadb import Database, MariaDB, drop_database, make_database, make_template
from tests.services.proxy import Proxy
from tests.services.rabbitmq import Rabbit, Vhost

GONE_s = 30
Connection: TypeAlias = "pymysql.connections.Connection[Any]"


class Audience(Consumer):
    """A consumer that keeps what it is given, and whose ear can be closed."""

    def __init__(self, vhost: Vhost) -> None:
        self.bodies: list[bytes] = []
        self.listening = threading.Event()
        self.listening.set()
        super().__init__(vhost)

    async def _note(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.bodies.append(message.body)
        await super()._note(message)

    def observed(self) -> history.Observed:
        """As the checker takes it."""
        return history.from_messages("rabbitmq", map(json.loads, self.bodies))


class Gateway(metronomes.Gateway):
    """The reference load with both sinks; sensors come and go."""

    def __init__(self, sinks: str) -> None:
        super().__init__(0, 0)
        self.sinks = sinks
        self.more: Mapping[str, str] = {}  # sensor → further lines of its section
        self.sensors = list(SENSORS)
        self.absent: set[str] = set()
        for name in self.sensors:
            (self.journals / name).mkdir(parents=True)
        self.config.chmod(0o600)
        self.configure()

    def configure(self) -> None:
        """Write the configuration as it should be now."""
        blocks = [f'[gateway]\nid = "chaos"\nruntime_dir = "{self.paths.runtime}"\nstate_dir = "{self.paths.state}"', self.sinks]
        for name in self.sensors:
            if name not in self.absent:
                blocks.append(f'[sensors.{name}]\ndriver = "metronome"\nrate_hz = {SENSORS[name]}\njournal = "{self.journals / name}"')
                blocks.append(self.more.get(name, ""))
        self.config.write_text("\n".join(blocks) + "\n")

    def arm(self, points: str) -> None:
        """Of the next life; "": nothing."""
        self.points = points
        self.environment[failpoint.SPEC] = points

    def look(self) -> dict[str, Any]:
        """The status, or nothing where nobody answers."""
        with contextlib.suppress(EdgegwError, OSError):
            return control.ask(self.paths.control, "status")
        return {}

    def children(self) -> dict[str, dict[str, Any]]:
        """By name."""
        return {child["name"]: child for child in self.look().get("children", ())}

    def process(self, name: str) -> psutil.Process | None:
        """That child's, if it has one now; "supervisor": the gateway's own."""
        pid = self.look().get("pid") if name == "supervisor" else self.children().get(name, {}).get("pid")
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(pid) if pid else None
        return None

    def processes(self) -> list[psutil.Process]:
        """All that run for this gateway, whoever their parent is."""
        found = [process for process in psutil.process_iter(["cmdline"]) if str(self.config) in (process.info["cmdline"] or ())]
        return living(*found)

    def kill_all(self) -> None:
        """SIGKILL to the supervisor; its children go with it."""
        supervisor = self.process("supervisor")
        if supervisor is not None:
            supervisor.kill()
        until(lambda: not self.processes(), GONE_s, "every process of the gateway to end with its supervisor")

    def books(self) -> list[Book]:
        """The spool's books."""
        with contextlib.closing(Reader(self.paths.spool)) as reader:
            return reader.books()

    def acknowledged(self) -> Counter[str]:
        """Sensor → readings that its workers were told are safe, since the beginning."""
        found = Counter[str]()
        for book in self.books():
            found[book.run.sensor] += book.kept
        return found

    def bridge_sinks(self) -> Mapping[str, Mapping[str, Any]]:
        """Sink → how it is, as the bridge sees it."""
        health = self.children().get("bridge", {}).get("health") or {}
        return {sink["name"]: sink for sink in health.get("sinks", ())}


class Servers:
    """Both servers, a proxy before each, and what is in them at the end."""

    def __init__(self, rabbit: Rabbit, mariadb: MariaDB) -> None:
        """Both run."""
        self.rabbit, self.mariadb = rabbit, mariadb
        self.vhost = rabbit.add_vhost(f"chaos{secrets.token_hex(4)}")
        self.database: Database = make_database(mariadb)
        self.lock: Connection | None = None  # holds FLUSH TABLES WITH READ LOCK
        initialise(self.database.admin, driver.find("metronome").field_names())
        self.proxies = {"rabbitmq": Proxy(self.rabbit.port), "mariadb": Proxy(self.mariadb.port)}
        for proxy in self.proxies.values():
            proxy.__enter__()

    @property
    def toml(self) -> str:
        """Both sinks, through the proxies."""
        plain = sinks_toml(self.vhost, self.database)
        ports = {self.rabbit.port: self.proxies["rabbitmq"].port, self.mariadb.port: self.proxies["mariadb"].port}
        for real, proxied in ports.items():
            plain = plain.replace(f":{real}/", f":{proxied}/")
        return plain

    def rows(self) -> Sequence[Sequence[Any]]:
        """What MariaDB holds, asked as root."""
        return self.database.sql(history.ROWS)

    def unlock(self) -> None:
        """Nobody holds a lock in MariaDB; whose connection is lost holds none either."""
        held, self.lock = self.lock, None
        if held is not None:
            with contextlib.suppress(pymysql.MySQLError, OSError):
                held.close()

    def well(self) -> None:
        """Both run, and nothing is between."""
        self.unlock()
        self.rabbit.ensure()
        self.mariadb.ensure()
        for proxy in self.proxies.values():
            proxy.blackhole(False)
            proxy.latency_s = 0.0
            proxy.up()

    def close(self) -> None:
        """Leave nothing of this stage in them."""
        self.unlock()
        for proxy in self.proxies.values():
            proxy.__exit__(None, None, None)
        drop_database(self.database)


class Stage:
    """All of it."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.gateway = Gateway(servers.toml)
        self.audience = Audience(servers.vhost)
        self.listener: zmq.Context[zmq.Socket[bytes]] | None = None  # of whoever listens to the tap

    @property
    def home(self) -> Path:
        """Where all files of the gateway are."""
        return self.gateway.home

    def close(self) -> None:
        """End everything but the servers, and leave nothing."""
        if self.listener is not None:
            self.listener.destroy(linger=0)
        self.audience.close()
        self.gateway.arm("")
        self.gateway.close()


@contextlib.contextmanager
def servers() -> Iterator[tuple[Rabbit, MariaDB]]:
    """Of our own, removed in the end."""
    template = make_template()
    rabbit, mariadb = Rabbit(), MariaDB(template)
    try:
        rabbit.start()
        mariadb.start()
        yield rabbit, mariadb
    finally:
        mariadb.remove()
        shutil.rmtree(template, ignore_errors=True)
        rabbit.remove()


@contextlib.contextmanager
def stage(rabbit: Rabbit, mariadb: MariaDB) -> Iterator[Stage]:
    """On these servers, which run; one that is cleared away."""
    with contextlib.closing(Servers(rabbit, mariadb)) as both, contextlib.closing(Stage(both)) as made:
        yield made
