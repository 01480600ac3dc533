"""The MPU6050's FIFO as the driver reads it, off a virtual chip that numbers its samples: none lost unseen, none twice, none swapped."""

from __future__ import annotations

import dataclasses
import errno
import itertools

import pytest

from edgegw.reading import Quality
from tests.workers.mpu6050_stand import BEAT_s, Got, Stand, bad, gaps_ns, good, load_s
from workers.virtual.scene6050 import COUNTS

FIFO = {"mode": "fifo", "rate_hz": 1000}


def numbers(stand: Stand, got: list[Got]) -> list[int]:
    """Counted samples by their number, which goes on beyond the counter's end; an axis out of place fails."""
    found = [stand.number(one.sample) for one in got]
    assert -1 not in found
    steps = [(after - before) % COUNTS for before, after in itertools.pairwise(found)]
    return list(itertools.accumulate(steps, initial=found[0]))


def nothing_lost_unseen(stand: Stand, got: list[Got]) -> None:
    """What is good is in its place and in order; wherever numbers are missing, a bad sample stands before what follows."""
    counted = dict(zip((id(one) for one in good(got)), numbers(stand, good(got)), strict=True))
    last, gap = None, False
    for one in got:
        if one.sample.quality is Quality.BAD:
            gap = True
            continue
        number = counted[id(one)]
        assert last is None or number > last
        assert last is None or gap or number == last + 1
        last, gap = number, False
    assert all(gap_ns > 0 for gap_ns in gaps_ns(got))


@pytest.mark.parametrize("clock_error", [-0.04, 0.0, 0.04])
def test_every_sample_comes_once(clock_error: float) -> None:
    """At 1 kHz by the chip's own clock: none lost, none doubled, no axis in another's place, and evenly dated."""
    stand = Stand(FIFO, scene="count", clock_error=clock_error).started()
    took_s = load_s(20)
    got = stand.take(took_s)
    assert bad(got) == []
    counted = numbers(stand, got)
    assert counted == list(range(counted[0], counted[0] + len(got)))
    assert len(got) == pytest.approx(took_s * 1000 * (1 + clock_error), rel=0.002)
    gaps, period_ns = gaps_ns(got[10_000:]), 1e6 / (1 + clock_error)
    assert sum(gaps) / len(gaps) == pytest.approx(period_ns, rel=1e-3)
    assert min(gaps) > 0.9 * period_ns
    assert max(gaps) < 1.1 * period_ns
    assert stand.longest_s <= BEAT_s


def test_stamps_are_near_the_truth() -> None:
    """Each sample's moment is within two periods of that at which the chip made it, the filter's delay deducted."""
    stand = Stand(FIFO, scene="count", clock_error=0.02).started()
    got = stand.take(20)
    stand.bus.read_byte_data(0x68, 0x75)  # the model catches up
    behind = (stand.chip.journal.samples - 1 - stand.number(got[-1].sample)) % COUNTS
    made_ns = stand.chip.newest_ns - behind * stand.chip.period_ns()
    assert abs(got[-1].moment_ns - made_ns) < 2 * stand.chip.period_ns() + 2_900_000


@pytest.mark.parametrize("gated", [False, True], ids=["status", "status_gated"])
@pytest.mark.parametrize("identity", ["68", "70", "98"])
def test_an_overflow_never_swaps_axes(identity: str, gated: bool) -> None:
    """Twenty times the reader comes too late: a bad sample stands for each gap, and all that follows is in its place."""
    stand = Stand(FIFO, scene="count", identity=identity, status_gated=gated).started()
    everything = []
    for _ in range(20):
        overflows = stand.chip.journal.overflows
        stand.clock.now_ns += 500_000_000
        got = stand.take(0.3)
        assert stand.chip.journal.overflows == overflows + 1
        assert bad(got)
        assert len(good(got)) > 100
        everything += got
    nothing_lost_unseen(stand, everything)


