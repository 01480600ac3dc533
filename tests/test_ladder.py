"""The recovery ladder: which rung after which failure, and after which pause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.worker.ladder import PROBES_A_RESET, DEADLINE_s, Means, PROBE_s, REOPEN_MAX_s, Rung, step

LONGER = "reopen reopen reopen reset reopen reset restart quarantine quarantine"
SHORTER = "reopen reopen reopen reopen reopen reopen restart quarantine quarantine"
RESTARTED = "reopen reopen reopen reset reopen reset quarantine quarantine quarantine"
ALONE = "reopen reopen reopen reopen reopen reopen quarantine quarantine quarantine"


@pytest.mark.parametrize(
    ("means", "rungs"),
    [
        (Means(reset=True, restart=True), LONGER),
        (Means(reset=False, restart=True), SHORTER),
        (Means(reset=True, restart=False), RESTARTED),
        (Means(reset=False, restart=False), ALONE),
    ],
)
def test_the_ladder_rung_by_rung(means: Means, rungs: str) -> None:
    """Only rungs that there are; a restart once; at the top quarantine, for good."""
    assert [step(failures, means, lambda: 0.5).rung.value for failures in range(1, 10)] == rungs.split()


@given(st.integers(1, 10_000), st.booleans(), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_every_step_can_be_taken(failures: int, reset: bool, restart: bool, draw: float) -> None:
    """Pauses are bounded, a reset is asked for only where there is one, and every rung that waits for a sample has a deadline."""
    next_ = step(failures, Means(reset=reset, restart=restart), lambda: draw)
    assert 0 <= next_.wait_s <= max(PROBE_s, REOPEN_MAX_s)
    assert reset or not next_.resets
    assert restart or next_.rung is not Rung.RESTART
    assert next_.rung is Rung.RESTART or DEADLINE_s[next_.rung] > 0


def test_in_quarantine_a_reset_is_rare() -> None:
    """It may cost the neighbours their connection: one probe in PROBES_A_RESET has it."""
    steps = [step(failures, Means(reset=True, restart=False), lambda: 0.5) for failures in range(100, 100 + 10 * PROBES_A_RESET)]
    assert {each.rung for each in steps} == {Rung.QUARANTINE}
    assert sum(each.resets for each in steps) == 10


def test_pauses_between_reopenings_double() -> None:
    """So that a device which needs a moment is back soon, and one that is broken does not eat the CPU."""
    pauses_s = [step(failures, Means(reset=False, restart=False), lambda: 0.5).wait_s for failures in range(1, 7)]
    assert pauses_s == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, REOPEN_MAX_s / 1.2])
