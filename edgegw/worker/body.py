"""The loop of one sensor: next, stamp, push, beat; and what to do when the device lets go."""

from __future__ import annotations

import contextlib

from edgegw.clock import NS_PER_S
from edgegw.driver import Driver, Options, plugged
from edgegw.errors import DeviceError
from edgegw.process import Process
from edgegw.reading import Sample
from edgegw.worker.ladder import DEADLINE_s, Rung, Step
from edgegw.worker.outlet import Outlet
from edgegw.worker.recovery import Recovery
from edgegw.worker.stamp import Stamp

SLICE_s = 0.25  # of waiting, between heartbeats


class Worker:
    """One sensor. All of it happens in one thread, in one loop."""

    def __init__(self, driver: Driver, stamp: Stamp, outlet: Outlet, recovery: Recovery, process: Process) -> None:
        self._driver = driver
        self._stamp = stamp
        self._outlet = outlet
        self._recovery = recovery
        self._clock = process.clock
        self._log = process.log
        self._notifier = process.notifier
        self._stop = process.stop
        self._lifeline = process.lifeline
        self._told: Rung | None = None  # the rung that the log has been told of
        self._attempts = 1

    def work(self, options: Options) -> bool:
        """Read until asked to stop (True), or until only a fresh process is left to try (False).

        Raises DriverError where options ask for a virtual device that there is not; bugs pass through.
        """
        self._notifier.ready()
        going = True
        with plugged(self._driver, options) as real:
            step = Step(Rung.REOPEN, 0.0)
            while not self._stopping() and (going := step.rung is not Rung.RESTART):
                try:
                    self._attempt(real, step)
                except (OSError, DeviceError) as error:
                    if not self._stopping():
                        step = self._trouble(error)
        self._farewell(told=going)
        return going

    def _attempt(self, options: Options, step: Step) -> None:
        self._rest(step.wait_s)
        if step.resets and not self._stopping():
            self._reset(options)
        self._recovery.opening()
        samples = self._driver.read(options)
        with contextlib.closing(samples):
            for sample in samples:
                if sample is not None:
                    self._take(sample)
                self._turn()
                if self._stopping():
                    return
                if sample is None and self._recovery.overdue(self._clock.monotonic_ns()):
                    raise DeviceError("it can be opened, but gives no sample")
        raise DeviceError(f"driver {self._driver.name} stopped reading without saying why")

    def _reset(self, options: Options) -> None:
        assert self._driver.reset is not None
        until_ns = self._clock.monotonic_ns() + round(DEADLINE_s[Rung.RESET] * NS_PER_S)
        resetting = self._driver.reset(options)
        with contextlib.closing(resetting):
            for _ in resetting:
                self._turn()
                if self._stopping():
                    return
                if self._clock.monotonic_ns() > until_ns:
                    raise DeviceError(f"its reset did not end within {DEADLINE_s[Rung.RESET]:.0f} s")

    def _take(self, sample: Sample) -> None:
        kind, reading = self._stamp.reading(sample)
        if reading is None:
            self._outlet.hold_back(sample.faults)
        else:
            self._outlet.put(kind, reading, sample)
        if sample.faults and not self._recovery.silent:
            self._recovery.reread()
        if self._recovery.silent:
            self._recovery.heard()
            self._outlet.pulse.well()
            if self._told is None:
                self._log.info("device_reads", attempts=self._attempts)

    def _turn(self) -> None:
        now = self._clock.monotonic_ns()
        if self._outlet.due(now):
            if self._lifeline.cut():
                self._stop.ask()
            if healer := self._recovery.settle(now):
                self._log.info("device_healed", by=healer.value, attempts=self._attempts)
                self._told, self._attempts = None, 1
            self._outlet.flush(now)

    def _trouble(self, error: Exception) -> Step:
        self._attempts += 1
        step = self._recovery.failed(error)
        self._outlet.pulse.trouble(str(error))
        if self._told is not step.rung:
            self._told = step.rung
            self._log.warning("device_lost", why=str(error), driver=self._driver.name, next=step.rung.value)
        return step

    def _rest(self, wait_s: float) -> None:
        clock = self._clock
        until = clock.monotonic_ns() + round(wait_s * NS_PER_S)
        while not self._stopping() and (left_ns := until - clock.monotonic_ns()) > 0:
            clock.sleep_until(clock.monotonic_ns() + min(left_ns, round(SLICE_s * NS_PER_S)))
            self._turn()

    def _farewell(self, *, told: bool) -> None:
        self._notifier.stopping()
        if told:
            self._recovery.close()
        self._outlet.farewell()
        window = self._outlet.window
        self._log.info(
            "worker_done", produced=window.produced, filtered=window.filtered, dropped=window.dropped, unacknowledged=window.size
        )

    def _stopping(self) -> bool:
        return self._stop.asked > 0
