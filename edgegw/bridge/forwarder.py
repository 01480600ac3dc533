"""One sink's way out of the spool, in a thread of its own: read behind the cursor, deliver, move the cursor, wait after trouble."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgegw.bridge.bisect import isolate
from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import Refused, SinkError, SpoolError
from edgegw.health import SinkHealth
from edgegw.log import Logger
from edgegw.reading import Letter, Record
from edgegw.retry import backoff
from edgegw.sinks import Outbox, Sink
from edgegw.spool import Outgoing, Reader

DELIVERY_readings = 1000
DELIVERY_bytes = 1 << 20  # of attachments
IDLE_s = 1.0
AWAY_BASE_s, AWAY_MAX_s = 0.5, 10.0
REFUSED_s = 20.0  # somebody has to act first; more often would only fill the other side's log


class Forwarder:
    """The main thread reads position, letters and damaged, writes them with its next commit, and wakes this one when there is more."""

    def __init__(self, sink: Sink, spool: Path, position: int, log: Logger, clock: Clock, random: Callable[[], float]) -> None:
        self.sink = sink
        self.outbox = isinstance(sink, Outbox)
        self.position = position
        self.letters: deque[Letter] = deque()
        self.damaged: deque[int] = deque()
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
        self._replay_to = 0
        self._oldest_ns = 0  # wall clock of the oldest reading in hand; 0: none
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

    def health(self, lag: int) -> SinkHealth:
        """For status; `lag` as the spool counts it."""
        age_s = (self._clock.wall_ns() - self._oldest_ns) / NS_PER_S if lag and self._oldest_ns else 0.0
        return SinkHealth(
            name=self.sink.name,
            up=self._open,
            delivered=self._delivered,
            dead=self._dead,
            lag=lag,
            lag_s=round(max(0.0, age_s), 1),
            why=self._why,
        )

    def _live(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._serve()
                except SinkError as error:
                    self._trouble(error, str(error))
                except SpoolError as error:
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
        with contextlib.closing(Reader(self._spool)) as reader:
            while not (self._stop.is_set() or self._renew.is_set()):
                self._turn(reader)

    def _turn(self, reader: Reader) -> None:
        if not self._open:
            waiting = self._next(reader, 1, 1).records
            self._oldest_ns = waiting[0].batch.readings[0].time_ns if waiting else 0  # a sink that is away is behind, too
            self.sink.open()
            self._open = True
            self._replay_to = reader.newest()
        self._more.clear()
        records, damaged, upto = self._next(reader, DELIVERY_readings, DELIVERY_bytes)
        if records:
            self._deliver([msgspec.structs.replace(r, replay=True) if r.position <= self._replay_to else r for r in records])
        if self._why:
            self._well(reader)
        if damaged:
            self._log.error("record_damaged", sink=self.sink.name, positions=damaged)
        self.damaged.extend(damaged)
        self.position = upto
        if not records and not damaged:
            self._oldest_ns = 0
            self._more.wait(IDLE_s)

    def _next(self, reader: Reader, readings: int, bytes_: int) -> Outgoing:
        """What the sink has to be given next: every record, or, of the kinds that an outbox takes, those that something is attached to."""
        if isinstance(self.sink, Outbox):
            found = reader.outgoing(self.position, bytes_)
            return found._replace(records=[record for record in found.records if record.batch.kind in self.sink.kinds])
        records, damaged = reader.after(self.position, readings)
        return Outgoing(records, damaged, max([self.position, *damaged, *(record.position for record in records)]))

    def _deliver(self, records: Sequence[Record]) -> None:
        self._oldest_ns = records[0].batch.readings[0].time_ns
        poison = isolate(records, self.sink.deliver)
        for record, rejected in poison:
            letter = Letter(
                self.sink.name,
                record.run,
                record.batch.kind,
                record.batch.readings[0],
                rejected.code,
                rejected.reason,
                self._clock.wall_ns(),
            )
            self.letters.append(letter)  # durable with the cursor that passes it, in one commit
            self.sink.bury(letter)
            self._log.error("reading_rejected", sink=self.sink.name, sensor=record.run.sensor, seq=letter.reading.seq, why=str(rejected))
        self._dead += len(poison)
        self._delivered += sum(map(self._weight, records)) - len(poison)

    def _weight(self, record: Record) -> int:
        return len(record.attachments if self.outbox else record.batch.readings)

    def _well(self, reader: Reader) -> None:
        """It has taken something, or there is nothing to take; that it let itself be opened says too little."""
        backlog = reader.unsent(self.position) if self.outbox else reader.waiting(self.position)
        self._log.info("sink_connected", sink=self.sink.name, attempts=self._failures + 1, backlog=backlog)
        self._failures = 0
        self._why = ""

    def _trouble(self, error: Exception, why: str) -> None:
        if self._why != why:
            self._log.warning("sink_lost", sink=self.sink.name, why=why)
        self._open = False
        self._why = why
        slow = isinstance(error, Refused)
        wait_s = REFUSED_s if slow else backoff(self._failures, AWAY_BASE_s, AWAY_MAX_s, 0.2, self._random)
        self._failures += 1
        self._stop.wait(wait_s)
