"""The loop of the bridge: collect what workers send, make it durable in one commit, acknowledge, offer, wake the sinks."""

from __future__ import annotations

import contextlib
import itertools
import select
from collections.abc import Sequence

import msgspec

from edgegw import codec, failpoint
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.gauge import Gauge
from edgegw.bridge.intake import Intake
from edgegw.bridge.keeper import Keeper
from edgegw.bridge.openfiles import OpenFiles
from edgegw.bridge.refusals import Refusals
from edgegw.bridge.timekeeper import Timekeeper
from edgegw.bus import BridgeEnd
from edgegw.clock import NS_PER_S, boot_id
from edgegw.codec import Lettered, Purged
from edgegw.config import SpoolSettings
from edgegw.errors import SpoolError
from edgegw.health import BridgeHealth
from edgegw.process import Process
from edgegw.spool import Handed, card

TURN_readings = 20_000  # at most in one commit; more stays in the sockets and the workers' windows
TURN_bytes = 16 << 20  # of attachments
TURN_messages = 10_000  # so that somebody who sends nonsense without end cannot keep the loop from its other work
IDLE_s = 0.5
BEAT_ns = NS_PER_S
BOOKS_ns = 2 * NS_PER_S
EXPIRE_ns = 60 * NS_PER_S
SALVAGE_ns = NS_PER_S // 10  # in one turn
RETRY_ns = NS_PER_S  # after a commit that failed
QUIET_ns = NS_PER_S // 5  # without a message: the workers have said their last
DRAIN_ns = 7 * NS_PER_S // 2
DEFAULTS = SpoolSettings()


