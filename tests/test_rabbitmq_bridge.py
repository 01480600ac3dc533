"""RabbitMQ that is there and says no, with spool and forwarder before it: alarms, full queues, lost topology, another password."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from edgegw.bridge import pace
from edgegw.config.secret import KnownSecrets, Secret, SecretFile
from edgegw.errors import Refused
from edgegw.reading import Record
from edgegw.sinks.rabbitmq import RabbitMQSink
from tests.processes.rig import load_s
from tests.services.base import until
from tests.services.rabbitmq import Rabbit, Vhost
from tests.services.rabbitmq_bridge import Line, PATIENCE_s, same_for_same_id
from tests.services.rabbitmq_sink import QUEUE, MakeSink, seqs, settings_to, take_all
from tests.test_rabbitmq_faults import alarm, delete

__all__ = ["alarm"]  # a fixture

pytestmark = pytest.mark.usefixtures("silent")

RESUME_s = 2
OLD, NEW = "hunter2-the-old-one", "correct-horse-battery"


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether this is the long form; in the short one a refusal is tried again every second instead of every half minute."""
    if load_s(0):
        return True
    monkeypatch.setattr(pace, "_REFUSED_s", (1.0, 1.1))
    return False


def test_an_alarm_pauses_and_its_end_resumes(alarm: Rabbit, vhost: Vhost, tmp_path: Path) -> None:
    """Row 11: blocked publishers wait on the same connection, no more than the window on its way, and go on soon after its end."""
    with Line(vhost, tmp_path, window=4) as line:
        line.fill(1)
        line.done()
        alarm.alarm(True)
        line.fill(60)
        line.complains("blocks publishers: memory or disk alarm")
        link = line.sink._link
        assert link is not None
        assert len(link._flying) <= 4
        alarm.alarm(False)
        cleared_s = time.monotonic()
        until(lambda: not line.why, PATIENCE_s, "it to go on")
        assert time.monotonic() - cleared_s <= RESUME_s + 1  # a busy machine
        line.done()
        assert line.proxy.accepted == 1
        messages = take_all(vhost)
        assert sorted(seqs(messages)) == line.expected


