"""The stamps of packets whose clock is not ours and whose reader is late: against a simulated truth."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.mpu6050.cadence import MARKS, PULL, Cadence

NOMINAL_ns = 1_000_000


class Look(NamedTuple):
    """What one look at the FIFO yields: the packets' true times, and the moments before and after they were counted."""

    truth: list[float]
    before_ns: int
    after_ns: int


def looks(seconds: float, clock_error: float, jitter_ns: int, turn_ns: int = 24_000_000, seed: int = 1) -> Iterator[Look]:
    """Looks at packets that begin somewhere; each is late by up to `jitter_ns`, and takes up to as long again."""
    chance = random.Random(seed)
    period_ns = NOMINAL_ns / (1 + clock_error)
    made_ns = 5e9 + chance.uniform(0, period_ns)
    due_ns = after_ns = 5_000_000_000
    while due_ns < 5e9 + seconds * 1e9:
        due_ns += turn_ns
        before_ns = max(after_ns, due_ns) + chance.randint(0, jitter_ns)
        counted_ns = before_ns + chance.randint(0, jitter_ns)
        after_ns = counted_ns + chance.randint(0, jitter_ns)
        truth = []
        while made_ns <= counted_ns:
            truth.append(made_ns)
            made_ns += period_ns
        if truth:
            yield Look(truth, before_ns, after_ns)


def followed(cadence: Cadence, seen: Iterator[Look]) -> tuple[list[float], list[int]]:
    """True times and stamps, side by side."""
    truth: list[float] = []
    stamps: list[int] = []
    for look in seen:
        truth += look.truth
        stamps += cadence.stamps(len(look.truth), look.before_ns, look.after_ns)
    return truth, stamps


def errors_ns(truth: list[float], stamps: list[int]) -> list[float]:
    return [stamp - true for true, stamp in zip(truth, stamps, strict=True)]


@pytest.mark.parametrize("clock_error", [-0.05, -0.01, 0.0, 0.01, 0.05])
@pytest.mark.parametrize("jitter_ns", [20_000, 3_000_000])
def test_stamps_follow_the_chips_own_clock(clock_error: float, jitter_ns: int) -> None:
    """After a minute the period is known to a few parts in ten thousand, and stamps are right to a period and the reader's jitter."""
    cadence = Cadence(NOMINAL_ns)
    truth, stamps = followed(cadence, looks(60, clock_error, jitter_ns))
    settled = errors_ns(truth, stamps)[5000:]
    assert cadence.period_ns == pytest.approx(NOMINAL_ns / (1 + clock_error), rel=3e-4)
    assert max(map(abs, settled)) < NOMINAL_ns + jitter_ns / 2


@settings(max_examples=100, deadline=None)
@given(st.floats(-0.1, 0.1), st.integers(1000, 8_000_000), st.integers(1_000_000, 60_000_000), st.integers(0, 1 << 32))
def test_stamps_are_even_and_never_turn_back(clock_error: float, jitter_ns: int, turn_ns: int, seed: int) -> None:
    """However late the looks and however wrong the clock: neighbours are a period apart, give or take what one is pulled by."""
    cadence = Cadence(NOMINAL_ns)
    _, stamps = followed(cadence, looks(2, clock_error, jitter_ns, turn_ns, seed))
    steps = [after - before for before, after in itertools.pairwise(stamps)]
    assert min(steps) >= NOMINAL_ns / 1.15 * (1 - PULL) - 2
    assert max(steps) <= NOMINAL_ns * 1.15 * (1 + PULL) + 2


def test_being_interrupted_does_not_move_the_stamps() -> None:
    """Ten times the reader sleeps for 15 ms between counting and looking at the clock: the stamps go on as if nothing had been."""
    cadence = Cadence(NOMINAL_ns)
    seen = [
        Look(one.truth, one.before_ns, one.after_ns + (15_000_000 if number in range(500, 600, 10) else 0))
        for number, one in enumerate(looks(20, 0.005, 50_000))
    ]
    truth, stamps = followed(cadence, iter(seen))
    assert max(map(abs, errors_ns(truth, stamps)[10_000:])) < NOMINAL_ns / 4


def test_a_pause_of_the_chip_is_no_stretch() -> None:
    """300 ms without packets: the stamps behind it are right at once, and the period is not taken for longer."""
    cadence = Cadence(NOMINAL_ns)
    before, after = list(looks(5, 0.01, 100_000)), list(looks(5, 0.01, 100_000, seed=2))
    pause_ns = before[-1].after_ns + 300_000_000 - after[0].before_ns
    later = [Look([made + pause_ns for made in one.truth], one.before_ns + pause_ns, one.after_ns + pause_ns) for one in after]
    followed(cadence, iter(before))
    truth, stamps = followed(cadence, iter(later))
    assert max(map(abs, errors_ns(truth, stamps))) < NOMINAL_ns
    assert cadence.period_ns == pytest.approx(NOMINAL_ns / 1.01, rel=1e-3)


def test_after_a_loss_stamps_go_on_behind_the_gap() -> None:
    """A restart keeps the period, and nothing is dated before the gap."""
    cadence = Cadence(NOMINAL_ns)
    _, stamps = followed(cadence, looks(2, 0.03, 10_000))
    known_ns, floor_ns = cadence.period_ns, stamps[-1] + 2_000_000
    cadence.restart(floor_ns)
    first = cadence.stamps(10, floor_ns + 500_000, floor_ns + 600_000)
    assert first[0] > floor_ns
    assert [after > before for before, after in itertools.pairwise(first)] == [True] * 9
    assert cadence.period_ns == known_ns


def test_its_memory_is_bounded() -> None:
    """Ten minutes leave no more behind than a mark a second for a minute."""
    cadence = Cadence(10_000_000)
    for turn in range(6000):
        cadence.stamps(10, turn * 100_000_000, turn * 100_000_000 + 1)
    assert len(cadence._marks) == MARKS