class Bridge:
    """One thread; each sink has one of its own, in its forwarder."""

    def __init__(
        self,
        end: BridgeEnd,
        keeper: Keeper,
        forwarders: Sequence[Forwarder],
        linger_s: float,
        process: Process,
        spool: SpoolSettings = DEFAULTS,
        sensors: int = 0,
    ) -> None:
        self._spool = spool
        self._commit_ns = round(spool.commit_s * NS_PER_S)
        self._gauge = Gauge(process.log)
        self._files = OpenFiles(sensors, process.log)
        self._refusals = Refusals(process.log)
        self._timekeeper = Timekeeper(process.clock, boot_id(), round(spool.clock_wait_s * NS_PER_S), process.log)
        self._end = end
        self._keeper = keeper
        self._forwarders = forwarders
        self._linger_ns = round(linger_s * NS_PER_S)
        self._clock = process.clock
        self._log = process.log
        self._notifier = process.notifier
        self._stop = process.stop
        self._lifeline = process.lifeline
        self._intake = Intake(keeper.acked, keeper.known)
        self._turned_ns = self._beat_ns = self._books_ns = self._expired_ns = 0
        self._retry_ns = self._committed_ns = 0
        self._began_ns = self._clock.monotonic_ns()

    def work(self) -> None:
        """Until asked to stop; then take in and deliver what can be in DRAIN_ns."""
        for forwarder in self._forwarders:
            forwarder.start()
        self._end.watch(self._stop.fileno())
        self._notifier.ready()
        while not self._stop.asked:
            self._end.wait(0 if self._keeper.salvaging else IDLE_s)
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
        self._end.admit(others=self._files.admits(now))
        self._hear()
        heard = self._intake.waiting
        if self._intake.purgers:
            self._purge()
        if self._intake.clerks:
            self._letters()
        if now >= self._retry_ns and (heard or now - self._beat_ns >= BEAT_ns) and self._due(now):
            self._commit(self._intake.handed())
        self._salvage(now)
        if now - self._books_ns >= BOOKS_ns:
            self._books_ns = now
            self._close_books(wait=True)
        if now - self._expired_ns >= EXPIRE_ns:
            self._expired_ns = now
            self._keeper.expire()
        if now - self._beat_ns >= BEAT_ns:
            self._beat(now)
        return heard

    def _beat(self, now: int) -> None:
        """What is done once a second, whether anything came or not."""
        self._beat_ns = now
        if self._lifeline.cut():
            self._stop.ask()
        self._keeper.keep_time(self._timekeeper)
        self._refusals.look(self._intake.refused, self._intake.why, now)
        for peer, patience in self._intake.patience():
            self._end.answer(peer, patience)
        self._notifier.beat(msgspec.json.encode(self._health()).decode())

    def _salvage(self, now: int) -> None:
        """Piece by piece, so that workers and sinks need not wait for all of it."""
        while self._keeper.salvaging:
            self._keeper.salvage()
            if self._clock.monotonic_ns() - now >= SALVAGE_ns:
                return

    def _due(self, now: int) -> bool:
        """Commits are to be rare where they wear a card; not so rare that somebody stands still, and not when we are leaving."""
        return now - self._committed_ns >= self._commit_ns or self._intake.urgent or self._full() or bool(self._stop.asked)

    def _hear(self) -> None:
        if self._full():
            return
        for peer, data in itertools.islice(self._end.receive(), TURN_messages):
            answer = self._answer(peer, data)
            failpoint.hit("bridge.after_take")
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
        self._committed_ns = self._clock.monotonic_ns()
        if not self._keeper.commit(handed):
            self._retry_ns = self._clock.monotonic_ns() + RETRY_ns
            return
        for peer, answer in self._intake.taken(self._keeper.blocked):
            failpoint.hit("bridge.before_ack")
            self._end.answer(peer, answer)
            failpoint.hit("bridge.after_ack")
        tapped = self._end.tapped()
        if handed:
            for forwarder in self._forwarders:
                forwarder.wake()
        if tapped:
            self._offer([each for each in handed if each.run.id not in self._keeper.blocked])

    def _purge(self) -> None:
        """After a commit, so that what has come in before the question is erased, too. Who gets no answer knows that it was not done."""
        self._commit(self._intake.handed())
        count = self._keeper.purge()
        if count is None or self._intake.held:  # something could not be written, and will be when there is room: asked again then
            return
        for peer in self._intake.purgers:
            self._end.answer(peer, codec.encode(Purged(count)))
        self._intake.purgers = []

    def _letters(self) -> None:
        """Who gets no answer knows that it was not done."""
        clerks, self._intake.clerks = self._intake.clerks, []
        for peer, wish in clerks:
            count = self._keeper.letters(wish)
            if count is not None:
                self._end.answer(peer, codec.encode(Lettered(count)))
        for forwarder in self._forwarders:
            forwarder.wake()

    def _offer(self, handed: Sequence[Handed]) -> None:
        for run, batch in ((each.run, each.batch) for each in handed):
            topic = f"{batch.kind}/{run.sensor}"
            for reading in batch.readings:
                self._end.offer(topic, codec.reading_json(run, batch.kind, reading))

    def _close_books(self, *, wait: bool) -> None:
        if self._keeper.why:  # the spool takes nothing now
            return
        for run in self._keeper.close_books(wait=wait, but=self._intake.held):  # what waits there may be of a worker that is gone
            self._intake.forget(run)

    def _health(self) -> BridgeHealth:
        health = BridgeHealth(stored=self._keeper.stored, refused=self._intake.refused, why=self._keeper.trouble)
        try:
            sinks = tuple(forwarder.health(self._keeper.lag(forwarder)) for forwarder in self._forwarders)
            self._gauge.look(self._keeper.room(), self._clock.monotonic_ns())
            crowded = self._keeper.crowd.health(self._intake.held_readings())
            health = msgspec.structs.replace(health, room=self._gauge.why, tap=self._files.why, crowded=crowded)
            day = card.day_bytes(self._keeper.written_bytes, (self._clock.monotonic_ns() - self._began_ns) / NS_PER_S)
            wear = card.sentence(day, self._spool.card_bytes, self._spool.card_cycles)
            return msgspec.structs.replace(
                health, sinks=sinks, spool_bytes=self._keeper.bytes(), written_day_bytes=day, card=wear
            )
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
