"""Samples by polling: one burst of fourteen bytes in each slot of an absolute time table, and no slot without a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample, Value
from workers.mpu6050.chip import Chip
from workers.mpu6050.decode import NOTHING, WORDS, Decoder
from workers.mpu6050.registers import GYRO_CONFIG
from workers.mpu6050.setting import Setting
from workers.mpu6050.watch import Watch

PATIENCE_slots, PATIENCE_s = 5, 0.5  # failed slots on end before the chip is given up: whichever is longer
GAP_slots = 1000  # more than that are not missed for lateness: the machine stood still, and one bad sample says so


class Polling:
    """Fetches samples by the time table `slots`, which is edgegw.clock.every() of the setting's period."""

    def __init__(self, chip: Chip, setting: Setting, decoder: Decoder, slots: Iterator[int]) -> None:
        self._chip = chip
        self._setting = setting
        self._decoder = decoder
        self._slots = slots  # goes on while the chip is started anew, so that those slots are filled, too
        self._patience_slots = max(PATIENCE_slots, round(PATIENCE_s * NS_PER_S / setting.period_ns))
        self._failed = 0  # slots on end; those that a failed one has made late are failed, too
        self._doubt = False  # whether the chip's ranges are not what they should be
        self._moment_ns = 0  # of the last sample

    def samples(self) -> Iterator[Sample]:
        """One a slot, for ever. Raises DeviceError when slot after slot fails, SettingsLost when the chip has started anew."""
        watch = Watch(self._chip, self._setting, self._decoder)
        for missed in self._slots:
            yield from self._late(missed)
            yield self._slot()
            if self._doubt:
                self._doubt = False
                watch.check()
            elif not self._failed:  # a bus that fails just now is no better for being asked more
                watch.look()

    def _late(self, missed: int) -> Iterator[Sample]:
        """For the slots that went by while something else went on."""
        self._failed += missed if self._failed else 0
        now_ns = self._chip.clock.monotonic_ns()
        for back in range(missed if missed <= GAP_slots else 1, 0, -1):
            yield self._sample(now_ns - back * self._setting.period_ns, NOTHING, Quality.BAD)

    def _slot(self) -> Sample:
        now_ns = self._chip.clock.monotonic_ns()
        until_ns = now_ns + self._setting.period_ns
        try:
            data = self._chip.burst(until_ns)
            taken_ns = self._chip.began_ns
            # Where a dip in the supply does not show as a chip that sleeps, it is looked for behind each sample.
            self._doubt = self._chip.wakes_up and self._chip.read(GYRO_CONFIG, 2, until_ns) != self._setting.ranges
        except DeviceError:
            self._failed += 1
            if self._failed >= self._patience_slots:
                raise
            return self._sample(now_ns, NOTHING, Quality.BAD)
        self._failed = 0
        if self._doubt:
            return self._sample(taken_ns, NOTHING, Quality.BAD)
        return self._sample(taken_ns, *self._decoder.sample(WORDS.unpack(data)))

    def _sample(self, moment_ns: int, values: Mapping[str, Value], quality: Quality) -> Sample:
        self._moment_ns = moment_ns = max(moment_ns - self._setting.delay_ns, self._moment_ns + 1)  # retries must not turn time back
        return Sample(values, quality, at_ns=moment_ns, faults=self._chip.new_faults())
