"""Worker to bridge: whatever connections and bridges die, every reading is committed once, or its loss is counted."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgegw.bridge.intake import Intake
from edgegw.clock import NS_PER_S
from edgegw.reading import ClockState, Quality, Reading, Run
from edgegw.worker.link import Link, SILENCE_ns
from edgegw.worker.window import Window

RUN = Run("gw", "front", "tfluna", "run-1", "boot", 1, {"lidar": {"distance_m": "float"}, "imu": {"x": "float"}})
LIMIT = 12  # small, so that it often overflows


class StillClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now_ns = NS_PER_S

    def monotonic_ns(self) -> int:
        """The hand's position."""
        return self.now_ns


class Wire:
    """Connections of one worker: each a queue to the bridge and one back; a new one leaves the old one's queue to its fate."""

    def __init__(self) -> None:
        self.names = itertools.count()
        self.to_bridge: dict[bytes, deque[bytes]] = {}
        self.to_worker: deque[bytes] = deque()
        self.peer = b""

    def connect(self) -> None:
        """As edgegw.bus.WorkerEnd: anew, forgetting what the old connection had not received."""
        self.peer = str(next(self.names)).encode()
        self.to_bridge[self.peer] = deque()
        self.to_worker.clear()

    def send(self, message: bytes) -> bool:
        """Always room."""
        self.to_bridge[self.peer].append(message)
        return True

    def receive(self) -> Iterator[bytes]:
        """What the bridge said on this connection."""
        while self.to_worker:
            yield self.to_worker.popleft()

    def wait(self, timeout_s: float) -> None:
        """Nothing to wait for."""


class Handover(RuleBasedStateMachine):
    """A worker, a bridge, a disk, and everything that may die between them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = StillClock()
        self.wire = Wire()
        self.window = Window(RUN.id, LIMIT, drops_oldest=True)
        self.link = Link(RUN, self.window, self.wire, self.clock)  # type: ignore[arg-type] # a clock that only ticks
        self.disk: list[int] = []  # seqs committed, in order
        self.acked = -1  # on disk, too
        self.seq = 0
        self.full = False
        self.bridge = Intake(lambda _run: self.acked)

    @rule(count=st.integers(1, 9), kind=st.sampled_from(["lidar", "imu"]))
    def read(self, count: int, kind: str) -> None:
        """The sensor gives readings."""
        for _ in range(count):
            self.window.add(kind, Reading(self.seq, 1, 1, ClockState.SYNCED, Quality.GOOD, (1.0,)))
            self.seq += 1

    @rule()
    def pump(self) -> None:
        """The worker's loop comes round."""
        self.window.seal()
        self.link.pump()

    @rule(count=st.integers(1, 4), kind=st.sampled_from(["lidar", "imu"]))
    def flow(self, count: int, kind: str) -> None:
        """All goes well for one turn: chance alone would seldom put these steps in this order."""
        self.read(count, kind)
        self.pump()
        self.carry_all()
        self.commit()
        self.pump()

    @rule()
    def renew(self) -> None:
        """The connection is given up and a new one begun; what the old one carried may still arrive."""
        self.silence()
        self.pump()

    @rule(data=st.data())
    def carry(self, data: st.DataObject) -> None:
        """Some messages of one connection, new or abandoned, reach the bridge."""
        peers = [peer for peer, queue in self.wire.to_bridge.items() if queue]
        if not peers:
            return
        peer = data.draw(st.sampled_from(peers))
        for _ in range(data.draw(st.integers(1, 5))):
            if self.wire.to_bridge[peer]:
                answer = self.bridge.hear(peer, self.wire.to_bridge[peer].popleft())
                if answer is not None:
                    self.reply(peer, answer)

    @rule()
    def commit(self) -> None:
        """The bridge makes it durable and answers; a spool that is full takes nothing in, and everything else goes on."""
        offered = self.bridge.handed()
        for handed in [] if self.full else offered:
            self.disk += [reading.seq for reading in handed.batch.readings]
            self.acked = max(self.acked, handed.number)
        for peer, answer in self.bridge.taken({RUN.id} if self.full else ()):
            self.reply(peer, answer)

    @rule()
    def fill_or_drain(self) -> None:
        """The spool has no room for this sensor from now on, or has some again."""
        self.full = not self.full

    @rule()
    def ask_for_patience(self) -> None:
        """The bridge says that it has what was sent, though it is not on disk."""
        for peer, message in self.bridge.patience():
            self.reply(peer, message)

    @rule()
    def kill_bridge(self) -> None:
        """SIGKILL: what it had not committed, and what was on its way, is gone; the connection is re-made under the same socket."""
        self.bridge = Intake(lambda _run: self.acked)
        for queue in self.wire.to_bridge.values():
            queue.clear()

    @rule()
    def silence(self) -> None:
        """Time passes without an answer."""
        self.clock.now_ns += SILENCE_ns + 1

    @precondition(lambda self: self.wire.to_worker)
    @rule()
    def lose_answer(self) -> None:
        """An answer does not arrive."""
        self.wire.to_worker.popleft()

    @invariant()
    def nothing_twice(self) -> None:
        """A committed reading is committed once."""
        assert len(self.disk) == len(set(self.disk))

    @invariant()
    def bounded(self) -> None:
        """The window keeps its limit."""
        assert self.window.size <= LIMIT

    @invariant()
    def no_promise_ahead_of_the_disk(self) -> None:
        """What the worker has forgotten is on disk: its oldest batch in flight comes right after it, or before."""
        assert self.window.produced == self.seq
        assert len(self.disk) + self.window.size + self.window.dropped >= self.seq

    def teardown(self) -> None:
        """Left alone, with room, the two come to rest, and the books balance."""
        self.full = False
        for turn in range(20):
            if turn % 4 == 3:
                self.silence()
            self.pump()
            self.carry_all()
            self.commit()
            self.link.pump()
        assert self.window.size == 0
        assert self.window.produced == self.seq == len(self.disk) + self.window.dropped

    def carry_all(self) -> None:
        """Everything on the newest connection arrives."""
        queue = self.wire.to_bridge[self.wire.peer]
        while queue:
            answer = self.bridge.hear(self.wire.peer, queue.popleft())
            if answer is not None:
                self.reply(self.wire.peer, answer)

    def reply(self, peer: bytes, answer: bytes) -> None:
        """Answers reach the worker only on its newest connection."""
        if peer == self.wire.peer:
            self.wire.to_worker.append(answer)


TestHandover = Handover.TestCase
TestHandover.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
