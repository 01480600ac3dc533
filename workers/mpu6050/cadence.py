"""When each packet of the FIFO was made, from nothing but counts of packets and the moments of counting.

The chip's clock makes packets evenly, but up to some percent faster or slower than it should; our looks at it are late by whatever
the scheduler likes. So nothing is averaged: each count says for certain that the newest packet was made before its end, and less
than a period before its beginning, and stamps are moved only as far as that demands, over all packets of the count and by 4 % of
a period at most (the figure of Linux' inv_mpu6050). In the same way the counts of a minute enclose the period.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from edgegw.clock import NS_PER_S

PULL = 0.04  # of a period, at most, for the sake of evenness
WANDER = 0.15  # PS 6.1: the oscillator's tolerance over temperature where no PLL steadies it
GAP_periods = 5  # so far behind, packets are missing: they are not made up for by stretching those that there are
MARKS, MARK_ns = 60, 1 * NS_PER_S


class Mark(NamedTuple):
    """A count, somewhere between two moments."""

    before_ns: int
    after_ns: int
    packets: int


class Cadence:
    """Stamps in the order of the packets, evenly spaced, never turning back. Bounded: a mark a second, for a minute."""

    def __init__(self, nominal_ns: int) -> None:
        self.period_ns = float(nominal_ns)
        self._slowest_ns, self._fastest_ns = nominal_ns * (1 + WANDER), nominal_ns * (1 - WANDER)
        self._marks: deque[Mark] = deque(maxlen=MARKS)
        self._packets = 0
        self._newest_ns = 0.0
        self._counted_ns = 0  # at the latest, the last time
        self._floor_ns = 0

    def restart(self, floor_ns: int) -> None:
        """Packets were lost. The period is known all the same; stamps to come lie after `floor_ns`."""
        self._marks.clear()
        self._packets = 0
        self._floor_ns = floor_ns

    def stamps(self, packets: int, before_ns: int, after_ns: int) -> list[int]:
        """When each of so many packets was made; they were counted between the two moments, right behind those of the last call."""
        if self._packets and before_ns - self._counted_ns > packets * self._slowest_ns + GAP_periods * self.period_ns:
            self.restart(round(self._newest_ns))  # the chip made a pause
        self._counted_ns = after_ns
        self._packets += packets
        self._measure(Mark(before_ns, after_ns, self._packets))
        if self._packets == packets:  # the first since a restart: the newest is half a period old, give or take another half
            newest = max(after_ns - 0.5 * self.period_ns, self._floor_ns + packets)
            start = max(newest - packets * self.period_ns, self._floor_ns)
            step = (newest - start) / packets
        else:
            start = self._newest_ns
            newest = min(max(start + packets * self.period_ns, before_ns - self.period_ns), after_ns)
            step = (newest - start) / packets
            step = min(max(step, self.period_ns * (1 - PULL)), self.period_ns * (1 + PULL))
        self._newest_ns = start + packets * step
        return [round(start + i * step) for i in range(1, packets + 1)]

    def _measure(self, now: Mark) -> None:
        if not self._marks or now.before_ns - self._marks[-1].before_ns >= MARK_ns:
            self._marks.append(now)
        first = self._marks[0]
        made = now.packets - first.packets
        if made < 2:
            return
        # Of so many periods one at either end may be cut by the moments of counting.
        shortest, longest = (now.before_ns - first.after_ns) / (made + 1), (now.after_ns - first.before_ns) / (made - 1)
        period = min(max(self.period_ns, shortest), longest)
        self.period_ns = min(max(period, self._fastest_ns), self._slowest_ns)
