"""Polling the MPU6050: what becomes of each slot when transfers fail, hang, or the machine is late. On a virtual bus, without waiting."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from typing import Literal

import pytest

from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from workers.mpu6050 import Options
from workers.mpu6050.burst import GAP_slots
from workers.mpu6050.registers import SMPLRT_DIV
from workers.mpu6050.session import samples
from workers.virtual.mpu6050 import Bus
from workers.virtual.scene6050 import Behaviour

MS_ns = 1_000_000
NACK = (errno.EREMOTEIO, 0.0)
FINE = (0, 0.0)


class Reader:
    """The driver at 100 Hz, its first sample behind it; the script of the bus's line says what becomes of transfers to come."""

    def __init__(self, identity: Literal["68", "70"] = "68", **options: object) -> None:
        self.clock = FakeClock()
        self.bus = Bus(Behaviour(seed=1, scene="rest", identity=identity), clock=self.clock)
        self.options = Options(**{"bus": "virtual", **options})  # type: ignore[arg-type]  # by name
        self._yielded = samples(self.bus, self.options, self.clock)
        next(self.samples())

    def samples(self) -> Iterator[Sample]:
        return filter(None, self._yielded)

    def take(self, count: int) -> list[Sample]:
        return [next(self.samples()) for _ in range(count)]

    def script(self, *fates: tuple[int, float]) -> None:
        self.bus.line.script.extend(fates)

    @property
    def transfers(self) -> int:
        return self.bus.chip.journal.transfers


def kinds(taken: list[Sample]) -> str:
    """g and b for good and bad."""
    return "".join(sample.quality.value[0] for sample in taken)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_transfer_is_tried_three_times(failures: int) -> None:
    """One or two failures cost nothing but are told with the sample."""
    reader = Reader()
    reader.script(*[NACK] * failures)
    (first, second) = reader.take(2)
    assert (first.quality, first.faults, second.faults) == (Quality.GOOD, failures, 0)


def test_after_three_failures_the_slot_is_bad() -> None:
    """Its fields are null, its three faults told, and the next slot is as ever."""
    reader = Reader()
    reader.script(NACK, NACK, NACK)
    before = reader.transfers
    (first, second) = reader.take(2)
    assert (kinds([first, second]), first.faults, set(first.values.values())) == ("bg", 3, {None})
    assert reader.transfers - before == 4


def test_no_try_is_begun_that_the_slot_has_no_time_for() -> None:
    """At 100 Hz, and 6 ms a transfer, there is no time for a second."""
    reader = Reader()
    reader.script((errno.EIO, 0.006), FINE)
    assert kinds(reader.take(2)) == "bg"


def test_a_hanging_transfer_is_not_repeated() -> None:
    """After a second without an answer comes one bad sample, then one for each slot that this second took; and then the stream goes on."""
    reader = Reader()
    reader.script((errno.ETIMEDOUT, 1.0))
    before = reader.transfers
    first = reader.take(1)
    assert reader.transfers - before == 1
    assert kinds(first + reader.take(101)) == "b" * 100 + "gg"


def test_slots_that_the_machine_missed_are_filled() -> None:
    """75 ms away: six bad samples, dated a period apart, and no two out of order."""
    reader = Reader()
    reader.take(1)
    reader.clock.now_ns += 75 * MS_ns
    taken, moments = [], []
    for _ in range(9):
        taken += reader.take(1)
        moments.append(taken[-1].measured_ns(reader.clock.now_ns))
    assert kinds(taken) == "b" * 6 + "ggg"
    assert [after - before for before, after in itertools.pairwise(moments[:6])] == [10 * MS_ns] * 5
    assert moments == sorted(moments)


def test_a_machine_that_stood_still_leaves_one_bad_sample() -> None:
    """Filling an hour would help nobody."""
    reader = Reader()
    reader.take(1)
    reader.clock.now_ns += (GAP_slots + 10) * 10 * MS_ns
    assert kinds(reader.take(3)) == "bgg"


