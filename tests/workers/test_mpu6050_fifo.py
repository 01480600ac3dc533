"""The MPU6050's FIFO: packets are taken whole or not at all. On a virtual bus whose samples carry their number, without waiting."""

from __future__ import annotations

import functools
import itertools

import pytest

from edgegw.reading import Quality
from tests.workers.mpu6050_meddler import Reader, assert_in_order
from workers.mpu6050.registers import FIFO_COUNT_H, INT_STATUS

MOST_packets = 70  # of 73: three are kept in reserve


def test_every_packet_comes_once() -> None:
    """Three seconds: no number is missing, none comes twice, no axis stands in another's place."""
    taken = Reader().take(3000)
    assert {sample.quality for sample in taken} == {Quality.GOOD}
    assert_in_order(taken)


def test_an_overflow_empties_the_fifo() -> None:
    """The bit alone is enough: one bad sample with a fault, then whole packets again, behind a gap."""
    reader = Reader()
    reader.take(200)
    reader.meddle(INT_STATUS, lambda data: b"\x10")
    assert reader.until_bad().faults == 1
    assert_in_order(reader.take(300))


def test_what_may_overflow_while_it_is_read_is_thrown_away() -> None:
    """For any lateness of the reader: up to 70 packets are read, from 71 on the FIFO is emptied; out of step they never are."""
    outcomes = set()
    for late_ms in range(20, 90, 3):
        reader, counts = Reader(), [0]
        reader.bus.meddle = functools.partial(_noted, counts)
        taken = reader.take(100)
        reader.clock.now_ns += late_ms * 1_000_000
        taken += reader.take(200)
        lost = [sample for sample in taken if sample.quality is Quality.BAD]
        assert len(lost) == (max(counts) > MOST_packets * 14)
        for good, run in itertools.groupby(taken, lambda sample: sample.quality is Quality.GOOD):
            assert_in_order(list(run) if good else [])
        outcomes.add(bool(lost))
    assert outcomes == {True, False}


def _noted(counts: list[int], register: int, data: bytes) -> bytes:
    if register == FIFO_COUNT_H:
        counts.append(int.from_bytes(data, "big"))
    return data


@pytest.mark.parametrize("status_gated", [False, True])
def test_an_overflow_while_reading_spoils_what_was_read(status_gated: bool) -> None:
    """The bit is looked at behind the packets, too: had the reader slept between count and packets, they would be out of step.

    Whether a part sets the bit when nobody has enabled it, its manual does not say; so it is enabled.
    """
    reader = Reader(status_gated=status_gated)
    reader.take(100)
    slept: list[int] = []

    def sleep(register: int, data: bytes) -> bytes:
        if register == FIFO_COUNT_H and not slept:
            slept.append(reader.clock.now_ns)
            reader.clock.now_ns += 300_000_000
        return data

    reader.bus.meddle = sleep
    reader.until_bad()
    assert slept
    assert_in_order(reader.take(300))


def test_part_of_a_packet_is_waited_for() -> None:
    """A count that is no multiple of a packet is asked for once more; when that one is, nothing is lost."""
    reader = Reader()
    taken = reader.take(100)
    reader.meddle(FIFO_COUNT_H, lambda data: (int.from_bytes(data, "big") + 6).to_bytes(2, "big"))
    taken += reader.take(200)
    assert {sample.quality for sample in taken} == {Quality.GOOD}
    assert_in_order(taken)


def test_a_packet_that_stays_in_parts_is_thrown_away() -> None:
    """Twice on end no multiple: nobody knows where a packet begins."""
    reader = Reader()
    reader.take(100)
    odd = itertools.count()

    def twice(register: int, data: bytes) -> bytes:
        return (int.from_bytes(data, "big") + 6).to_bytes(2, "big") if register == FIFO_COUNT_H and next(odd) < 2 else data

    reader.bus.meddle = twice
    reader.until_bad()
    assert_in_order(reader.take(300))
