"""Samples out of the chip's FIFO: read some forty times a second, and dated by the beat of the chip.

Neither 1024 nor any other size of FIFO is a multiple of a packet, so one that overflowed begins in the middle of a packet, and all
axes read from it would be swapped. Bytes are therefore believed only when INT_STATUS tells of no overflow before and after they
were read, and when they are whole packets; in doubt the FIFO is emptied, and a bad sample stands for the gap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edgegw.clock import NS_PER_S, every
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from workers.mpu6050.cadence import Cadence, GAP_periods
from workers.mpu6050.chip import UNSTEADY, Chip, SettingsLost, start_fifo
from workers.mpu6050.decode import NOTHING, Decoder
from workers.mpu6050.registers import OVERFLOW, PACKET_bytes
from workers.mpu6050.setting import Setting
from workers.mpu6050.watch import Watch

TURN_s = 0.04
TURN_MAX_s = 0.2  # a heartbeat is due after a quarter of a second
PATIENCE_turns, PATIENCE_s = 5, 0.5  # turns on end that fail, or find nothing, before the chip is given up: whichever is longer
RESERVE_packets = 3  # so close to its end the FIFO may overflow while it is being read; Linux keeps as many


class OutOfStep(DeviceError):
    """What lies in the FIFO need not begin with a packet's first byte."""


class Collecting:
    """Fetches what the chip has collected."""

    def __init__(self, chip: Chip, setting: Setting, decoder: Decoder) -> None:
        self._chip = chip
        self._clock = chip.clock
        self._setting = setting
        self._decoder = decoder
        self._cadence = Cadence(setting.period_ns)
        self._turn_s = turn_s(setting)
        self._patience_turns = max(PATIENCE_turns, round(PATIENCE_s / self._turn_s))
        self._silence_ns = max(round(PATIENCE_s * NS_PER_S), PATIENCE_turns * setting.period_ns)
        self._failed = 0  # turns on end; those that a failed one has made late are failed, too
        self._doubt = False  # the FIFO has yet to be emptied
        self._moment_ns = 0  # of the last sample
        self._gapless = False  # whether that one is good

    def samples(self) -> Iterator[Sample | None]:
        """All packets, for ever. Raises DeviceError when turn after turn fails, SettingsLost when the chip has started anew."""
        watch = Watch(self._chip, self._setting, self._decoder)
        self._failed, self._doubt = 0, False
        if self._moment_ns:
            yield self._lost()
        heard_ns = self._clock.monotonic_ns()
        for missed in every(self._turn_s, self._clock):
            if missed:  # something took its time, and may again: the heartbeat comes first
                self._failed += missed if self._failed else 0
                yield None
            before_ns = self._moment_ns
            yield from self._turn()
            now_ns = self._clock.monotonic_ns()
            if self._moment_ns != before_ns or self._failed:
                heard_ns = now_ns
            elif now_ns - heard_ns > self._silence_ns:
                watch.check()
                raise SettingsLost(f"no samples come into the FIFO of the chip at {self._chip.where}: {UNSTEADY}")
            if not self._failed:
                watch.look()

    def _turn(self) -> Iterator[Sample | None]:
        """What was collected since the last turn, or None; a bad sample where its order can no longer be trusted."""
        try:
            if self._doubt:
                self._empty()
            data, before_ns, after_ns = self._fetch()
        except DeviceError as error:
            self._failed += 1
            if self._failed >= self._patience_turns:
                raise
            if isinstance(error, OutOfStep):
                self._doubt = True
                yield self._lost()
                with contextlib.suppress(DeviceError):  # then the next turn tries again
                    self._empty()
            yield None
            return
        self._failed = 0
        if data:
            yield from self._dated(data, before_ns, after_ns)
        else:
            yield None

    def _fetch(self) -> tuple[bytes, int, int]:
        """Whole packets, and the two moments between which they were counted."""
        status, count_bytes = self._chip.counted()
        if count_bytes % PACKET_bytes:  # the chip was just writing one
            again, count_bytes = self._chip.counted()
            status |= again
        before_ns, after_ns = self._chip.began_ns, self._clock.monotonic_ns()
        full = count_bytes >= self._setting.part.fifo_bytes - RESERVE_packets * PACKET_bytes
        if status & OVERFLOW or full or count_bytes % PACKET_bytes:
            self._chip.faults += 1
            raise OutOfStep(f"the FIFO of the chip at {self._chip.where} has overflowed")
        if not count_bytes:
            return b"", before_ns, after_ns
        try:
            data, status = self._chip.collected(count_bytes)
        except DeviceError as error:  # how many bytes it has given away all the same is not known
            raise OutOfStep(str(error)) from error
        if status & OVERFLOW:
            self._chip.faults += 1
            raise OutOfStep(f"the FIFO of the chip at {self._chip.where} overflowed while it was read")
        return data, before_ns, after_ns

    def _empty(self) -> None:
        start_fifo(self._chip)
        self._doubt = False

    def _dated(self, data: bytes, before_ns: int, after_ns: int) -> Iterator[Sample]:
        chip, delay_ns = self._chip, self._setting.delay_ns
        stamps = self._cadence.stamps(len(data) // PACKET_bytes, before_ns, after_ns)
        if self._gapless and stamps[0] - self._moment_ns > GAP_periods * self._cadence.period_ns:
            yield self._gap()
        self._gapless = True
        for number, ((values, quality), stamp_ns) in enumerate(zip(self._decoder.samples(data), stamps, strict=True), 1):
            self._moment_ns = stamp_ns
            at_ns = min(stamp_ns - delay_ns, after_ns - len(stamps) + number)  # an even beat may run ahead of the clock by a little
            yield Sample(values, quality, at_ns=at_ns, faults=chip.new_faults())

    def _lost(self) -> Sample:
        """A gap, behind which the cadence has to be found anew."""
        bad = self._gap()
        self._cadence.restart(self._moment_ns)
        return bad

    def _gap(self) -> Sample:
        """In place of the packets that are missing, and at the time of the first of them."""
        now_ns = self._clock.monotonic_ns()
        self._moment_ns = min(now_ns, round(self._moment_ns + self._cadence.period_ns)) if self._moment_ns else now_ns
        self._gapless = False
        return Sample(NOTHING, Quality.BAD, at_ns=self._moment_ns - self._setting.delay_ns, faults=self._chip.new_faults())


def turn_s(setting: Setting) -> float:
    """Between two looks at the FIFO: it shall be a third full at most, so that being late twice loses nothing."""
    period_s = setting.period_ns / NS_PER_S
    third_s = setting.part.fifo_bytes // PACKET_bytes / 3 * period_s
    return min(max(TURN_s, period_s), third_s, TURN_MAX_s)
