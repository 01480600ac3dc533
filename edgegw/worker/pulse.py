"""What a worker says of itself, once a second, from the loop that works: alive, and how it goes."""

from __future__ import annotations

import msgspec

from edgegw.clock import NS_PER_S, Clock
from edgegw.health import SensorHealth
from edgegw.notify import Notifier
from edgegw.reading import Quality, Reading, Run, Sample
from edgegw.worker.link import Link
from edgegw.worker.recovery import Recovery
from edgegw.worker.window import Window

BEAT_ns = NS_PER_S
_SMOOTHING = 0.4  # of the rate, a beat: settles in about five seconds


class Pulse:
    """Collects the facts and sends them with the heartbeat."""

    def __init__(self, run: Run, window: Window, link: Link, recovery: Recovery, notifier: Notifier, clock: Clock) -> None:
        self.faults = 0
        self._run = run
        self._recovery = recovery
        self._window = window
        self._link = link
        self._notifier = notifier
        self._beat_ns = clock.monotonic_ns()
        self._produced = 0
        self._rate_hz = 0.0
        self._main = next(iter(run.fields))  # the kind that is shown: the others are events
        self._newest: tuple[str, Reading] | None = None
        self._bad = 0
        self._why = "waiting for the first reading"
        self._note = ""

    def note(self, kind: str, reading: Reading, sample: Sample) -> None:
        """A reading was made of that sample."""
        self.faults += sample.faults
        if kind == self._main:
            self._note = sample.note  # events have none, and say nothing of its cause
        if kind == self._main or not self._newest:
            self._newest = (kind, reading)
        if reading.quality is Quality.BAD:
            self._bad += 1

    def trouble(self, why: str) -> None:
        """Why there are no readings."""
        self._why = why

    def well(self) -> None:
        """The device gives readings."""
        self._why = ""

    def beat(self, now_ns: int) -> None:
        """Say so, when a second has passed."""
        since_ns = now_ns - self._beat_ns
        if since_ns < BEAT_ns:
            return
        rate_hz = (self._window.produced - self._produced) * NS_PER_S / since_ns
        self._rate_hz = rate_hz if not self._produced else self._rate_hz + _SMOOTHING * (rate_hz - self._rate_hz)
        self._produced, self._beat_ns = self._window.produced, now_ns
        self._notifier.beat(msgspec.json.encode(self._health()).decode())

    def _health(self) -> SensorHealth:
        kind, newest = self._newest or ("", None)
        return SensorHealth(
            run=self._run.id,
            produced=self._window.produced,
            dropped=self._window.dropped,
            filtered=self._window.filtered,
            bad=self._bad,
            faults=self.faults,
            window=self._window.size,
            rate_hz=round(self._rate_hz, 2),
            newest_ns=newest.time_ns if newest else 0,
            newest=dict(zip(self._run.fields[kind], newest.values, strict=True)) if newest else {},
            rung=self._recovery.rung or "",
            healed=self._recovery.healed,
            why=self._why or self._waiting() or self._note,
        )

    def _waiting(self) -> str:
        if self._link.welcomed:
            return ""
        return f"the bridge does not answer; {self._window.size} readings wait in this process"