def test_what_a_full_queue_refused_arrives_later(
    rabbitmq: Rabbit, vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 12: nacked messages are kept, tried again once a second at most, and delivered when there is room, each once."""
    began_s: list[float] = []
    deliver = RabbitMQSink.deliver

    def noting(self: RabbitMQSink, records: Sequence[Record]) -> None:
        began_s.append(time.monotonic())
        deliver(self, records)

    with Line(vhost, tmp_path) as line:
        line.fill(1)
        line.done()
        rabbitmq.ctl("set_policy", "-p", vhost.name, "--apply-to", "queues", "short", ".*", '{"max-length": 10}')
        monkeypatch.setattr(RabbitMQSink, "deliver", noting)
        line.fill(40)
        line.complains("queue is full")
        first = len(began_s)
        until(lambda: len(began_s) >= first + 2, PATIENCE_s, "two more attempts")
        pauses = [later - sooner for sooner, later in zip(began_s[first - 1 : first + 1], began_s[first:], strict=False)]
        assert min(pauses) >= 0.9
        messages = take_all(vhost)

        def all_there() -> bool:
            messages.extend(take_all(vhost))
            return line.forwarder.position == line.filled

        until(all_there, PATIENCE_s, "the consumer to have made room for all")
        messages.extend(take_all(vhost))
        assert sorted(seqs(messages)) == line.expected
        assert line.proxy.accepted == 1


def test_what_no_queue_wants_stays_until_one_does(rabbitmq: Rabbit, vhost: Vhost, tmp_path: Path, sink_to: MakeSink) -> None:
    """Row 13: with an operator's topology each returned message is detected and kept, and a binding heals it within seconds."""
    sink_to(vhost).open()
    with Line(vhost, tmp_path, declare=False) as line:
        line.fill(1)
        line.done()
        before = take_all(vhost)
        delete(rabbitmq, vhost, "queue")
        line.fill(20)
        line.complains("no queue is bound to exchange 'edgegw.readings' for routing key 'pi-7.lidar.front': bind one")
        assert line.forwarder.position == 1
        sink_to(vhost).open()
        bound_s = time.monotonic()
        line.done()
        assert time.monotonic() - bound_s <= 10
        assert line.proxy.accepted == 1
        assert sorted(seqs(before + take_all(vhost))) == line.expected


@pytest.mark.parametrize("what", ["queue", "exchange"])
def test_a_topology_that_is_ours_is_declared_again(rabbitmq: Rabbit, vhost: Vhost, tmp_path: Path, what: str) -> None:
    """Rows 13 and 14: queue or exchange deleted, and all that is delivered afterwards lies in the new one."""
    with Line(vhost, tmp_path) as line:
        line.fill(1)
        line.done()
        before = take_all(vhost)
        delete(rabbitmq, vhost, what)
        line.fill(20)
        line.done()
        messages = before + take_all(vhost)
        assert set(seqs(messages)) == set(line.expected)
        assert same_for_same_id(messages) == 0


def test_a_refusal_is_no_tight_loop(rabbitmq: Rabbit, vhost: Vhost, tmp_path: Path, long: bool) -> None:
    """Row 14: access taken away, a plain sentence and slow attempts; given back, everything goes out."""
    with Line(vhost, tmp_path) as line:
        line.fill(1)
        line.done()
        rabbitmq.ctl("set_permissions", "-p", vhost.name, vhost.user, ".*", "^$", ".*")
        rabbitmq.evaluate('rabbit_networking:close_all_connections(<<"rights">>)')  # a channel remembers for a while what it may do
        line.fill(5)
        line.complains(f"forbids user '{vhost.user}' to declare")
        assert "grant configure, write and read, or set declare = false" in line.why
        before, began_s = line.proxy.accepted, time.monotonic()
        pause_s = 30 if long else 1
        until(lambda: line.proxy.accepted >= before + 2, PATIENCE_s, "two more attempts")
        assert time.monotonic() - began_s >= (2 - 1) * pause_s * 0.9
        rabbitmq.ctl("set_permissions", "-p", vhost.name, vhost.user, ".*", ".*", ".*")
        line.done()
        assert sorted(seqs(take_all(vhost))) == line.expected


def test_a_rotated_password_is_taken_up(rabbitmq: Rabbit, vhost: Vhost, tmp_path: Path, long: bool) -> None:
    """Row 15: refused with the old password, in with the new one soon after the file changes; no line of the log has either."""
    file = tmp_path / "password"
    file.write_text(OLD)
    rabbitmq.ctl("change_password", vhost.user, OLD)
    secret = Secret(OLD, SecretFile(file, "password"))
    with Line(vhost, tmp_path, KnownSecrets([secret], []), password=secret.reveal) as line:
        line.fill(5)
        line.done()
        assert line.told()  # the log has begun, and knows the old one only
        rabbitmq.ctl("change_password", vhost.user, NEW)
        rabbitmq.evaluate('rabbit_networking:close_all_connections(<<"rotated">>)')
        line.fill(5)
        line.complains(f"does not accept user '{vhost.user}' with this password")
        assert OLD not in line.why
        replacement = tmp_path / "new"
        replacement.write_text(NEW + "\n")
        os.replace(replacement, file)
        changed_s = time.monotonic()
        line.done()
        assert time.monotonic() - changed_s <= 35
        line.forwarder._log.warning("a library says", text=f"amqp {OLD} {NEW}")
        log = "\n".join(line.told())
        assert "a library says" in log
        assert not [text for text in (OLD, NEW) if text in log]
        assert set(seqs(take_all(msgspec.structs.replace(vhost, password=NEW)))) == set(line.expected)


def test_a_queue_with_other_properties_is_a_refusal(rabbitmq: Rabbit, vhost: Vhost, tmp_path: Path, sink_to: MakeSink, long: bool) -> None:
    """Row 14: 406 for a queue that somebody declared otherwise; deleted, it is ours again and everything goes out."""
    sink_to(vhost).open()
    delete(rabbitmq, vhost, "queue")
    owner = f'rabbit_misc:r(<<"{vhost.name}">>, queue, <<"{QUEUE}">>)'
    rabbitmq.evaluate(f'rabbit_amqqueue:declare({owner}, true, false, [], none, <<"test">>)')
    with Line(vhost, tmp_path) as line:
        line.fill(5)
        line.complains("exists with other properties")
        assert "delete it, name another one, or set declare = false" in line.why
        assert isinstance(_open_error(vhost), Refused)
        delete(rabbitmq, vhost, "queue")
        line.done()
        assert seqs(take_all(vhost)) == line.expected


def _open_error(place: Vhost) -> Exception | None:
    sink = RabbitMQSink(settings_to(place))
    try:
        sink.open()
    except Exception as error:
        return error
    finally:
        sink.close()
    return None
