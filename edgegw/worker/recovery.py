"""Climbs the ladder for one sensor, and keeps the receipts: which rung healed it, how often, and when last.

The receipts lie in a small file in the runtime directory, because the rung above reset ends this very process.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import msgspec

from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import DeviceAbsent
from edgegw.health import Healed
from edgegw.worker.ladder import ABSENT_s, DEADLINE_s, Means, Rung, Step, step

STEADY_ns = 5 * NS_PER_S  # a device that gave samples for so long is well; one that lets go sooner climbs on


class Receipts(msgspec.Struct):
    """What the file holds."""

    healed: dict[str, Healed] = {}
    restarted: bool = False  # this process is the fresh one that the trouble asked for


class Recovery:
    """Told of every failure and every sample; `rung` is where the climb stands, None while all is well."""

    def __init__(self, clock: Clock, *, can_reset: bool, may_restart: bool, file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._receipts = _read(file)
        self._can_reset = can_reset
        self._may_restart = may_restart and file is not None  # without a file, nobody would know that it was tried
        self._failures = 0
        self._since_ns: int | None = None  # since when samples have been coming again; None: none are
        self._deadline_ns = 0
        self.rung = Rung.RESTART if self._receipts.restarted else None

    @property
    def healed(self) -> dict[str, Healed]:
        """Rung → how often, and when last (wall clock, ns)."""
        return self._receipts.healed

    @property
    def silent(self) -> bool:
        """No sample since the last failure, or since the start."""
        return self._since_ns is None

    def opening(self) -> None:
        """The device is about to be opened: from now on it has its time to give a sample."""
        self._since_ns = None
        self._deadline_ns = self._clock.monotonic_ns() + round(DEADLINE_s.get(self.rung or Rung.REOPEN, DEADLINE_s[Rung.REOPEN]) * NS_PER_S)

    def failed(self, error: Exception) -> Step:
        """What to try next."""
        if self._since_ns is not None and self._clock.monotonic_ns() - self._since_ns >= STEADY_ns:
            self._credit()
        self._since_ns = None
        if isinstance(error, DeviceAbsent):
            self.rung = self.rung or Rung.REOPEN
            return Step(self.rung, ABSENT_s)
        self._failures += 1
        means = Means(reset=self._can_reset, restart=self._may_restart and not self._receipts.restarted)
        next_ = step(self._failures, means, random.random)
        self.rung = next_.rung
        if next_.rung is Rung.RESTART:
            self._receipts.restarted = True
            self._write()
        return next_

    def heard(self) -> None:
        """A first sample has come after silence."""
        self._since_ns = self._clock.monotonic_ns()

    def reread(self) -> None:
        """The driver got a good sample in spite of faults."""
        self._note(Rung.REREAD)

    def settle(self, now_ns: int) -> Rung | None:
        """Called now and then: the rung that has healed the device, once it has been well for a while."""
        if self.rung is None or self._since_ns is None or now_ns - self._since_ns < STEADY_ns:
            return None
        return self._credit()

    def overdue(self, now_ns: int) -> bool:
        """Whether it has been open without a sample for longer than its rung allows."""
        return self._since_ns is None and now_ns > self._deadline_ns

    def close(self) -> None:
        """The process ends because it was told to: the next one begins on the ground."""
        self._receipts.restarted = False
        if self._receipts.healed or (self._file and self._file.exists()):
            self._write()

    def _credit(self) -> Rung | None:
        healer, self.rung, self._failures = self.rung, None, 0
        if healer is not None:
            self._note(healer)
            self._receipts.restarted = False
            self._write()
        return healer

    def _note(self, rung: Rung) -> None:
        before = self._receipts.healed.get(rung, Healed())
        self._receipts.healed[rung.value] = Healed(before.count + 1, self._clock.wall_ns())

    def _write(self) -> None:
        """Losing a receipt is no reason to lose readings."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                fresh = self._file.with_suffix(".new")
                fresh.write_bytes(msgspec.json.encode(self._receipts))
                fresh.replace(self._file)


def _read(file: Path | None) -> Receipts:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        if file is not None:
            return msgspec.json.decode(file.read_bytes(), type=Receipts)
    return Receipts()
