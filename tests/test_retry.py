"""Backoff, restart and quarantine as tables: a history goes in, a decision comes out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.retry import Quarantine, Restart, RestartPolicy, backoff, decide, remember

NEVER_GIVEN_UP = RestartPolicy(quarantines=False, max_s=5.0)


def middle() -> float:
    return 0.5


def play(policy: RestartPolicy, uptime_s: float, until_s: float) -> list[tuple[float, Restart | Quarantine]]:
    """A process that always fails uptime_s after its start: every (moment of failure, decision)."""
    history: tuple[float, ...] = ()
    decisions = []
    now = uptime_s
    while now <= until_s:
        history = remember(policy, history, uptime_s, now)
        decision = decide(policy, history, now, middle)
        decisions.append((now, decision))
        now += uptime_s + (decision.after_s if isinstance(decision, Restart) else decision.probe_after_s)
    return decisions


@pytest.mark.parametrize(("attempt", "expected_s"), [(0, 0.5), (1, 1.0), (2, 2.0), (6, 32.0), (7, 50.0), (10**9, 50.0)])
def test_backoff_doubles_up_to_where_jitter_reaches_the_longest_pause(attempt: int, expected_s: float) -> None:
    """0.5, 1, 2, ... and then no more than max_s / (1 + jitter), for any number of attempts."""
    assert backoff(attempt, 0.5, 60.0, 0.2, middle) == pytest.approx(expected_s)


@given(st.integers(0, 10_000), st.floats(0, 0.999_999), st.floats(0.01, 10), st.floats(10, 600), st.floats(0, 0.9))
def test_backoff_stays_within_its_bounds(attempt: int, chance: float, base_s: float, max_s: float, jitter: float) -> None:
    """Never negative, never above max_s, and jitter moves it by no more than its share."""
    pause_s = backoff(attempt, base_s, max_s, jitter, lambda: chance)
    nominal_s = backoff(attempt, base_s, max_s, jitter, middle)
    assert 0 < pause_s <= max_s * 1.000_001
    assert abs(pause_s - nominal_s) <= nominal_s * jitter * 1.000_001


def test_two_neighbours_do_not_return_in_step() -> None:
    """Also the longest pauses differ with the random number."""
    assert backoff(50, 0.5, 60.0, 0.2, lambda: 0.0) < backoff(50, 0.5, 60.0, 0.2, lambda: 0.99)


@pytest.mark.parametrize(
    ("failures", "now", "expected"),
    [
        ((), 10.0, Restart(0.5)),
        ((10.0,), 10.0, Restart(0.5)),
        ((10.0,), 10.2, Restart(0.3)),  # the pause counts from the failure
        ((10.0,), 99.0, Restart(0.0)),
        ((1.0, 10.0), 10.0, Restart(1.0)),
        ((1.0, 2.0, 3.0, 10.0), 10.0, Restart(4.0)),
        ((1.0, 2.0, 3.0, 10.0, 61.0), 61.0, Quarantine(300.0)),  # five within 60 s
        ((1.0, 2.0, 3.0, 10.0, 61.1), 61.1, Restart(8.0)),  # not quite
        ((1.0, 2.0, 3.0, 4.0, 5.0, 400.0), 400.0, Quarantine(300.0)),  # the burst is long past, but not forgiven
    ],
)
def test_decisions(failures: tuple[float, ...], now: float, expected: Restart | Quarantine) -> None:
    """History by history, with jitter in its middle."""
    decision = decide(RestartPolicy(), failures, now, middle)
    assert type(decision) is type(expected)
    assert tuple(decision.__getattribute__(field) for field in decision.__struct_fields__) == pytest.approx(
        tuple(expected.__getattribute__(field) for field in expected.__struct_fields__)
    )


def test_a_crash_loop_makes_few_starts_in_its_first_minute_and_twelve_an_hour_after() -> None:
    """At most 8 starts in the first minute, at most 12 in any later hour, and quarantine once begun does not end by itself."""
    decisions = play(RestartPolicy(), uptime_s=0.05, until_s=3 * 3600.0)
    moments = [moment for moment, _ in decisions]
    assert 5 <= sum(moment <= 60 for moment in moments) <= 8
    assert all(sum(start < moment <= start + 3600 for moment in moments) <= 12 for start in (60.0, 2000.0, 7000.0))
    kinds = [type(decision) for _, decision in decisions]
    assert kinds == sorted(kinds, key=lambda kind: kind is Quarantine)


def test_the_bridge_is_never_given_up() -> None:
    """Without quarantine a process that fails for a day is tried again at least every five seconds."""
    moments = [moment for moment, _ in play(NEVER_GIVEN_UP, uptime_s=0.0, until_s=86_400.0)]
    assert moments[-1] > 86_000
    assert max(b - a for a, b in itertools.pairwise(moments)) <= 5.0


def test_a_long_good_run_clears_the_history() -> None:
    """After forgive_s of running, a failure is the first one again, even out of quarantine."""
    burst = (1.0, 2.0, 3.0, 4.0, 5.0)
    assert remember(RestartPolicy(), burst, 299.9, 1000.0) == burst
    assert remember(RestartPolicy(), burst, 300.0, 1000.0) == (1000.0,)
    assert decide(RestartPolicy(), (1000.0,), 1000.0, middle) == Restart(0.5)


def test_the_history_is_bounded() -> None:
    """Whatever happens for however long, it is remembered in a few numbers."""
    history: tuple[float, ...] = ()
    for moment in range(10_000):
        history = remember(NEVER_GIVEN_UP, history, 0.0, float(moment))
    assert len(history) <= 32
    assert history[-1] == 9999.0
