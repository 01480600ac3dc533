"""The worker's side of the acknowledged hand-over: Hello, wait for Welcome, push, take acks; begin anew when they stop coming.

A new connection is a new peer to the bridge, and the bridge listens only to a run's newest peer. So on every connection the
batches arrive in order, from the first one that is not safe; none is skipped and none is taken twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edgegw import codec, failpoint
from edgegw.clock import NS_PER_S, Clock
from edgegw.codec import Ack, Again, Held, Hello, Push, Welcome
from edgegw.errors import CodecError
from edgegw.reading import Run
from edgegw.worker.window import Window

SILENCE_ns = 2 * NS_PER_S  # without an answer that is due, the connection is given up


class End(Protocol):
    """What the link needs of a socket; edgegw.bus.WorkerEnd has it."""

    def connect(self) -> None: ...
    def send(self, message: bytes) -> bool: ...
    def receive(self) -> Iterable[bytes]: ...
    def wait(self, timeout_s: float) -> None: ...


class Link:
    """Moves a window's batches to the bridge, as far as can be done without waiting."""

    def __init__(self, run: Run, window: Window, end: End, clock: Clock) -> None:
        self._hello = codec.encode(Hello(run))
        self._run = run.id
        self._window = window
        self._end = end
        self._clock = clock
        self._welcomed = False
        self._heard_ns = 0
        self._begin()

    @property
    def welcomed(self) -> bool:
        """Whether the bridge has answered on this connection."""
        return self._welcomed

    def wait(self, timeout_s: float) -> None:
        """Return when the bridge has said something, or after `timeout_s`."""
        self._end.wait(timeout_s)

    def pump(self) -> None:
        """Take what the bridge has said, send what may be sent."""
        for data in self._end.receive():
            try:
                self._hear(codec.decode(data))
            except CodecError:  # a bridge of another version: it will not welcome us either, and status says so
                continue
        if self._overdue():
            self._begin()
        while self._welcomed and (push := self._window.next()) is not None and self._send(push):
            self._window.sent()

    def _hear(self, message: codec.Message) -> None:
        now = self._clock.monotonic_ns()
        match message:
            case Welcome(run=self._run, committed=committed) if not self._welcomed:
                self._window.rewind(committed)
                self._welcomed = True
                self._heard_ns = now
            case Ack(run=self._run, committed=committed) if self._welcomed:
                if self._window.acknowledge(committed):
                    self._heard_ns = now
            case Held(run=self._run, number=number) if self._welcomed and number >= self._window.last_sent:
                self._heard_ns = now  # nothing was lost on the way, and a new connection would not make the disk any faster
            case Again():
                self._begin()

    def _send(self, push: Push) -> bool:
        if self._window.in_flight == 0:
            self._heard_ns = self._clock.monotonic_ns()  # only from now on an answer is due
        failpoint.hit("worker.before_push")
        sent = self._end.send(codec.encode(push))
        failpoint.hit("worker.after_push")
        return sent

    def _overdue(self) -> bool:
        due = not self._welcomed or self._window.in_flight > 0
        return due and self._clock.monotonic_ns() - self._heard_ns > SILENCE_ns

    def _begin(self) -> None:
        self._end.connect()
        self._end.send(self._hello)
        self._welcomed = False
        self._heard_ns = self._clock.monotonic_ns()
