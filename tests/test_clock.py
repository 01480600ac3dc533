"""Clocks: pacing on absolute deadlines, and what the machine's clocks promise."""

from __future__ import annotations

import ctypes
import itertools
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.clock import NS_PER_S, Clock, SystemClock, boot_id, every, precise_timers
from edgegw.reading import ClockState

PERIOD_ns = 10_000_000
PR_GET_TIMERSLACK = 30


class FakeClock:
    """Stands still; sleeping moves it to the deadline, and a little further."""

    def __init__(self, lateness_ns: Iterator[int] | None = None) -> None:
        self.now_ns = 5 * NS_PER_S
        self.lateness_ns = lateness_ns or itertools.repeat(0)
        self.deadlines: list[int] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    boot_ns = wall_ns = monotonic_ns

    def state(self) -> ClockState:
        return ClockState.SYNCED

    def sleep_until(self, monotonic_ns: int) -> None:
        self.deadlines.append(monotonic_ns)
        self.now_ns = max(self.now_ns, monotonic_ns) + next(self.lateness_ns)


def test_a_clock_of_the_tests_is_a_clock() -> None:
    """What stands in for the machine's has all of the protocol."""
    clock: Clock = FakeClock()
    assert clock.state() is ClockState.SYNCED


def test_every_does_not_drift() -> None:
    """Waking 70 µs late each time: after a thousand turns the thousandth deadline is still the thousandth multiple."""
    clock = FakeClock(itertools.repeat(70_000))
    start = clock.now_ns
    assert list(itertools.islice(every(0.01, clock), 1001)) == [0] * 1001
    assert clock.deadlines == [start + turn * PERIOD_ns for turn in range(1, 1001)]


def test_every_counts_what_work_has_missed_and_does_not_race() -> None:
    """A turn of 3.5 periods: two deadlines were missed beside its own; the next turn is on the grid, and only one."""
    clock = FakeClock()
    ticks = every(0.01, clock)
    start = clock.now_ns
    assert next(ticks) == 0
    clock.now_ns = start + 35_000_000
    assert [next(ticks), clock.now_ns - start] == [2, 35_000_000]
    assert [next(ticks), clock.now_ns - start] == [0, 40_000_000]
    assert [next(ticks), clock.now_ns - start] == [0, 50_000_000]


def test_every_goes_on_from_now_after_a_long_pause() -> None:
    """A suspended machine: an hour of missed periods is one number, not an hour of catching up."""
    clock = FakeClock()
    ticks = every(0.01, clock)
    next(ticks)
    clock.now_ns += 3600 * NS_PER_S
    resumed = clock.now_ns
    assert next(ticks) == 360_000 - 1
    assert [next(ticks) for _ in range(5)] == [0] * 5
    assert clock.now_ns == resumed + 5 * PERIOD_ns


def test_every_begins_when_it_is_first_asked() -> None:
    """Time between making the generator and using it is not missed."""
    clock = FakeClock()
    ticks = every(0.01, clock)
    clock.now_ns += NS_PER_S
    assert next(ticks) == 0


@given(st.lists(st.tuples(st.integers(0, 50_000_000), st.integers(0, 3_000_000)), min_size=1, max_size=50))
def test_turns_and_misses_add_up_to_the_time_that_passed(turns: list[tuple[int, int]]) -> None:
    """Whatever work and lateness: every period is either a turn or counted as missed, and no two turns share one."""
    clock = FakeClock(iter([late for _, late in turns] + [0]))
    start = clock.now_ns
    ticks = every(0.01, clock)
    periods = next(ticks)
    slots = []
    for work, _ in turns:
        clock.now_ns += work
        periods += 1 + next(ticks)
        slots.append((clock.now_ns - start) // PERIOD_ns)
        assert periods == slots[-1]
    assert len(set(slots)) == len(slots)


@pytest.mark.parametrize("name", ["monotonic_ns", "boot_ns"])
def test_monotonic_clocks_never_step_back(name: str) -> None:
    """A hundred thousand readings in a row."""
    ask = getattr(SystemClock(), name)
    readings = [ask() for _ in range(100_000)]
    assert readings == sorted(readings)


def test_boot_time_includes_monotonic_time() -> None:
    """It counts suspend beside it, so it is never behind."""
    clock = SystemClock()
    before = clock.monotonic_ns()
    assert clock.boot_ns() >= before


def test_sleep_until_returns_at_or_after_the_moment() -> None:
    """Never before it; and at once for a moment that has passed."""
    clock = SystemClock()
    for ahead_ns in (-NS_PER_S, 0, 1, 100_000, 2_000_000):
        due = clock.monotonic_ns() + ahead_ns
        clock.sleep_until(due)
        assert clock.monotonic_ns() >= due


def test_state_asks_the_kernel_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred questions in one moment are one system call; a second later there is a second one, and the answer may differ."""
    clock, libc = SystemClock(), Kernel([0, 5, 4, -1])
    clock._libc = libc  # type: ignore[assignment]
    now = [0]
    monkeypatch.setattr("edgegw.clock.time.monotonic_ns", lambda: now[0])
    seen: list[ClockState] = []
    for now[0] in (0, NS_PER_S, 2 * NS_PER_S, 3 * NS_PER_S):
        seen += {clock.state() for _ in range(100)}
    now[0] = 4 * NS_PER_S - 1
    seen.append(clock.state())
    synced, not_synced = ClockState.SYNCED, ClockState.UNSYNCED
    assert seen == [synced, not_synced, synced, not_synced, not_synced]
    assert libc.answers == []


class Kernel:
    """adjtimex(2) with prepared answers; it must be asked read-only."""

    def __init__(self, answers: list[int]) -> None:
        self.answers = answers

    def adjtimex(self, timex: ctypes.Array[ctypes.c_char]) -> int:
        assert bytes(timex) == bytes(256)
        return self.answers.pop(0)


def test_state_of_this_machine_is_synced_or_not() -> None:
    """The real call does not fail, write beyond its buffer, or claim that a reading was re-stamped."""
    assert SystemClock().state() in (ClockState.SYNCED, ClockState.UNSYNCED)


def test_precise_timers_sets_the_slack_of_this_thread() -> None:
    """1 ns; put back afterwards."""
    libc = ctypes.CDLL(None)
    before = libc.prctl(PR_GET_TIMERSLACK)
    precise_timers()
    slack = libc.prctl(PR_GET_TIMERSLACK)
    libc.prctl(29, before, 0, 0, 0)
    assert slack == 1


def test_boot_id_is_one_uuid() -> None:
    """The same whenever it is asked in one boot."""
    assert boot_id() == str(uuid.UUID(boot_id()))