@pytest.mark.parametrize("fifo_bytes", [512, 504], ids=["cuts packets", "whole packets"])
def test_a_smaller_fifo_than_expected(fifo_bytes: int) -> None:
    """A clone with half the memory overflows at a count that looks harmless: what it lost is declared all the same."""
    stand = Stand(FIFO, scene="count", identity="72", fifo_bytes=fifo_bytes, status_gated=True).started()
    everything = []
    for _ in range(20):
        stand.clock.now_ns += 50_000_000
        everything += stand.take(0.3)
    assert bad(everything)
    nothing_lost_unseen(stand, everything)


def test_a_status_that_got_lost() -> None:
    """The transfer that cleared the overflow's bit failed: a full FIFO is not believed all the same."""
    stand = Stand(FIFO, scene="count", partly=True).started()
    everything = []
    for _ in range(20):
        stand.clock.now_ns += 200_000_000
        stand.bus.line.script.append((errno.EREMOTEIO, 0.0))
        everything += stand.take(0.3)
    nothing_lost_unseen(stand, everything)
    assert len(bad(everything)) >= 20


@pytest.mark.parametrize("late_ms", [60, 65, 68, 70, 71, 72, 73, 74, 75, 80])
def test_almost_an_overflow(late_ms: int) -> None:
    """Just before the FIFO is full, just when, and just after: either every sample, or a gap that is declared."""
    stand = Stand(FIFO, scene="count", clock_error=0.0).started()
    everything = []
    for _ in range(20):
        stand.clock.now_ns += late_ms * 1_000_000
        everything += stand.take(0.1)
    nothing_lost_unseen(stand, everything)


@pytest.mark.parametrize("fault", ["nack", "io_error", "time_out", "again"])
@pytest.mark.parametrize("partly", [False, True], ids=["whole", "partly"])
def test_a_poor_line(fault: str, partly: bool) -> None:
    """5 % of all transfers fail, with nothing done or half of it: no gap is silent, no axis swapped, and most of it is there."""
    stand = Stand(FIFO, scene="count", partly=partly, **{fault: 0.05}).started()
    took_s = load_s(8)
    got = stand.take(took_s)
    nothing_lost_unseen(stand, got)
    assert len(good(got)) > 0.5 * took_s * 1000
    assert stand.errors == []


def test_a_count_in_the_middle_of_a_packet() -> None:
    """One count in twenty finds the chip writing: no packet is cut in two, and asking again saves nearly all of them."""
    stand = Stand(FIFO, scene="count", torn=0.05).started()
    got = stand.take(20)
    nothing_lost_unseen(stand, got)
    assert len(bad(got)) < 10


def test_a_fast_bus_is_fast_enough() -> None:
    """400 kHz carry 1 kHz: nothing lost, however long each transfer takes."""
    stand = Stand(FIFO, scene="count", bus_hz=400_000).started()
    got = stand.take(10)
    assert bad(got) == []
    counted = numbers(stand, got)
    assert counted == list(range(counted[0], counted[0] + len(got)))


def test_a_slow_bus_loses_nothing_in_silence() -> None:
    """100 kHz cannot carry 1 kHz of 14 bytes: what is lost is declared, what is given is in its place, and there is no hang."""
    stand = Stand(FIFO, scene="count", bus_hz=100_000).started()
    nothing_lost_unseen(stand, stand.take(10, heal=True))
    assert stand.longest_s <= 2 * BEAT_s


def test_brown_outs_at_any_moment() -> None:
    """However a reset falls between two looks: what is sold as good was measured, and each gap is declared."""
    stand = Stand(FIFO, scene="count").started()
    everything = []
    for step in range(15):
        everything += stand.take(0.5 + 0.0137 * step, heal=True)
        stand.chip.suffer("brown_out")
        everything += stand.take(2, heal=True)
    assert all(stand.number(one.sample) >= 0 for one in good(everything))
    assert len(good(everything)) > 10_000


def test_a_change_of_the_chips_clock_is_followed() -> None:
    """The oscillator wanders by 2 %: nothing is lost, and the stamps keep near the truth."""
    stand = Stand(FIFO, scene="count", clock_error=0.0).started()
    for error in (0.01, 0.02, -0.01):
        stand.chip.behaviour = dataclasses.replace(stand.chip.behaviour, clock_error=error)
        got = stand.take(15)
        nothing_lost_unseen(stand, got)
        assert bad(got) == []
        assert got[-1].age_ns < 60_000_000
