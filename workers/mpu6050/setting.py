"""How the chip shall be set up: the values of its registers, worked out from the options."""

from __future__ import annotations

from typing import NamedTuple

from edgegw.clock import NS_PER_S
from workers.mpu6050 import registers as reg
from workers.mpu6050.options import Options
from workers.mpu6050.registers import FILTERS, CHIP_hz, Filter, Part

FIFO_ABOVE_hz = 200  # up to here a Pi polls without being late, beyond it the FIFO takes the jitter away
START_UP_ns = 100_000_000  # PS 6.1: 30 ms for the gyroscope; the slowest of the other parts takes 100 ms
SETTLED_delays = 5  # after so many of the filter's delays it has forgotten what came before

# Of the bus's clock, for one sample: nine for each byte, with addresses, register numbers, starts and stops; out of the FIFO they
# come by the dozen, and share the count and the status.
BURST_bits, FIFO_bits = 156, 132


class Setting(NamedTuple):
    """Register values, and what follows from them."""

    part: Part
    fifo: bool
    period_ns: int  # between samples: of our asking in bursts, of the chip's making in the FIFO
    filter: Filter
    writes: tuple[tuple[int, int], ...]  # register, value, in the order of writing
    fingerprint: bytes  # what the chip then holds in 19…1D, 23 and 6A…6C

    @property
    def ranges(self) -> bytes:
        """GYRO_CONFIG and ACCEL_CONFIG."""
        return self.fingerprint[2:4]

    @property
    def delay_ns(self) -> int:
        """How old a sample is when it can first be read."""
        # A burst finds the newest of the samples that the chip makes at 1 kHz, half of its period old on average.
        return self.filter.delay_ns + (0 if self.fifo else NS_PER_S // CHIP_hz // 2)

    @property
    def settling_ns(self) -> int:
        """From waking up to the first sample that can be trusted."""
        return max(START_UP_ns, SETTLED_delays * self.filter.delay_ns)


def setting_of(options: Options, part: Part) -> Setting:
    """For the part that answered. In bursts the chip runs at its full 1 kHz, so that what is read is never older than 1 ms."""
    fifo = options.mode == "fifo" or (options.mode == "auto" and options.rate_hz > FIFO_ABOVE_hz)
    every = max(1, min(256, round(CHIP_hz / options.rate_hz))) if fifo else 1
    rate_hz = CHIP_hz / every if fifo else options.rate_hz
    low_pass = filter_for(options.bandwidth_hz, rate_hz)
    ranges = (
        reg.GYROSCOPE_RANGES_deg_s.index(options.gyroscope_range_deg_s) << part.gyro_range_bit,
        reg.ACCELEROMETER_RANGES_g.index(options.accelerometer_range_g) << 3,
    )
    second = low_pass.code | part.fifo_bits if part.second_filter else 0  # ACCEL_CONFIG_2 takes the same codes; elsewhere it is not used
    writes = [(reg.CONFIG, low_pass.code), (reg.SMPLRT_DIV, every - 1), (reg.GYRO_CONFIG, ranges[0]), (reg.ACCEL_CONFIG, ranges[1])]
    if part.second_filter:
        writes.append((reg.ACCEL_CONFIG_2, second))
    if fifo:
        writes.append((reg.INT_ENABLE, reg.OVERFLOW))  # some parts note in INT_STATUS only what is enabled here
    collected = (reg.FIFO_ALL, reg.FIFO_ON) if fifo else (0, 0)
    fingerprint = bytes([every - 1, low_pass.code, *ranges, second, *collected, reg.CLOCK_PLL, 0])
    return Setting(part, fifo, round(NS_PER_S / rate_hz), low_pass, tuple(writes), fingerprint)


def carried_hz(bus_hz: int, setting: Setting) -> int:
    """How many samples a second a bus of that clock can carry, if it carries nothing else."""
    return bus_hz // (FIFO_bits if setting.fifo else BURST_bits)


def filter_for(bandwidth_hz: int | None, rate_hz: float) -> Filter:
    """The one asked for, or the widest that lets through nothing above half the rate, which would come back as an alias."""
    if bandwidth_hz is None:
        return next((one for one in FILTERS if one.bandwidth_hz <= rate_hz / 2), FILTERS[-1])
    return next(one for one in FILTERS if one.bandwidth_hz == bandwidth_hz)
