"""The RabbitMQ sink on its bad days: a real broker that is full, frozen, killed, short of memory or robbed of its queues."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest

from edgegw.errors import Busy, Refused, Rejected, SinkError, Unavailable
from edgegw.reading import Batch, Counts, Record
from edgegw.sinks.rabbitmq import RabbitMQSink
from tests.services.base import until
from tests.services.rabbitmq import Rabbit, Vhost
from tests.services.rabbitmq_sink import QUEUE, RUN, MakeSink, reading, record, seqs, take_all

WARM = 80  # records delivered before the blow

pytestmark = pytest.mark.usefixtures("silent")


def settle(sink: RabbitMQSink, records: list[Record], *, only: type[SinkError] = SinkError) -> list[SinkError]:
    """Deliver as the bridge would: open() after each failure, until it is done. The failures, all of type `only`."""
    failures: list[SinkError] = []

    def attempt() -> bool:
        try:
            if failures:
                sink.open()
            sink.deliver(records)
        except only as error:
            failures.append(error)
            return False
        return True

    try:
        until(attempt, 90, "the delivery to get through")
    except AssertionError as error:
        error.add_note(f"{len(failures)} failures, the last: {failures[-3:]}")
        raise
    return failures


def under_load(sink: RabbitMQSink, blow: Callable[[], object]) -> int:
    """Deliver eight records at a time, strike in the midst of it, and go on until it is felt; how many records got through."""
    done = 0
    striker: threading.Thread | None = None
    with pytest.raises(Unavailable):
        while True:
            sink.deliver([record(n) for n in range(done, done + 8)])
            done += 8
            if done == WARM:
                striker = threading.Thread(target=blow)
                striker.start()
    assert striker is not None
    striker.join()
    return done


def delete(rabbit: Rabbit, place: Vhost, what: str) -> None:
    """Take the queue or the exchange away."""
    if what == "queue":
        rabbit.ctl("delete_queue", "-p", place.name, QUEUE)
    else:
        rabbit.evaluate(f'rabbit_exchange:delete(rabbit_misc:r(<<"{place.name}">>, exchange, <<"edgegw.readings">>), false, <<"test">>)')


def connections(rabbit: Rabbit, place: Vhost) -> list[str]:
    """The broker's names of the connections to a vhost; a new connection has a new name."""
    lines = [line.split("\t") for line in rabbit.ctl("list_connections", "vhost", "name").splitlines()]
    return [name for vhost, name in lines if vhost == place.name]


@pytest.fixture
def alarm(rabbitmq: Rabbit) -> Iterator[Rabbit]:
    """The broker, whose alarm is cleared afterwards whatever happens."""
    yield rabbitmq
    rabbitmq.alarm(False)


