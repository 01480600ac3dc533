"""The MPU6050's FIFO on a bus that fails, and with a chip that pauses, stands still or is gone. On a virtual bus, without waiting."""

from __future__ import annotations

import errno

import pytest

from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from tests.workers.mpu6050_meddler import Reader, assert_in_order
from workers.mpu6050.registers import FIFO_RESET, USER_CTRL

NACK = (errno.EREMOTEIO, 0.0)


def test_packets_are_never_read_twice() -> None:
    """A transfer of packets that failed may have taken some with it: it is not repeated, the FIFO is emptied, and the fault is told."""
    reader = Reader()
    reader.take(100)
    reader.bus.line.script.extend([(0, 0.0), NACK])
    lost = reader.until_bad()
    assert lost.faults == 1
    assert_in_order(reader.take(300))


def test_a_fifo_that_could_not_be_emptied_is_emptied_later() -> None:
    """The transfer of packets fails, and so does the one that should empty the FIFO: nothing is read until that has worked."""
    reader = Reader()
    reader.take(100)
    reader.bus.line.script.extend([(0, 0.0), NACK, NACK, NACK, NACK])
    resets = []
    whole = reader.bus.write_byte_data

    def noted(i2c_addr: int, register: int, value: int) -> None:
        whole(i2c_addr, register, value)
        resets.append((register, value))

    reader.bus.write_byte_data = noted  # type: ignore[method-assign]  # to see that it is done
    reader.until_bad()
    assert resets == []
    assert_in_order(reader.take(300))
    assert (USER_CTRL, FIFO_RESET) in resets


def test_a_hanging_count_is_not_repeated() -> None:
    """It has taken a second: the heartbeat comes next, not two more such seconds."""
    reader = Reader()
    reader.take(24)
    reader.bus.line.script.append((errno.ETIMEDOUT, 1.0))
    before = reader.bus.chip.journal.transfers
    while (sample := next(reader.yielded)) is not None:
        assert sample.quality is Quality.GOOD
    assert reader.bus.chip.journal.transfers - before == 1


def test_a_bus_that_hangs_is_soon_an_error() -> None:
    """What one turn took counts for those that it held up: the third second on end is not waited for."""
    reader = Reader()
    reader.bus.line.script.extend([(errno.ETIMEDOUT, 1.0)] * 9)
    began_ns = reader.clock.now_ns
    with pytest.raises(DeviceError, match="stuck"):
        reader.take(1000)
    assert reader.clock.now_ns - began_ns < 2_500_000_000


def test_a_count_is_asked_for_again() -> None:
    """That one can be repeated: two failures cost nothing, and are told."""
    reader = Reader()
    taken = reader.take(100)
    reader.bus.line.script.extend([NACK, NACK])
    taken += reader.take(100)
    assert {sample.quality for sample in taken} == {Quality.GOOD}
    assert sum(sample.faults for sample in taken) == 2
    assert_in_order(taken)


def test_a_chip_that_is_gone_is_an_error() -> None:
    """Half a second of failures, and it is said who does not answer; until then the driver gives signs of life."""
    reader = Reader()
    reader.take(100)
    reader.bus.line.present = False
    began_ns = reader.clock.now_ns
    with pytest.raises(DeviceError, match="nothing answers"):
        reader.take(1000)
    assert 400_000_000 < reader.clock.now_ns - began_ns < 700_000_000


def test_a_chip_without_packets_is_set_up_anew() -> None:
    """Half a second without a packet, though it keeps its settings: one bad sample, and it is as before; a second time is an error."""
    reader = Reader(silence_every_s=2, silence_s=0.9)
    lost = reader.until_bad(3000)
    assert lost.faults == 1
    with pytest.raises(DeviceError, match="no samples come into the FIFO"):
        reader.take(4000)


def test_a_chip_that_stands_still_is_set_up_anew() -> None:
    """Frozen words are doubted, then bad; the chip is set up once more, and what it had said before is not held against it."""
    reader = Reader(100)
    reader.take(100)
    reader.bus.chip.suffer("freeze")
    qualities = [sample.quality for sample in reader.take(300)]
    assert {Quality.UNCERTAIN, Quality.BAD} < set(qualities)
    assert set(qualities[50:]) == {Quality.GOOD}


def test_a_short_pause_of_the_chip_is_a_gap() -> None:
    """300 ms without packets: one bad sample, and those behind it are dated right at once."""
    reader = Reader(silence_every_s=2, silence_s=0.3, clock_error=0.0)
    ages = []
    for _ in range(2500):
        (sample,) = reader.take(1)
        ages.append((sample.quality, (reader.clock.now_ns - sample.measured_ns(reader.clock.now_ns)) / 1e6))
    assert [quality for quality, _ in ages].count(Quality.BAD) == 1
    assert max(age for quality, age in ages if quality is Quality.GOOD) < 30


@pytest.mark.parametrize("rate_hz", [3.9, 20, 100, 250, 500])
def test_slower_rates_give_signs_of_life_between(rate_hz: float) -> None:
    """Never a quarter of a second without a yield, and never a packet in doubt."""
    reader = Reader(rate_hz)
    seen_ns, longest_ns = reader.clock.now_ns, 0
    found: list[Sample] = []
    while len(found) < 50:
        sample = next(reader.yielded)
        longest_ns = max(longest_ns, reader.clock.now_ns - seen_ns)
        seen_ns = reader.clock.now_ns
        found += [sample] if sample else []
    assert longest_ns <= 250_000_000
    assert_in_order(found)