@pytest.mark.parametrize(("rate_hz", "slots"), [(100, 50), (10, 5), (4, 5), (200, 100)])
def test_half_a_second_of_failures_is_an_error(rate_hz: float, slots: int) -> None:
    """Or five slots, whichever is longer: bad samples up to then, and then it is said who does not answer."""
    reader = Reader(rate_hz=rate_hz)
    reader.bus.line.present = False
    assert kinds(reader.take(slots - 1)) == "b" * (slots - 1)
    with pytest.raises(DeviceError, match="nothing answers at address 0x68"):
        reader.take(1)


def test_a_bus_that_hangs_is_soon_an_error() -> None:
    """What one slot took counts for those that it held up: the third second on end is not waited for."""
    reader = Reader()
    reader.script(*[(errno.ETIMEDOUT, 1.0)] * 9)
    began_ns = reader.clock.now_ns
    with pytest.raises(DeviceError, match="stuck"):
        reader.take(1000)
    assert reader.clock.now_ns - began_ns < 2_500 * MS_ns


def test_a_success_starts_the_count_anew() -> None:
    """Forty failed slots, one good, forty failed: no error."""
    reader = Reader()
    reader.script(*[NACK] * 120, FINE, *[NACK] * 120)
    assert kinds(reader.take(82)) == "b" * 40 + "g" + "b" * 40 + "g"


def test_the_moment_of_a_sample_is_before_the_filter() -> None:
    """Behind 42 Hz a sample is 4.85 ms old when it appears, and half a millisecond more until it is fetched."""
    reader = Reader()
    (sample,) = reader.take(1)
    assert sample.at_ns == reader.clock.now_ns - 4_850_000 - 500_000


def test_a_floating_bus_is_no_measurement() -> None:
    """Where pull-ups answer with FF, the transfer is one that failed, whatever the kernel says."""
    reader = Reader()
    reader.bus.chip.body.words = lambda *_: (-1,) * 7  # type: ignore[method-assign]  # what the pull-ups give
    (sample,) = reader.take(1)
    assert (kinds([sample]), sample.faults) == ("b", 3)


def test_a_failed_check_of_the_settings_is_no_loss() -> None:
    """Once a second the settings are looked at; when that fails, three times, it is counted, and the stream goes on."""
    reader = Reader()
    whole = reader.bus.read_i2c_block_data

    def deaf_to_checks(i2c_addr: int, register: int, length: int) -> list[int]:
        if register == SMPLRT_DIV:
            raise OSError(errno.EREMOTEIO, "planted")
        return whole(i2c_addr, register, length)

    reader.bus.read_i2c_block_data = deaf_to_checks  # type: ignore[method-assign]  # a fault that the line cannot plan
    taken = reader.take(310)
    assert kinds(taken) == "g" * 310
    assert [sample.faults for sample in taken if sample.faults] == [3, 3, 3]


@pytest.mark.parametrize("identity", ["68", "70"])
def test_no_sample_is_good_that_was_measured_in_another_range(identity: Literal["68", "70"]) -> None:
    """After a dip in its supply one part sleeps, and another goes on at ±2 g, where 1 g looks like 2: neither is believed."""
    reader = Reader(identity)
    taken = reader.take(130)
    reader.bus.chip.suffer("brown_out")
    taken += reader.take(130)
    upward = [value for sample in taken if isinstance(value := sample.values["acceleration_z_m_s2"], float)]
    assert max(upward) < 12
    assert kinds(taken).strip("g").strip("b") == ""
    assert 1 <= kinds(taken).count("b") < 30


def test_only_a_part_that_wakes_by_itself_is_asked_twice_a_slot() -> None:
    """A check costs a transfer a sample, which an MPU6050 need not pay."""
    transfers = []
    for reader in (Reader("68"), Reader("70")):
        before = reader.transfers
        reader.take(50)
        transfers.append(reader.transfers - before)
    assert transfers == [50, 100]
