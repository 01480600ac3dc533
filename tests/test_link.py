"""The worker's side of the hand-over: it asks, sends, notices silence, begins anew; and it never waits."""

from __future__ import annotations

import pytest

from edgegw import codec
from edgegw.codec import Ack, Again, Held, Hello, Message, Push, Welcome
from edgegw.reading import ClockState, Quality, Reading
from edgegw.testing import FakeClock
from edgegw.worker.link import Link, SILENCE_ns
from edgegw.worker.window import IN_FLIGHT_batches, Window
from tests.rig import RUN, Wire


class Bench:
    """A link between a window and a wire on which only the test speaks for the bridge."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.wire = Wire(self.clock)
        self.wire.bridge = None
        self.window = Window(RUN.id, 1000, drops_oldest=True)
        self.link = Link(RUN, self.window, self.wire, self.clock)
        self._seq = 0

    def batch(self, count: int = 1) -> None:
        for _ in range(count):
            self.window.add("lidar", Reading(self._seq, 1, 1, ClockState.SYNCED, Quality.GOOD, (1.0,)))
            self._seq += 1
            self.window.seal()

    def hears(self, *messages: Message | bytes) -> None:
        for message in messages:
            self.wire.say(message if isinstance(message, bytes) else codec.encode(message))
        self.link.pump()

    def said(self) -> list[Message]:
        """Since the last call."""
        said = [codec.decode(data) for data in self.wire.sent]
        self.wire.sent.clear()
        return said

    def numbers(self) -> list[int]:
        said = self.said()
        assert all(isinstance(message, Push) for message in said), said
        return [message.number for message in said if isinstance(message, Push)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def welcomed(bench: Bench) -> Bench:
    bench.hears(Welcome(RUN.id, -1))
    bench.said()
    return bench


def test_hello_comes_first_and_nothing_follows_before_the_welcome(bench: Bench) -> None:
    """A bridge that has not answered may not know us: batches wait."""
    bench.batch(3)
    bench.link.pump()
    assert bench.said() == [Hello(RUN)]
    assert not bench.link.welcomed
    bench.hears(Welcome(RUN.id, -1))
    assert bench.numbers() == [0, 1, 2]
    assert bench.link.welcomed


def test_a_welcome_says_where_to_go_on(welcomed: Bench) -> None:
    """After a new connection, what the bridge has is forgotten, and the rest goes out again."""
    welcomed.batch(4)
    welcomed.link.pump()
    welcomed.said()
    welcomed.hears(Again())
    assert welcomed.said() == [Hello(RUN)]
    welcomed.hears(Welcome(RUN.id, 1))
    assert welcomed.numbers() == [2, 3]
    assert welcomed.window.size == 2


def test_an_acknowledgement_makes_room(welcomed: Bench) -> None:
    """Acknowledged batches are forgotten and as many others sent."""
    welcomed.batch(IN_FLIGHT_batches + 2)
    welcomed.link.pump()
    assert len(welcomed.numbers()) == IN_FLIGHT_batches
    welcomed.hears(Ack(RUN.id, 1))
    assert welcomed.numbers() == [IN_FLIGHT_batches, IN_FLIGHT_batches + 1]
    assert welcomed.window.size == IN_FLIGHT_batches


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"\xff" * 100,
        codec.encode(Welcome("another run", 5)),
        codec.encode(Ack("another run", 5)),
        codec.encode(Welcome(RUN.id, 5)),  # a second one on the same connection
        codec.encode(Hello(RUN)),
        b"\x02" + codec.encode(Ack(RUN.id, 5))[1:],  # another version
    ],
    ids=["empty", "version-only", "garbage", "welcome-of-another", "ack-of-another", "second-welcome", "hello", "version"],
)
def test_what_is_not_meant_for_us_changes_nothing(welcomed: Bench, message: bytes) -> None:
    """No batch is forgotten, none is sent twice, and the connection stays."""
    welcomed.batch(2)
    welcomed.link.pump()
    welcomed.said()
    welcomed.hears(message)
    assert welcomed.said() == []
    assert (welcomed.window.in_flight, welcomed.wire.connections) == (2, 1)


def test_an_acknowledgement_before_the_welcome_is_not_believed(bench: Bench) -> None:
    """On a connection that was never welcomed nothing was sent."""
    bench.batch(1)
    bench.hears(Ack(RUN.id, 0))
    assert bench.window.size == 1


def test_garbage_before_an_acknowledgement_does_not_hide_it(welcomed: Bench) -> None:
    """Each message stands for itself."""
    welcomed.batch(1)
    welcomed.link.pump()
    welcomed.hears(b"\xc1", Ack(RUN.id, 0))
    assert welcomed.window.size == 0


def test_silence_after_hello_begins_a_new_connection(bench: Bench) -> None:
    """No welcome in time: a new connection and a new Hello, again and again."""
    for connections in range(1, 4):
        bench.link.pump()
        assert (bench.wire.connections, bench.said()) == (connections, [Hello(RUN)])
        bench.clock.now_ns += SILENCE_ns
        bench.link.pump()
        assert bench.wire.connections == connections
        bench.clock.now_ns += 1
        bench.link.pump()
    assert bench.wire.connections == 4


def test_silence_while_an_acknowledgement_is_due_begins_a_new_connection(welcomed: Bench) -> None:
    """The time counts from the first batch that waits, not from the last word heard: an idle sensor's connection is left alone."""
    welcomed.clock.now_ns += 100 * SILENCE_ns
    welcomed.link.pump()
    assert welcomed.wire.connections == 1
    welcomed.batch(1)
    welcomed.link.pump()
    welcomed.clock.now_ns += SILENCE_ns
    welcomed.link.pump()
    assert welcomed.wire.connections == 1
    welcomed.clock.now_ns += 1
    welcomed.link.pump()
    assert (welcomed.wire.connections, welcomed.link.welcomed) == (2, False)