def test_unroutable_is_told_where_the_operator_owns_the_topology(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """With declare = false a message that no queue wants is an error that names the key, and a binding heals it on the same connection."""
    sink_to(vhost).open()
    rabbitmq.ctl("delete_queue", "-p", vhost.name, QUEUE)
    sink = sink_to(vhost, declare=False)
    sink.open()
    link = sink._link
    with pytest.raises(Busy, match=r"no queue is bound .* 'pi-7.lidar.front': bind one"):
        sink.deliver([record(0), record(1)])
    sink_to(vhost).open()
    sink.open()
    settle(sink, [record(0), record(1)], only=Busy)  # a message that came back may still be on its way
    assert seqs(take_all(vhost)) == list(range(20))
    assert sink._link is link


@pytest.mark.parametrize("declare", [True, False])
def test_a_deleted_exchange_is_made_again_or_asked_for(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink, declare: bool) -> None:
    """Channel closed with 404: declared again by the next connection, or, where it is the operator's, a plain refusal."""
    sink_to(vhost).open()
    sink = sink_to(vhost, declare=declare)
    sink.open()
    delete(rabbitmq, vhost, "exchange")
    with pytest.raises(Unavailable if declare else Refused, match=r"there is no exchange 'edgegw.readings' in vhost"):
        sink.deliver([record(0)])
    if not declare:
        with pytest.raises(Refused, match=r"has no exchange 'edgegw.readings' .*: create it or set declare = true"):
            sink.open()
        sink_to(vhost).open()
    sink.open()
    sink.deliver([record(0)])
    assert set(seqs(take_all(vhost))) == set(range(10))


@pytest.mark.parametrize("what", ["queue", "exchange"])
def test_a_deleted_topology_heals_itself(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink, what: str) -> None:
    """Queue or exchange deleted under load: Unavailable, declared again by the next open(), and nothing is taken for delivered."""
    sink = sink_to(vhost)
    sink.open()
    done = under_load(sink, lambda: delete(rabbitmq, vhost, what))
    batch = [record(n) for n in range(done, done + 8)]
    settle(sink, batch, only=Unavailable)
    assert set(seqs(take_all(vhost))) >= {r.seq for one in batch for r in one.batch.readings}


def test_a_full_queue_keeps_readings_back(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """reject-publish is Unavailable and keeps the connection; once somebody consumes, the rest goes through."""
    sink = sink_to(vhost)
    sink.open()
    rabbitmq.ctl("set_policy", "-p", vhost.name, "--apply-to", "queues", "short", ".*", '{"max-length": 5}')
    before = connections(rabbitmq, vhost)
    accepted = 0
    with pytest.raises(Unavailable, match="queue is full"):
        for accepted in range(200):
            sink.deliver([record(accepted)])
    assert accepted >= 5
    assert connections(rabbitmq, vhost) == before
    got = seqs(take_all(vhost))
    settle(sink, [record(accepted)], only=Unavailable)
    got += seqs(take_all(vhost))
    assert got == list(range((accepted + 1) * 10))
    assert connections(rabbitmq, vhost) == before


def test_a_delivery_gets_through_a_queue_that_is_shorter(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """Row 12: what a queue took of a delivery before it was full is not sent again with the rest, so each attempt gets further."""
    sink = sink_to(vhost, window=1)  # one by one the limit is exact
    sink.open()
    rabbitmq.ctl("set_policy", "-p", vhost.name, "--apply-to", "queues", "short", ".*", '{"max-length": 5}')
    got: list[int] = []
    for _ in range(10):
        try:
            sink.deliver([record(n) for n in range(20)])
            break
        except Busy:
            got += seqs(take_all(vhost))
    assert got + seqs(take_all(vhost)) == list(range(200))


def test_a_queue_that_went_while_the_connection_was_away(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """It took along what it had confirmed of a delivery that broke off: that goes again with the rest, into the new one."""
    sink = sink_to(vhost, window=1)
    sink.open()
    rabbitmq.ctl("set_policy", "-p", vhost.name, "--apply-to", "queues", "short", ".*", '{"max-length": 5}')
    records = [record(n) for n in range(20)]
    with pytest.raises(Busy):
        sink.deliver(records)
    rabbitmq.ctl("clear_policy", "-p", vhost.name, "short")
    delete(rabbitmq, vhost, "queue")
    rabbitmq.ctl("close_all_connections", "-p", vhost.name, "for a test")
    settle(sink, records, only=Unavailable)
    assert seqs(take_all(vhost)) == list(range(200))


def test_a_frozen_broker_is_given_up_in_time(vhost: Vhost, sink_to: MakeSink, rabbitmq: Rabbit) -> None:
    """Nothing answers: deliver() and open() end by their own deadlines, and afterwards every reading is there."""
    sink = sink_to(vhost, publish_timeout_s=1, connect_timeout_s=3)
    sink.open()
    rabbitmq.pause()
    try:
        with pytest.raises(Unavailable, match=r"confirmed nothing for 1 s"):
            sink.deliver([record(n) for n in range(12)])
        with pytest.raises(Unavailable, match=r"did not let us in within 3 s"):
            sink.open()
    finally:
        rabbitmq.resume()
    settle(sink, [record(n) for n in range(12)], only=Unavailable)
    assert set(seqs(take_all(vhost))) == set(range(120))


def test_closing_breaks_off_a_delivery(vhost: Vhost, sink_to: MakeSink, rabbitmq: Rabbit) -> None:
    """close() from another thread ends a deliver() that hangs, and never lets it pass for done."""
    sink = sink_to(vhost)
    sink.open()
    rabbitmq.pause()
    closer = threading.Timer(0.3, sink.close)
    closer.start()
    try:
        with pytest.raises(Unavailable):
            sink.deliver([record(0)])
    finally:
        closer.join()
        rabbitmq.resume()


def test_what_was_confirmed_survives_a_crash(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """SIGKILL under load: all that deliver() returned for is there after the restart, and repeating the rest completes it."""
    sink = sink_to(vhost)
    sink.open()
    rabbitmq.evaluate("dets:sync(ra_directory_reverse)")  # RabbitMQ keeps its register of quorum queues in memory for a while
    done = under_load(sink, rabbitmq.kill)
    rabbitmq.start()
    settle(sink, [record(n) for n in range(done, done + 8)], only=Unavailable)
    count = Counter(seqs(take_all(vhost)))
    assert done > 0
    assert set(count) == set(range((done + 8) * 10))
    assert {seq for seq, times in count.items() if times > 1} <= set(range(done * 10, (done + 8) * 10))


def test_an_alarm_stops_publishing_without_a_new_connection(alarm: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """Blocked: deliver() and open() say so, no more than the window ever goes out, and the same connection resumes."""
    sink = sink_to(vhost, window=3, connect_timeout_s=1)
    sink.open()
    before = connections(alarm, vhost)
    alarm.alarm(True)
    for _ in range(2):
        with pytest.raises(Unavailable, match="blocks publishers"):
            sink.deliver([record(n) for n in range(20)])
        with pytest.raises(Unavailable, match="blocks publishers"):
            sink.open()
    alarm.alarm(False)
    got: list[int] = []

    def all_landed() -> bool:
        got.extend(seqs(take_all(vhost)))
        return len(got) >= 30

    until(all_landed, 30, "what was in flight")
    assert got == list(range(30))
    assert settle(sink, [record(n) for n in range(20)], only=Unavailable) == []
    assert got + seqs(take_all(vhost)) == list(range(200))
    assert connections(alarm, vhost) == before


@pytest.mark.parametrize("when", ["idle", "in use"])
def test_a_connection_that_the_broker_ends(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink, when: str) -> None:
    """Closed by an operator, the next deliver() says why, and open() makes a new one."""
    sink = sink_to(vhost)
    sink.open()
    if when == "in use":
        sink.deliver([record(0)])
    rabbitmq.evaluate('rabbit_networking:close_all_connections(<<"maintenance">>)')
    with pytest.raises(Unavailable, match="maintenance"):
        sink.deliver([record(0)])
    sink.open()
    sink.deliver([record(1)])
    assert seqs(take_all(vhost))[-10:] == list(range(10, 20))


def test_missing_rights_are_refused(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """Without configure open() is Refused, without write deliver() is; both name the right to grant."""
    sink = sink_to(vhost)
    sink.open()
    rabbitmq.ctl("set_permissions", "-p", vhost.name, vhost.user, "^$", "^$", ".*")
    with pytest.raises(Refused, match=r"to publish to exchange .* grant write"):
        sink.deliver([record(0)])
    rabbitmq.ctl("delete_queue", "-p", vhost.name, QUEUE)
    with pytest.raises(Refused, match=r"forbids user .* to declare"):
        sink.open()
    rabbitmq.ctl("set_permissions", "-p", vhost.name, vhost.user, ".*", ".*", ".*")
    sink.open()
    sink.deliver([record(0)])


def test_a_message_that_is_too_large_is_rejected(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """The broker's size limit is Rejected with its code; the next deliver() needs no open(), so the bridge can bisect."""
    large = Record(9, RUN, Batch(RUN.id, "lidar", Counts(), (reading(0, "x" * 20_000),)))
    rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 10000)")
    try:
        sink = sink_to(vhost)
        sink.open()
        with pytest.raises(Rejected, match="message size") as caught:
            sink.deliver([record(1), large, record(2)])
        assert caught.value.code == "406"
        sink.deliver([record(1)])
        sink.deliver([record(2)])
        with pytest.raises(Rejected):
            sink.deliver([large])
    finally:
        rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 134217728)")
    assert set(seqs(take_all(vhost))) == set(range(10, 30))


def test_a_message_that_amqp_cannot_carry_is_rejected(vhost: Vhost, sink_to: MakeSink) -> None:
    """An id beyond 255 bytes cannot be written; its neighbours are not held up."""
    sink = sink_to(vhost)
    sink.open()
    endless = Record(0, msgspec.structs.replace(RUN, gateway="g" * 300), record(0).batch)
    with pytest.raises(Rejected) as caught:
        sink.deliver([endless])
    assert caught.value.code == "encoding"
    sink.deliver([record(0)])
    assert set(seqs(take_all(vhost))) == set(range(10))


def test_a_frozen_broker_does_not_hold_up_close(rabbitmq: Rabbit, vhost: Vhost, sink_to: MakeSink) -> None:
    """close() ends the connection by force where nobody answers its good-bye: no thread is left."""
    threads = set(threading.enumerate())
    sink = sink_to(vhost)
    sink.open()
    rabbitmq.pause()
    try:
        sink.close()
        assert set(threading.enumerate()) == threads
    finally:
        rabbitmq.resume()
