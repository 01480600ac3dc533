"""RabbitMQ behind a bad network, with spool and forwarder before it: away, silent, slow, cut off between message and confirm."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import msgspec
import pytest

from tests.services.base import until
from tests.services.proxy import Proxy
from tests.services.rabbitmq import Vhost
from tests.services.rabbitmq_bridge import Line, same_for_same_id
from tests.services.rabbitmq_sink import MakeSink, record, seqs, take_all
from tests.test_rabbitmq_faults import settle

pytestmark = pytest.mark.usefixtures("silent")

RECONNECT_s = 35


def test_a_broker_that_was_away_gets_everything(vhost: Vhost, tmp_path: Path) -> None:
    """Row 9: the spool keeps what comes meanwhile, one line says what is wrong, and after the return each message arrives once."""
    with Line(vhost, tmp_path) as line:
        line.fill(5)
        line.done()
        line.proxy.down()
        line.fill(40)
        line.complains("cannot be reached: Connection refused; see that it runs")
        line.proxy.up()
        returned_s = time.monotonic()
        line.done()
        assert time.monotonic() - returned_s <= RECONNECT_s
        assert seqs(take_all(vhost)) == line.expected
        assert len([one for one in line.told() if "sink_lost" in one]) <= 2  # that it was lost, and that it cannot be reached


def test_a_black_hole_is_noticed_within_two_heartbeats(vhost: Vhost, tmp_path: Path) -> None:
    """Row 10: packets vanish; the link is given up by our own deadline, nothing hangs on, and all arrives when the way is there again."""
    with Line(vhost, tmp_path, heartbeat_s=1, connect_timeout_s=2.0) as line:
        line.fill(5)
        line.done()
        tasks = _tasks(line)
        line.proxy.blackhole()
        line.fill(5)
        began_s = time.monotonic()
        line.complains("confirmed nothing for 2 s")
        assert time.monotonic() - began_s < 2 * 1 + 3
        line.complains("did not let us in within 2 s")
        line.proxy.blackhole(False)
        line.done()
        until(lambda: _tasks(line) <= tasks, 30, "the tasks of dead connections to end")
        messages = take_all(vhost)
        assert set(seqs(messages)) == set(line.expected)
        assert same_for_same_id(messages) <= 5


def _tasks(line: Line) -> int:
    thread = line.sink._thread
    assert thread is not None
    return len(asyncio.all_tasks(thread._loop))


def test_a_slow_broker_is_kept_busy_by_the_window(vhost: Vhost, sink_to: MakeSink) -> None:
    """Row 16: with confirms half a second late the window is the measure of the throughput; nothing times out, nothing is sent twice."""
    late_s, window, rounds = 0.5, 16, 4
    with Proxy(vhost.port) as proxy:
        sink = sink_to(msgspec.structs.replace(vhost, port=proxy.port), window=window)
        sink.open()
        proxy.latency_s = late_s
        began_s = time.monotonic()
        sink.deliver([record(n) for n in range(rounds * window)])
        rate_hz = rounds * window / (time.monotonic() - began_s)
        sink.close()
        assert proxy.accepted == 1
    assert seqs(take_all(vhost)) == list(range(rounds * window * 10))
    assert 0.7 * window / late_s <= rate_hz <= window / late_s


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "silence"])
def test_confirms_that_are_lost_cost_duplicates_and_nothing_else(vhost: Vhost, tmp_path: Path, reset: bool) -> None:
    """Row 17: the broker has the messages and its confirms get lost, with a reset or for ever: repeated with the same id and body."""
    with Line(vhost, tmp_path, heartbeat_s=1) as line:
        line.fill(5)
        line.done()
        line.proxy.half_open(after_bytes=10)  # half a confirm: a whole one may stand for all of them
        sent = line.proxy.to_server_bytes
        line.fill(10)
        until(lambda: line.proxy.to_server_bytes > sent + 10 * 300, 30, "messages to be on their way")
        if reset:
            line.proxy.reset()
        else:
            line.complains("confirmed nothing for 2 s")
            line.proxy.reset()
        line.done()
        messages = take_all(vhost)
        assert set(seqs(messages)) == set(line.expected)
        assert 1 <= same_for_same_id(messages) <= 10


def test_a_forced_reconnect_repeats_no_more_than_the_window(vhost: Vhost, sink_to: MakeSink) -> None:
    """Row 16: what was confirmed before the connection broke is not sent again with the rest of its delivery."""
    window = 4
    with Proxy(vhost.port) as proxy:
        sink = sink_to(msgspec.structs.replace(vhost, port=proxy.port), window=window)
        sink.open()
        proxy.latency_s = 0.2
        heard = proxy.to_client_bytes

        def strike() -> None:
            until(lambda: proxy.to_client_bytes > heard + 100, 30, "some confirms")
            proxy.reset()

        striker = threading.Thread(target=strike)
        striker.start()
        failures = settle(sink, [record(n) for n in range(40)])
        striker.join()
        sink.close()
    messages = take_all(vhost)
    assert len(failures) >= 1
    assert set(seqs(messages)) == set(range(400))
    assert same_for_same_id(messages) <= window
