"""The loop of a sensor process: next, stamp, push, beat; and what to do when the device lets go."""

from __future__ import annotations

import contextlib
import random
from types import NoneType

from edgegw import codec
from edgegw.clock import NS_PER_S
from edgegw.driver import Driver, Options, plugged
from edgegw.errors import DeviceError
from edgegw.process import Process
from edgegw.reading import Quality, Reading, Run, Sample, Value
from edgegw.retry import backoff
from edgegw.tally import Tally
from edgegw.worker.link import Link
from edgegw.worker.pulse import Pulse
from edgegw.worker.window import Window

BATCH_readings = 500
SLICE_s = 0.25  # of waiting, between heartbeats
FAREWELL_s = 1.5  # for the last acknowledgements
REOPEN_BASE_s, REOPEN_MAX_s = 0.2, 5.0
STEADY_ns = 5 * NS_PER_S  # a device that gave readings for so long is well; one that lets go sooner is given longer and longer pauses
TEXT_chars = 10_000  # in one value


class Worker:
    """One sensor. All of it happens in one thread, in one loop."""

    def __init__(self, run: Run, driver: Driver, window: Window, link: Link, tally: Tally, linger_s: float, process: Process) -> None:
        self._run = run
        self._driver = driver
        self._window = window
        self._link = link
        self._tally = tally
        self._linger_ns = round(linger_s * NS_PER_S)
        self._clock = process.clock
        self._log = process.log
        self._notifier = process.notifier
        self._stop = process.stop
        self._lifeline = process.lifeline
        self._pulse = Pulse(run, window, link, process.notifier, process.clock)
        self._seq = 0
        self._flushed_ns = 0
        self._failures = 0
        self._silent = True
        self._heard_ns = 0
        self._only_kind = next(iter(run.fields)) if len(run.fields) == 1 else ""
        self._names = {kind: tuple(fields) for kind, fields in run.fields.items()}

    def work(self, options: Options) -> None:
        """Read until asked to stop. Raises DriverError where options ask for a virtual device that there is not; bugs pass through."""
        self._notifier.ready()
        with plugged(self._driver, options) as real:
            while not self._stopping():
                try:
                    self._drain(real)
                except (OSError, DeviceError) as error:
                    if not self._stopping():
                        self._trouble(error)
        self._farewell()

    def _drain(self, options: Options) -> None:
        samples = self._driver.read(options)
        with contextlib.closing(samples):
            for sample in samples:
                if sample is not None:
                    self._take(sample)
                self._turn()
                if self._stopping():
                    return
        raise DeviceError(f"driver {self._driver.name} stopped reading without saying why")

    def _take(self, sample: Sample) -> None:
        clock = self._clock
        kind = sample.kind or self._only_kind
        values, quality = _storable(tuple([sample.values[name] for name in self._names[kind]]), sample.quality)
        reading = Reading(
            seq=self._seq,
            time_ns=clock.wall_ns() - sample.age_ns,
            boot_ns=clock.boot_ns() - sample.age_ns,
            clock=clock.state(),
            quality=quality,
            values=values,
        )
        self._seq += 1
        self._window.add(kind, reading)
        self._tally.set(self._window.produced, 0, self._window.dropped)
        self._pulse.note(kind, reading, sample.faults)
        if self._silent:
            self._heard()

    def _turn(self) -> None:
        now = self._clock.monotonic_ns()
        if now - self._flushed_ns >= self._linger_ns or self._window.collected >= BATCH_readings:
            self._flushed_ns = now
            if self._lifeline.cut():
                self._stop.ask()
            self._window.seal()
            self._link.pump()
            self._tally.set(self._window.produced, 0, self._window.dropped)
            self._pulse.beat(now)

    def _trouble(self, error: Exception) -> None:
        if not self._silent and self._clock.monotonic_ns() - self._heard_ns >= STEADY_ns:
            self._failures = 0
        wait_s = backoff(self._failures, REOPEN_BASE_s, REOPEN_MAX_s, 0.2, random.random)
        self._failures += 1
        self._silent = True
        if self._pulse.trouble(str(error)):
            self._log.warning("device_lost", why=str(error), driver=self._driver.name)
        self._rest(wait_s)

    def _heard(self) -> None:
        self._log.info("device_reads", attempts=self._failures + 1)
        self._heard_ns = self._clock.monotonic_ns()
        self._silent = False
        self._pulse.well()

    def _rest(self, wait_s: float) -> None:
        clock = self._clock
        until = clock.monotonic_ns() + round(wait_s * NS_PER_S)
        while not self._stopping() and (left_ns := until - clock.monotonic_ns()) > 0:
            clock.sleep_until(clock.monotonic_ns() + min(left_ns, round(SLICE_s * NS_PER_S)))
            self._turn()

    def _farewell(self) -> None:
        clock = self._clock
        self._notifier.stopping()
        until = clock.monotonic_ns() + round(FAREWELL_s * NS_PER_S)
        self._window.seal()
        self._link.pump()
        while self._window.size and clock.monotonic_ns() < until:
            self._link.wait(0.05)
            self._link.pump()
        self._tally.set(self._window.produced, 0, self._window.dropped)
        self._log.info("worker_done", produced=self._window.produced, dropped=self._window.dropped, unacknowledged=self._window.size)

    def _stopping(self) -> bool:
        return self._stop.asked > 0


def _storable(values: tuple[Value, ...], quality: Quality) -> tuple[tuple[Value, ...], Quality]:
    """What JSON, SQL or a message has no place for becomes null, and its reading bad: the bridge would refuse the whole batch for it."""
    if all(map(_fits, values)):
        return values, quality
    return tuple([value if _fits(value) else None for value in values]), Quality.BAD


def _fits(value: Value) -> bool:
    if type(value) is str:
        return len(value) <= TEXT_chars and (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value))
    return type(value) in (float, int, NoneType) and codec.storable(value)
