"""Wall, boot and monotonic time behind one small Clock; every(period) paces on absolute deadlines.

Monotonic decides, wall clock records. Everything that needs the time is given a Clock; only this file asks the machine.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edgegw.reading import ClockState

NS_PER_S = 1_000_000_000
_PR_SET_TIMERSLACK = 29  # prctl(2)
_TIME_ERROR = 5  # adjtimex(2): the kernel's clock is not synchronised
_SYNC_CHECK_ns = 1 * NS_PER_S


class Clock(Protocol):
    """The times there are. monotonic_ns never steps; boot_ns also counts suspend; wall_ns may jump at any moment."""

    def monotonic_ns(self) -> int:
        """For deadlines and durations."""

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME: for ordering what one boot has seen."""

    def wall_ns(self) -> int:
        """UTC since the epoch: for the record only."""

    def state(self) -> ClockState:
        """Whether the wall clock is synchronised."""

    def sleep_until(self, monotonic_ns: int) -> None:
        """Return at or after that moment."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._state = ClockState.UNSYNCED
        self._checked_ns = -_SYNC_CHECK_ns

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)

    @staticmethod
    def boot_ns() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def state(self) -> ClockState:
        """As adjtimex(2) says, asked at most once a second: it is a system call, and NTP takes longer than that."""
        now = time.monotonic_ns()
        if now - self._checked_ns >= _SYNC_CHECK_ns:
            self._checked_ns = now
            answer = self._libc.adjtimex(ctypes.create_string_buffer(256))  # modes = 0: read only; struct timex is 208 bytes
            self._state = ClockState.SYNCED if 0 <= answer < _TIME_ERROR else ClockState.UNSYNCED
        return self._state

    @staticmethod
    def sleep_until(monotonic_ns: int) -> None:
        wait_ns = monotonic_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / NS_PER_S)


def every(period_s: float, clock: Clock | None = None) -> Iterator[int]:
    """Paces a polled sensor: yields the number of periods missed since the last turn (0 when on time), for ever.

    Deadlines are absolute: sleep(period) loses about 7 % of the ticks at 1 kHz, this loses none. After a pause
    longer than a period it goes on from now instead of racing to catch up.
    """
    clock = clock or SystemClock()
    period_ns = round(period_s * NS_PER_S)
    due = clock.monotonic_ns()
    while True:
        missed = max(0, (clock.monotonic_ns() - due) // period_ns)
        due += missed * period_ns
        yield missed
        due += period_ns
        clock.sleep_until(due)


def precise_timers() -> None:
    """Ask for 1 ns timer slack (the default 50 µs makes a 1 kHz loop 50 µs late at the median; it costs nothing)."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def boot_id() -> str:
    """The kernel's random id of this boot; boot_ns of two readings compare only where it is the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
