"""The broker of edgegw.testing: our own sink cannot tell it from RabbitMQ, and what it confirmed outlives its SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import Busy, Refused
from edgegw.testing.broker import Broker, messages
from edgegw.testing.broker.desk import Desk
from edgegw.testing.broker.journal import Journal, Queue
from tests import test_rabbitmq as contract
from tests import test_rabbitmq_faults as faults
from tests.services.rabbitmq import Vhost

from tests.services.rabbitmq_sink import sink_to as sink_to  # isort: skip - a fixture
from tests.services.rabbitmq_sink import QUEUE, MakeSink, connection_to, record, seqs, silent as silent, take_all  # isort: skip


class Standing(Broker):
    """Understands what the sink's own tests ask of a RabbitMQ."""

    @property
    def vhost(self) -> Vhost:
        return Vhost(self.host, self.port, "/", "guest", "guest")

    def ctl(self, order: str, *_: str) -> None:
        assert order == "delete_queue"
        asyncio.run(self._delete("queue"))

    def evaluate(self, order: str) -> None:
        """To write down what it keeps in memory it need not be told: it keeps nothing there alone."""
        if order.startswith("rabbit_exchange:delete"):
            asyncio.run(self._delete("exchange"))
        else:
            assert order.startswith("dets:sync")

    async def _delete(self, what: str) -> None:
        async with await connection_to(self.vhost) as connection, connection.channel() as channel:
            await (channel.queue_delete(QUEUE) if what == "queue" else channel.exchange_delete(QUEUE))


@pytest.fixture
def rabbitmq(tmp_path: Path) -> Iterator[Standing]:
    """One that runs, and is ended."""
    with Standing(tmp_path / "broker") as made:
        yield made


@pytest.fixture
def vhost(rabbitmq: Standing) -> Vhost:
    """As the sink's own tests are given one."""
    return rabbitmq.vhost


test_a_message = contract.test_a_message_is_what_the_contract_says
test_a_body = contract.test_a_body_is_what_the_contract_says
test_every_reading = contract.test_every_reading_arrives_once_and_in_order
test_msgpack = contract.test_msgpack_carries_the_same_fields
test_topology = contract.test_the_declared_topology_is_the_contracts
test_other_properties = contract.test_a_queue_with_other_properties_is_refused
test_close = contract.test_close_leaves_nothing
test_deleted_exchange = faults.test_a_deleted_exchange_is_made_again_or_asked_for
test_deleted_topology = faults.test_a_deleted_topology_heals_itself
test_crash = faults.test_what_was_confirmed_survives_a_crash


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"user": "nobody"}, "does not accept user 'nobody'"),
        ({"password": lambda: "wrong"}, "does not accept user 'guest'"),
        ({"vhost": "elsewhere"}, "into vhost 'elsewhere'"),
        ({"declare": False}, "no exchange 'edgegw.readings'"),
    ],
    ids=["user", "password", "vhost", "exchange"],
)
def test_it_refuses(vhost: Vhost, sink_to: MakeSink, changes: dict[str, object], says: str) -> None:
    """Whom it does not know, and what it does not have, so that the sink understands it."""
    with pytest.raises(Refused, match=re.escape(says)):
        sink_to(vhost, **changes).open()


def test_what_no_queue_wants_comes_back(rabbitmq: Standing, vhost: Vhost, sink_to: MakeSink) -> None:
    """Mandatory: returned before its confirm, so that nothing is taken for delivered; with a queue it is taken."""
    sink_to(vhost).open()
    rabbitmq.ctl("delete_queue")
    sink = sink_to(vhost, declare=False)
    sink.open()
    with pytest.raises(Busy, match=r"no queue is bound .* 'pi-7.lidar.front': bind one"):
        sink.deliver([record(0), record(1)])
    sink_to(vhost).open()
    faults.settle(sink, [record(0), record(1)], only=Busy)  # the second one's return may still have been on its way
    assert seqs(take_all(vhost)) == list(range(20))


def test_what_it_confirmed_outlives_it(rabbitmq: Standing, vhost: Vhost, sink_to: MakeSink, tmp_path: Path) -> None:
    """Killed after a delivery and started again, it has topology and messages, and takes more; its journal tells all of it."""
    for number in range(3):
        sink = sink_to(vhost)
        sink.open()
        sink.deliver([record(number)])
        rabbitmq.kill()
        rabbitmq.start()
    assert seqs(take_all(vhost)) == list(range(30))
    assert len(messages(tmp_path / "broker")) == 3


def test_a_torn_journal_is_cut(rabbitmq: Standing, vhost: Vhost, sink_to: MakeSink, tmp_path: Path) -> None:
    """Half a record at its end, as a crash leaves one: what is before it is there, and what comes after it, too."""
    sink = sink_to(vhost)
    sink.open()
    sink.deliver([record(0)])
    rabbitmq.kill()
    with (tmp_path / "broker" / "journal").open("ab") as journal:
        journal.write(b"\xff\x00\x00\x00\x01\x02\x03\x04half")
    rabbitmq.start()
    again = sink_to(vhost)
    again.open()
    again.deliver([record(1)])
    rabbitmq.kill()
    rabbitmq.start()
    assert seqs(take_all(vhost)) == list(range(20))


def test_it_confirms_after_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is told when the bytes were written and synced, not before; also who has nothing to write, but comes later."""
    happened: list[str] = []
    monkeypatch.setattr("os.fdatasync", lambda _: happened.append(f"synced {(tmp_path / 'journal').stat().st_size > 0}"))

    async def write() -> None:
        with contextlib.closing(Journal(tmp_path)) as journal:
            desk = Desk(journal)
            desk.write([Queue("q", durable=True, arguments={})], lambda: happened.append("told"))
            desk.write([], lambda: happened.append("told the next"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(desk.run(), 0.3)

    asyncio.run(write())
    assert happened == ["synced True", "told", "told the next"]
