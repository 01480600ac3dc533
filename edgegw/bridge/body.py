"""The loop of the bridge: collect what workers send, make it durable in one commit, acknowledge, offer, wake the sinks."""

from __future__ import annotations

import contextlib
import itertools
import select
from collections.abc import Sequence

import msgspec

from edgegw import codec
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.intake import Intake
from edgegw.bridge.keeper import Keeper
from edgegw.bus import BridgeEnd
from edgegw.clock import NS_PER_S
from edgegw.codec import Purged
from edgegw.errors import SpoolError
from edgegw.health import BridgeHealth
from edgegw.process import Process
from edgegw.spool import Handed

TURN_readings = 20_000  # at most in one commit; more stays in the sockets and the workers' windows
TURN_bytes = 16 << 20  # of attachments
TURN_messages = 10_000  # so that somebody who sends nonsense without end cannot keep the loop from its other work
IDLE_s = 0.5
BEAT_ns = NS_PER_S
BOOKS_ns = 2 * NS_PER_S
EXPIRE_ns = 60 * NS_PER_S
RETRY_ns = NS_PER_S  # after a commit that failed
QUIET_ns = NS_PER_S // 5  # without a message: the workers have said their last
DRAIN_ns = 7 * NS_PER_S // 2


class Bridge:
    """One thread; each sink has one of its own, in its forwarder."""

    def __init__(self, end: BridgeEnd, keeper: Keeper, forwarders: Sequence[Forwarder], linger_s: float, process: Process) -> None:
        self._end = end
        self._keeper = keeper
        self._forwarders = forwarders
        self._linger_ns = round(linger_s * NS_PER_S)
        self._clock = process.clock
        self._log = process.log
        self._notifier = process.notifier
        self._stop = process.stop
        self._lifeline = process.lifeline
        self._intake = Intake(keeper.acked)
        self._turned_ns = self._beat_ns = self._books_ns = self._expired_ns = 0
        self._retry_ns = 0

    def work(self) -> None:
        """Until asked to stop; then take in and deliver what can be in DRAIN_ns."""
        for forwarder in self._forwarders:
            forwarder.start()
        self._end.watch(self._stop.fileno())
        self._notifier.ready()
        while not self._stop.asked:
            self._end.wait(IDLE_s)
            self._linger()
            self._turn()
        self._end.unwatch(self._stop.fileno())
        self._notifier.stopping()
        self._farewell()

    def _linger(self) -> None:
        """Wait for company: one commit, one publish a sensor and one insert for all of it cost little more than for one message."""
        left_ns = self._turned_ns + self._linger_ns - self._clock.monotonic_ns()
        if left_ns > 0:
            select.select([self._stop], [], [], left_ns / NS_PER_S)

    def _turn(self) -> bool:
        """One commit; True when a worker had sent something."""
        now = self._turned_ns = self._clock.monotonic_ns()
        self._hear()
        heard = self._intake.waiting
        if self._intake.purgers:
            self._purge()
        if now >= self._retry_ns and (heard or now - self._beat_ns >= BEAT_ns):
            self._commit(self._intake.handed())
        if now - self._books_ns >= BOOKS_ns:
            self._books_ns = now
            self._close_books(wait=True)
        if now - self._expired_ns >= EXPIRE_ns:
            self._expired_ns = now
            self._keeper.expire()
        if now - self._beat_ns >= BEAT_ns:
            self._beat_ns = now
            if self._lifeline.cut():
                self._stop.ask()
            self._notifier.beat(msgspec.json.encode(self._health()).decode())
        return heard

    def _hear(self) -> None:
        if self._full():
            return
        for peer, data in itertools.islice(self._end.receive(), TURN_messages):
            answer = self._answer(peer, data)
            if answer is not None:
                self._end.answer(peer, answer)
            if self._full():
                return

    def _full(self) -> bool:
        return self._intake.readings >= TURN_readings or self._intake.attached_bytes >= TURN_bytes

    def _answer(self, peer: bytes, data: bytes) -> bytes | None:
        try:
            return self._intake.hear(peer, data)
        except SpoolError:  # the keeper says so; a worker that gets no answer asks again
            return None

    def _commit(self, handed: Sequence[Handed]) -> None:
        if not self._keeper.commit(handed):
            self._retry_ns = self._clock.monotonic_ns() + RETRY_ns
            return
        for peer, answer in self._intake.taken():
            self._end.answer(peer, answer)
        tapped = self._end.tapped()
        if handed:
            for forwarder in self._forwarders:
                forwarder.wake()
        if tapped:
            self._offer(handed)

    def _purge(self) -> None:
        """After a commit, so that what has come in before the question is erased, too. Who gets no answer knows that it was not done."""
        self._commit(self._intake.handed())
        count = self._keeper.purge()
        if count is None or self._intake.waiting:  # something could not be written, and will be when there is room: asked again then
            return
        for peer in self._intake.purgers:
            self._end.answer(peer, codec.encode(Purged(count)))
        self._intake.purgers = []

    def _offer(self, handed: Sequence[Handed]) -> None:
        for run, batch in ((each.run, each.batch) for each in handed):
            topic = f"{batch.kind}/{run.sensor}"
            for reading in batch.readings:
                self._end.offer(topic, codec.reading_json(run, batch.kind, reading))

    def _close_books(self, *, wait: bool) -> None:
        if self._intake.waiting:  # the spool takes nothing now, and of what waits for it some may be of a worker that is gone
            return
        for run in self._keeper.close_books(wait=wait):
            self._intake.forget(run)

    def _health(self) -> BridgeHealth:
        health = BridgeHealth(stored=self._keeper.stored, refused=self._intake.refused, why=self._keeper.why)
        try:
            sinks = tuple(forwarder.health(self._keeper.lag(forwarder)) for forwarder in self._forwarders)
            return msgspec.structs.replace(health, sinks=sinks, spool_bytes=self._keeper.bytes())
        except SpoolError as error:
            return msgspec.structs.replace(health, why=self._keeper.why or str(error))

    def _farewell(self) -> None:
        until_ns = self._clock.monotonic_ns() + DRAIN_ns
        self._hear_out(until_ns)
        self._close_books(wait=False)
        with contextlib.suppress(SpoolError):  # the keeper says so; what is undelivered stays where it is
            self._deliver_out(until_ns)
        for forwarder in self._forwarders:
            forwarder.stop_soon()
        stuck = [forwarder.sink.name for forwarder in self._forwarders if not forwarder.ended(1.0)]
        self._keeper.commit([])
        health = self._health()
        lag = {sink.name: sink.lag for sink in health.sinks}
        self._log.info("bridge_done", stored=health.stored, undelivered=lag, stuck=stuck, why=health.why)

    def _hear_out(self, until_ns: int) -> None:
        quiet_ns = self._clock.monotonic_ns() + QUIET_ns
        while self._clock.monotonic_ns() < min(quiet_ns, until_ns):
            self._end.wait(0.02)
            if self._turn():
                quiet_ns = self._clock.monotonic_ns() + QUIET_ns

    def _deliver_out(self, until_ns: int) -> None:
        """A sink that is away is not waited for: what it lacks stays in the spool."""
        newest = self._keeper.newest()
        while self._clock.monotonic_ns() < until_ns and any(f.up and f.position < newest for f in self._forwarders):
            self._end.wait(0.02)
            self._turn()