def test_progress_puts_off_the_end_of_patience_and_repetition_does_not(welcomed: Bench) -> None:
    """Only an acknowledgement of something new counts as an answer."""
    welcomed.batch(2)
    welcomed.link.pump()
    welcomed.clock.now_ns += SILENCE_ns
    welcomed.hears(Ack(RUN.id, 0))
    welcomed.clock.now_ns += SILENCE_ns
    welcomed.hears(Ack(RUN.id, 0))
    assert welcomed.wire.connections == 1
    welcomed.clock.now_ns += 1
    welcomed.hears(Ack(RUN.id, 0))
    assert welcomed.wire.connections == 2


def test_a_bridge_that_has_it_all_and_waits_for_its_disk_is_waited_for(welcomed: Bench) -> None:
    """Held up to the last batch sent: a new connection would help nobody. Held short of that, something was lost on the way."""
    welcomed.batch(3)
    welcomed.link.pump()
    for _ in range(5):
        welcomed.clock.now_ns += SILENCE_ns
        welcomed.hears(Held(RUN.id, 2))
    assert (welcomed.wire.connections, welcomed.window.size) == (1, 3)
    welcomed.clock.now_ns += SILENCE_ns + 1
    welcomed.hears(Held(RUN.id, 1))
    assert welcomed.wire.connections == 2


def test_many_agains_cost_one_connection(welcomed: Bench) -> None:
    """A bridge that was restarted answers each batch of the old connection so; the new connection does not hear the others."""
    welcomed.batch(5)
    welcomed.link.pump()
    welcomed.hears(*[Again()] * 5)
    assert welcomed.wire.connections == 2


def test_a_socket_that_takes_no_more_is_not_waited_for(welcomed: Bench) -> None:
    """Batches stay unsent, in order, and go out when there is room."""
    welcomed.wire.room = False
    welcomed.batch(2)
    welcomed.link.pump()
    assert (welcomed.said(), welcomed.window.in_flight, welcomed.wire.waits) == ([], 0, 0)
    welcomed.wire.room = True
    welcomed.link.pump()
    assert welcomed.numbers() == [0, 1]
