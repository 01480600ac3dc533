"""One sink's way out of the spool, in a thread of its own: read, deliver, tell what was done, wait after trouble."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgegw import failpoint
from edgegw.bridge import pace
from edgegw.bridge.bisect import Doubt, isolate
from edgegw.bridge.course import Course, Wish
from edgegw.bridge.gather import Report, Step
from edgegw.bridge.letterbox import MOST, LetterBox
from edgegw.clock import NS_PER_S, Clock, boot_id
from edgegw.errors import Rejected, SinkError, SpoolError
from edgegw.health import SinkHealth
from edgegw.log import Logger
from edgegw.reading import Letter, Record
from edgegw.sinks import Outbox, Sink
from edgegw.spool import Outgoing, Reach, Reader, file

DELIVERY_bytes = 1 << 20  # of attachments
IDLE_s = 1.0


class Forwarder:
    """The main thread gathers what the report says, writes it with its next commit, and wakes this one when there is more."""

    def __init__(
        self, sink: Sink, spool: Path, reach: Reach, log: Logger, clock: Clock, random: Callable[[], float], letters: int = MOST
    ) -> None:
        """`letters`: about so many dead letters of this sink may lie in the spool; then it is given nothing but those."""
        self.sink = sink
        self._letters = LetterBox(sink.name, letters)
        self.outbox = isinstance(sink, Outbox)
        self.report = Report(sink.name, reach)
        self._spool = spool
        self._log = log
        self._clock = clock
        self._random = random
        self._more = threading.Event()
        self._stop = threading.Event()
        self._renew = threading.Event()
        self._open = False
        self._failures = 0
        self._delivered = 0
        self._dead = 0
        self._file = 0  # see Report
        self._course = Course()
        self._doubt = Doubt()
        self._replay_to = 0
        self._oldest: Record | None = None  # whose first reading has waited longest
        self._boot_id = boot_id()
        self._why = "not connected yet"
        self._thread = threading.Thread(target=self._live, name=f"sink-{sink.name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """There is more in the spool."""
        self._more.set()

    def renew(self) -> None:
        """Open the spool's file anew: it may be another one now."""
        self._renew.set()
        self._more.set()

    def stop_soon(self) -> None:
        """End after the delivery in hand; what is undelivered stays in the spool."""
        self._stop.set()
        self._more.set()

    def ended(self, timeout_s: float) -> bool:
        """Whether it has ended, within `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def up(self) -> bool:
        """Whether the last attempt went well."""
        return self._open

    @property
    def position(self) -> int:
        """The sink is done with everything up to here."""
        return self.report.reach.cursor

    def health(self, lag: int) -> SinkHealth:
        """For status; `lag` as the spool counts it."""
        return SinkHealth(
            name=self.sink.name,
            up=self._open,
            delivered=self._delivered,
            dead=self._dead,
            lag=lag,
            lag_s=round(max(0.0, self._age_s()), 1) if lag else 0.0,
            why=self._why,
        )

    def _age_s(self) -> float:
        """Of what has waited longest. Within one boot by the clock that does not jump, nor begins in 1970."""
        if self._oldest is None:
            return 0.0
        reading = self._oldest.batch.readings[0]
        if self._oldest.run.boot_id == self._boot_id:
            return (self._clock.boot_ns() - reading.boot_ns) / NS_PER_S
        return (self._clock.wall_ns() - reading.time_ns) / NS_PER_S

    def _live(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._serve()
                except SinkError as error:
                    self._trouble(error, str(error))
                except SpoolError as error:
                    self.report.ruins += file.met_ruin(error)
                    self.sink.close()
                    self._trouble(error, str(error))
                except Exception as error:  # noqa: BLE001 - a bug in one sink must not end the others; it is shown, logged and tried again
                    self._log.error("sink_bug", sink=self.sink.name, exc_info=True)
                    self.sink.close()  # nobody knows in what state it is
                    self._trouble(error, f"internal error: {type(error).__name__}: {error}")
        finally:
            self.sink.close()

    def _serve(self) -> None:
        """Until told to stop or to begin anew."""
        self._renew.clear()
        self._file = self.report.file  # before it is opened: what comes out of a newer one than that is taken to be of an older
        with contextlib.closing(Reader(self._spool)) as reader:
            if self._open and reader.floor():
                self._begin(reader)
            while not (self._stop.is_set() or self._renew.is_set()):
                self._turn(reader)

    def _turn(self, reader: Reader) -> None:
        if not self._open:
            self._connect(reader)
        self._more.clear()
        if self._retry(reader):
            return
        if full := self._letters.full(reader):  # then all waits in the spool, and nothing is dropped
            if self._why != full:
                self._log.warning("sink_held", sink=self.sink.name, why=full)
            self._why = full
            self._more.wait(IDLE_s)
            return
        for wish in self._wishes():
            found = self._take(reader, wish)
            if found.upto >= wish.first:
                self._forward(found, wish, reader)
                return
        self._well(reader)
        rest_s = self._course.rest_s(self.report.reach, self._clock.monotonic_ns())
        if rest_s is None:
            self._oldest = None
        self._more.wait(min(IDLE_s, rest_s or IDLE_s))

    def _connect(self, reader: Reader) -> None:
        waiting = self._look(reader, Wish(self.position + 1, None, 1)).records
        self._oldest = waiting[0] if waiting else None  # a sink that is away is behind, too
        self.sink.open()
        self._open = True
        self._begin(reader)

    def _begin(self, reader: Reader) -> None:
        self._replay_to = max(reader.newest(), reader.floor())
        self._course.begin(self.report.reach, self._replay_to)

    def _wishes(self) -> Sequence[Wish]:
        if self.outbox:
            return [Wish(self.position + 1, None, 0)]
        return self._course.wishes(self.report.reach, self._clock.monotonic_ns())

    def _take(self, reader: Reader, wish: Wish) -> Outgoing:
        """Read it and say that it is in hand; see Report."""
        with self.report.claiming:
            found = self._look(reader, wish)
            self.report.in_hand = (wish.first, found.upto) if found.upto >= wish.first else None
            return found

    def _look(self, reader: Reader, wish: Wish) -> Outgoing:
        """Every record, or, of the kinds that an outbox takes, those that something is attached to."""
        if isinstance(self.sink, Outbox):
            found = reader.outgoing(wish.first - 1, DELIVERY_bytes)
            return found._replace(records=[record for record in found.records if record.batch.kind in self.sink.kinds])
        return reader.piece(wish.first, wish.last, wish.readings)

    def _forward(self, found: Outgoing, wish: Wish, reader: Reader) -> None:
        began_ns = self._clock.monotonic_ns()
        letters = self._deliver(found.records) if found.records else []
        delivered = Counter[str]()
        for record in found.records:
            delivered[record.run.id] += len(record.attachments if self.outbox else record.batch.readings)
        delivered.subtract(letter.run.id for letter in letters)
        self._well(reader)
        if found.damaged:
            self._log.error("record_damaged", sink=self.sink.name, positions=found.damaged)
        self._dead += len(letters)
        self._letters.buried(len(letters))
        self._delivered += delivered.total()
        self.report.tell(Step((wish.first, found.upto), delivered, letters, found.damaged), self._file)
        self._course.went(wish, sum(len(record.batch.readings) for record in found.records), began_ns, self._clock.monotonic_ns())

    def _retry(self, reader: Reader) -> bool:
        """Of the dead letters that it shall be given again a piece, and none while the piece before is not on disk."""
        step = None if self.outbox or self.report.retrying else self._letters.give(reader, self.sink.deliver, self._bury)
        if step is None:
            return False
        self._well(reader)
        self._delivered += len(step.retried) - len(step.letters)
        self.report.tell(step, self._file)
        return True

    def _deliver(self, records: Sequence[Record]) -> list[Letter]:
        if records[0].position <= self._replay_to or self._course.rest_s(self.report.reach, 0) is None:
            self._oldest = records[0]
        replayed = [msgspec.structs.replace(r, replay=True) if r.position <= self._replay_to else r for r in records]
        failpoint.hit("sink.before_deliver")
        poison = isolate(replayed, self.sink.deliver, None if self.outbox else self._doubt)
        failpoint.hit("sink.after_deliver")
        return [self._bury(record, rejected) for record, rejected in poison]

    def _bury(self, record: Record, rejected: Rejected) -> Letter:
        reading, now_ns = record.batch.readings[0], self._clock.wall_ns()
        letter = Letter(self.sink.name, record.run, record.batch.kind, reading, rejected.code, rejected.reason, now_ns)
        self.sink.bury(letter)
        self._log.error("reading_rejected", sink=self.sink.name, sensor=record.run.sensor, seq=letter.reading.seq, why=str(rejected))
        return letter

    def _well(self, reader: Reader) -> None:
        """It has taken something, or there is nothing to take; that it let itself be opened says too little."""
        if self._why:
            backlog = reader.unsent(self.position) if self.outbox else reader.undone(self.sink.name)
            self._log.info("sink_connected", sink=self.sink.name, attempts=self._failures + 1, backlog=backlog)
        self._failures = self.report.ruins = 0
        self._why = ""

    def _trouble(self, error: Exception, why: str) -> None:
        if self._why != why:
            self._log.warning("sink_lost", sink=self.sink.name, why=why)
        self._open = False
        self._why = why
        self.report.in_hand = None
        wait_s = pace.pause_s(error, self._failures, self._random)
        self._failures += 1
        self._stop.wait(wait_s)
