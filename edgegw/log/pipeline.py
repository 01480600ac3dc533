"""A process's log: structlog's loggers put records into a ring, one thread (or the process's own loop) drains it to a sink."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import traceback
import types
from collections.abc import Collection
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger

from edgegw.clock import NS_PER_S, Clock, SystemClock
from edgegw.log.destination import LogSink
from edgegw.log.entry import Entry, make
from edgegw.log.redact import Redactor
from edgegw.log.ring import LEVELS, Ring

Logger = FilteringBoundLogger

BUSY_s = 0.02
IDLE_s = 0.25  # eight processes that wake up fifty times a second would cost a Pi several per cent of a core
REPORT_s = 10.0  # drops that go on are told this often; drops that have ended, at once
RETRY_ns = 5_000_000  # while stopping with a sink that is full
DROPPED = "log records dropped"
# Blocked in the drain thread, so that they interrupt the main one; a fault in this thread is still this thread's.
_SIGNALS = signal.valid_signals() - {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
_MAX_TRACEBACK = 65_536  # characters; the redactor keeps fewer, so that no secret halved here is ever shown


class Log:
    """The log of one process. Made after the fork; its loggers may be used in any thread and in signal handlers.

    Field values become text when they are drained: log values, not objects that go on changing.
    """

    def __init__(
        self,
        process: str,
        sink: LogSink,
        level: str = "info",
        *,
        capacity: int = 2048,
        secrets: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        """`level`: the least important one kept, of debug, info, warning, error, critical; ValueError for any other."""
        if level not in LEVELS:
            raise ValueError(f"there is no log level {level!r} (there are {', '.join(LEVELS)})")
        self._process = process
        self._sink = sink
        self._clock = clock or SystemClock()
        self._redactor = Redactor(secrets)
        self._ring = Ring(capacity)
        self._bound = _logger(self._ring, level, self._clock)
        self._held: Entry | None = None  # taken from the ring, not yet by the sink
        self._told = self._seen = self._ring.dropped()
        self._told_ns = self._clock.monotonic_ns()
        self._deadline_ns = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def logger(self, **fields: object) -> Logger:
        """A logger whose every line carries these fields. Make it once and keep it."""
        return self._bound.bind(**fields)

    @property
    def dropped(self) -> dict[str, int]:
        """How many records of each level did not fit into the ring, since the start."""
        return self._ring.dropped()

    @property
    def trouble(self) -> dict[str, int]:
        """Errors the sink has met since the start: name of the errno → how often."""
        return dict(self._sink.trouble)

    def start(self) -> None:
        """Drain in a thread from now on; drain() is that thread's alone then."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def drain(self) -> int:
        """Give the sink what it takes now; returns how many records that were. Never waits, never raises."""
        before = self._ring.mark()
        written = 0
        while self._sink.flush() and self._offer(before):
            written += 1
        self._tell_drops()
        return written

    def stop(self, timeout_s: float = 1.0) -> int:
        """Write what is left and close the sink, in `timeout_s` even when the sink is stuck; returns how many records remain."""
        if not self._stopping.is_set():
            self._deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
            self._stopping.set()
            if self._thread is None:
                self._finish()
            else:
                self._thread.join(timeout_s)
        return self._left()

    def disown(self) -> None:
        """In a forked child: let go of the parent's log. What is queued in it is the parent's to write."""
        self._stopping.set()
        self._sink.close()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        delay_s = BUSY_s
        while not self._stopping.wait(delay_s):
            delay_s = pause_s(self.drain(), delay_s)
        self._finish()

    def _finish(self) -> None:
        while not (self.drain() == self._left() == 0 and self._sink.flush()):
            now_ns = self._clock.monotonic_ns()
            if now_ns >= self._deadline_ns:
                break
            self._clock.sleep_until(min(now_ns + RETRY_ns, self._deadline_ns))
        self._sink.close()

    def _offer(self, before: int) -> bool:
        if self._held is None:
            record = self._ring.take(before)
            if record is None:
                return False
            self._held = make(self._process, record, self._redactor)
        if self._sink.write(self._held):
            self._held = None
        return self._held is None

    def _tell_drops(self) -> None:
        """One line, once the drops have ended or REPORT_s after the last one: a line per turn would be a flood of its own."""
        dropped, seen = self._ring.dropped(), self._seen
        self._seen = dropped
        now_ns = self._clock.monotonic_ns()
        ended = dropped == seen or not self._left()
        if dropped == self._told or self._held or not (ended or now_ns - self._told_ns >= REPORT_s * NS_PER_S):
            return
        if self._sink.write(self._drops(dropped)):
            self._told, self._told_ns = dropped, now_ns

    def _drops(self, dropped: dict[str, int]) -> Entry:
        new = {level: count - self._told[level] for level, count in dropped.items() if count > self._told[level]}
        fields = {"event": DROPPED, "count": sum(new.values()), **new, **({"trouble": self.trouble} if self.trouble else {})}
        return make(self._process, (0, self._clock.wall_ns(), LEVELS.index("warning"), fields), self._redactor)

    def _left(self) -> int:
        return len(self._ring) + (self._held is not None)


def pause_s(written: int, last_s: float) -> float:
    """How long the thread rests after a turn that wrote so many records and followed a rest of `last_s`."""
    return BUSY_s if written else min(2 * last_s, IDLE_s)


def _logger(ring: Ring, level: str, clock: Clock) -> Logger:
    wall_ns = clock.wall_ns

    def stamp(_: object, __: str, fields: Any) -> Any:
        if "exc_info" in fields:
            _render_exception(fields)
        return (wall_ns(), fields), {}

    inlet = types.SimpleNamespace(**{name: functools.partial(ring.put, rank) for rank, name in enumerate(LEVELS)})
    kind = structlog.make_filtering_bound_logger(10 * (1 + LEVELS.index(level)))  # as logging counts; words only since 25.1
    return cast(Logger, structlog.wrap_logger(inlet, processors=[stamp], wrapper_class=kind, context_class=dict).bind())


def _render_exception(fields: dict[str, Any]) -> None:
    """Now and here, since a traceback kept for later would keep alive every local variable of its frames."""
    given = fields.pop("exc_info")
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None:
        text = "".join(traceback.format_exception(error)).rstrip()
        half = _MAX_TRACEBACK // 2
        fields["exception"] = text if len(text) <= _MAX_TRACEBACK else f"{text[:half]}\n…\n{text[-half:]}"
