"""The servers of a drill: our own stand-in, or real ones behind a proxy; each can be taken away, made to hang, and given back."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Protocol

import msgspec

from edgegw.cli.owned import environment
from edgegw.config import Settings
from edgegw.history import Observed, from_messages
from edgegw.testing.broker import Broker, messages


class Server(Protocol):
    """As scenarios use it."""

    @property
    def sink(self) -> str: ...  # its name in `status`
    @property
    def what(self) -> str: ...  # for people
    def section(self) -> str: ...  # of the configuration
    def start(self) -> None: ...
    def prepare(self, settings: Settings) -> None: ...  # before the gateway starts
    def cut(self) -> str: ...  # it is gone; returns what was done
    def mend(self) -> str: ...
    def hang(self) -> str: ...  # it is there and does nothing
    def go_on(self) -> str: ...
    def seen(self, settings: Settings) -> Observed: ...  # what it has of this gateway
    def close(self) -> None: ...


class StandIn:
    """edgegw.testing.broker, a process of ours."""

    sink, what = "rabbitmq", "a small AMQP broker of edgegw's own, in a process of its own, in the place of a RabbitMQ"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._broker = Broker(directory, environment())

    def section(self) -> str:
        return f'[sinks.rabbitmq]\nurl = "{self._broker.url}"'

    def start(self) -> None:
        self._broker.start()

    def prepare(self, settings: Settings) -> None:
        """Nothing: the gateway declares what it needs."""

    def cut(self) -> str:
        pid = self._broker.pid
        self._broker.kill()
        return f"SIGKILL to the broker, process {pid}"

    def mend(self) -> str:
        self._broker.start()
        return "the broker is started again"

    def hang(self) -> str:
        os.kill(self._broker.pid, signal.SIGSTOP)
        return f"SIGSTOP to the broker, process {self._broker.pid}: its connections stay, and nobody answers"

    def go_on(self) -> str:
        os.kill(self._broker.pid, signal.SIGCONT)
        return "SIGCONT to the broker"

    def seen(self, settings: Settings) -> Observed:
        return from_messages(self.sink, [msgspec.json.decode(message.body) for message in messages(self._directory)])

    def close(self) -> None:
        self._broker.close()


def from_urls(home: Path, rabbitmq: str | None, mysql: str | None) -> list[Server]:
    """Real servers where there are URLs for them; a broker there always is. Raises ConfigError."""
    if not rabbitmq and not mysql:
        return [StandIn(home / "broker")]
    from edgegw.cli.drill.behind import MySQL, RabbitMQ  # with the libraries of both

    broker: Server = RabbitMQ(rabbitmq, home.name) if rabbitmq else StandIn(home / "broker")
    return [broker, MySQL(mysql)] if mysql else [broker]
