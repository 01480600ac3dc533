"""What the bridge has between spool and broker: a real spool, a real forwarder, the sink, and a bad network before a real broker."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import msgspec
from aio_pika.abc import AbstractIncomingMessage

from edgegw.bridge.forwarder import Forwarder
from edgegw.clock import SystemClock
from edgegw.log import Log
from edgegw.log.entry import json_line
from edgegw.sinks.rabbitmq import RabbitMQSink
from edgegw.spool import Commit, Reach, Spool
from tests.log_fakes import ListSink
from tests.records import a_run
from tests.services.base import until
from tests.services.proxy import Proxy
from tests.services.rabbitmq import Vhost
from tests.services.rabbitmq_sink import settings_to
from tests.spooling import handed

RUN = a_run(1)
EACH = 3  # readings of a record
PATIENCE_s = 90


class Line:
    """`with Line(…) as line:`: fill() the spool, and the forwarder delivers through `line.proxy`. `changes`: of the sink's settings."""

    def __init__(self, place: Vhost, directory: Path, secrets: Collection[str] = (), **changes: object) -> None:
        self.proxy = Proxy(place.port)
        self.sink = RabbitMQSink(settings_to(msgspec.structs.replace(place, port=self.proxy.port), **changes))
        self.filled = 0
        self._told = ListSink()
        self._log = Log("bridge", self._told, "debug", secrets=secrets)
        self._spool = Spool(directory / "spool.db", ["rabbitmq"])
        self.forwarder = Forwarder(self.sink, directory / "spool.db", Reach(0), self._log.logger(), SystemClock(), lambda: 0.5)

    def __enter__(self) -> Line:
        self.proxy.__enter__()
        self.forwarder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.forwarder.stop_soon()
        if not self.forwarder.ended(1):
            self.sink.close()  # breaks off what it is in
        ended = self.forwarder.ended(PATIENCE_s)
        self.proxy.__exit__(None, None, None)
        self._spool.close()
        self._log.stop()
        assert ended

    def fill(self, records: int) -> None:
        """So many records more, durable, and the forwarder woken."""
        for number in range(self.filled, self.filled + records):
            self._spool.commit(Commit(handed=[handed(RUN, number, number * EACH, EACH)]))
        self.filled += records
        self.forwarder.wake()

    @property
    def why(self) -> str:
        """What `status` would show as the trouble of this sink."""
        return self.forwarder.health(0).why

    def complains(self, words: str) -> None:
        """Wait until the trouble says so."""
        try:
            until(lambda: words in self.why, PATIENCE_s, f"trouble with {words!r}")
        except AssertionError as error:
            error.add_note(f"the trouble is {self.why!r}; {self.told()}")
            raise

    def done(self) -> None:
        """Wait until everything that was filled in is delivered and nothing is wrong."""
        until(lambda: self.forwarder.position == self.filled and not self.why, PATIENCE_s, f"position {self.filled}")

    def told(self) -> list[str]:
        """The log, line by line, as it would be written."""
        self._log.drain()
        return [json_line(entry).decode() for entry in self._told.entries]

    @property
    def expected(self) -> list[int]:
        """The seqs of everything that was filled in."""
        return list(range(self.filled * EACH))


def same_for_same_id(messages: Collection[AbstractIncomingMessage]) -> int:
    """How many messages came more than once; AssertionError where two of one id differ in what they carry."""
    bodies: dict[str, bytes] = {}
    for message in messages:
        assert message.message_id is not None
        assert bodies.setdefault(message.message_id, message.body) == message.body
        readings = json.loads(message.body)["readings"]
        assert message.message_id.endswith(f"/{readings[0]['seq']}-{readings[-1]['seq']}")
    return len(messages) - len(bodies)
