"""Real servers, reached through a proxy of ours: what happens to the way there looks like what happens to the server."""

from __future__ import annotations

import contextlib

import msgspec

from edgegw import driver, history
from edgegw.config import Settings
from edgegw.config.urls import Address, UrlError, parse
from edgegw.errors import ConfigError, EdgegwError, Problem
from edgegw.testing import witness
from edgegw.testing.proxy import Proxy

OF_GATEWAY = " WHERE s.`gateway_id` IN (SELECT `gateway_id` FROM `gateway` WHERE `name` = %s)"


class _Behind:
    """What they have in common; `word` is what scenarios call it."""

    sink = word = ""

    def __init__(self, url: str, address: Address) -> None:
        self._proxy = Proxy(address.port, address.host)
        login, at, _ = url.partition("://")[2].partition("/")[0].rpartition("@")
        self.url = f"{address.scheme}://{login}{at}{self._proxy.host}:{self._proxy.port}/{url.partition('://')[2].partition('/')[2]}"

    def section(self) -> str:
        return f"[sinks.{self.sink}]\nurl = {msgspec.json.encode(self.url).decode()}"

    def start(self) -> None:
        self._proxy.__enter__()

    def prepare(self, settings: Settings) -> None:
        """Before the gateway starts."""

    def cut(self) -> str:
        self._proxy.down()
        return f"the way to the {self.word} is cut: its connections break, new ones are refused"

    def mend(self) -> str:
        self._proxy.up()
        return f"the way to the {self.word} is open again"

    def hang(self) -> str:
        self._proxy.blackhole()
        return f"the way to the {self.word} swallows everything: its connections stay, and nobody answers"

    def go_on(self) -> str:
        self._proxy.blackhole(on=False)
        return f"the way to the {self.word} lets everything through again"

    def close(self) -> None:
        """End the proxy; the server itself is not touched."""
        self._proxy.__exit__(None, None, None)


class RabbitMQ(_Behind):
    """With an exchange and a queue of the drill's own, which are gone afterwards."""

    sink, word = "rabbitmq", "broker"

    def __init__(self, url: str, name: str) -> None:
        """`name`: of exchange and queue. Raises ConfigError."""
        address = _address("--rabbitmq", url, "amqp", 5672)
        super().__init__(url, address)
        self._name = name
        self._settings: Settings | None = None
        self.what = f"RabbitMQ at {address.host}:{address.port}, behind a proxy; exchange and queue {name} are removed afterwards"

    def section(self) -> str:
        return f'{super().section()}\nexchange = "{self._name}"\nqueue = "{self._name}"'

    def prepare(self, settings: Settings) -> None:
        """From here on there may be something to remove."""
        self._settings = settings

    def seen(self, settings: Settings) -> history.Observed:
        assert settings.sinks.rabbitmq is not None
        bodies = [msgspec.json.decode(body) for body in witness.taken_out(settings.sinks.rabbitmq)]
        return history.from_messages(self.sink, bodies)

    def close(self) -> None:
        """Remove exchange and queue, also where the way there is cut just now; then as ever."""
        if self._settings is not None and self._settings.sinks.rabbitmq is not None:
            with contextlib.suppress(EdgegwError):  # the drill has its verdict, or an error of its own to tell
                self._proxy.blackhole(on=False)
                self._proxy.up()
                witness.remove(self._settings.sinks.rabbitmq)
        super().close()


class MySQL(_Behind):
    """In a database whose tables the drill makes where they are missing; its rows stay there, under the name of its gateway."""

    sink, word = "mysql", "database"

    def __init__(self, url: str) -> None:
        """Raises ConfigError."""
        address = _address("--mysql", url, "mysql", 3306)
        if not address.local:
            what, how = "the drill's proxy would break the TLS that a database elsewhere needs", "ssh -L 3307:127.0.0.1:3306 HOST"
            raise ConfigError([Problem("--mysql", 0, "", what, f"forward its port to this machine, as with {how}")])
        super().__init__(url, address)
        self.what = f"the database {address.name} at {address.host}:{address.port}, behind a proxy; rows and tables stay there"

    def prepare(self, settings: Settings) -> None:
        """Make the tables. Raises SinkError."""
        from edgegw.sinks.configured import create_tables

        assert settings.sinks.mysql is not None
        kinds = {kind: fields for sensor in settings.sensors for kind, fields in driver.find(sensor.driver).field_names().items()}
        create_tables(settings.sinks.mysql, kinds)

    def seen(self, settings: Settings) -> history.Observed:
        assert settings.sinks.mysql is not None
        found = witness.rows(settings.sinks.mysql, history.ROWS + OF_GATEWAY, (settings.gateway.id,))
        return history.from_table(self.sink, found)


def _address(option: str, url: str, scheme: str, port: int) -> Address:
    example = f"{scheme}://user:password@127.0.0.1:{port}/{'database' if scheme == 'mysql' else ''}"
    try:
        return parse(url, {scheme: port}, example)
    except UrlError as error:
        raise ConfigError([Problem(option, 0, "", error.what, error.suggestion)]) from error
