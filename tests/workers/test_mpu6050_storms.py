"""The MPU6050 driver in whatever weather: any sequence of faults, in any mode, and what has to hold all the same."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.mpu6050_stand import BEAT_s, Got, Stand, good
from workers.virtual.scene6050 import COUNTS

MODES: dict[str, dict[str, object]] = {"burst": {"rate_hz": 100}, "fifo": {"mode": "fifo", "rate_hz": 200}}
STUCK_s = 0.3
LINES = {
    "poor": {"nack": 0.3, "burst": 2},
    "half": {"io_error": 0.3, "partly": True},
    "dead": {"nack": 1.0},
    "stuck": {"stuck_every_s": 1e9, "stuck_lasts_s": 1e9, "stuck_s": STUCK_s},
    "torn": {"torn": 0.5},
}
EVENTS = ("brown_out", "silence", "pause", "unplug", *LINES)
weather = st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0.01, 1.5)), max_size=8)


def endure(stand: Stand, event: str, lasts_s: float) -> list[Got]:
    """What is read meanwhile."""
    fair = stand.chip.behaviour
    match event:
        case "brown_out" | "silence":
            stand.chip.suffer(event)
        case "pause":
            stand.clock.now_ns += round(lasts_s * 1e9)
        case "unplug":
            stand.bus.line.present = False
        case _:
            stand.chip.behaviour = dataclasses.replace(fair, **LINES[event])  # type: ignore[arg-type]  # by name
    got = stand.take(lasts_s, heal=True)
    if event == "unplug":
        stand.chip.suffer("brown_out")  # it had no supply either
    stand.bus.line.present = True
    stand.chip.behaviour = fair
    return got


@pytest.mark.parametrize("mode", MODES)
@given(events=weather)
@settings(max_examples=60)
def test_any_weather(mode: str, events: Sequence[tuple[str, float]]) -> None:
    """What is good was measured, in its place and in order; time never turns back; no yield is late; and it heals by itself."""
    stand = Stand(MODES[mode], scene="count").started()
    got = [one for event, lasts_s in events for one in endure(stand, event, lasts_s)]
    got += stand.take(3, heal=True)
    numbers = [stand.number(one.sample) for one in good(got)]
    assert -1 not in numbers
    least = 1 if mode == "fifo" else 0  # a burst may come twice within the chip's millisecond
    assert all(least <= (after - before) % COUNTS for before, after in itertools.pairwise(numbers))
    assert all(one.age_ns >= 0 for one in got)
    assert all(math.isfinite(value) for one in good(got) for value in one.sample.values.values() if isinstance(value, float))
    assert all(after.moment_ns > before.moment_ns for before, after in itertools.pairwise(got))
    assert stand.longest_s <= BEAT_s + 2 * STUCK_s
    assert len(good(stand.take(1, heal=True))) >= 90
