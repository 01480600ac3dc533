"""The two wires between a bus and a virtual MPU6050, with all that can go wrong on them. Standard library only."""

from __future__ import annotations

import errno
import random
from collections import deque
from collections.abc import Callable

from workers.virtual.chip6050 import NS_PER_S, Chip
from workers.virtual.scene6050 import Behaviour

TROUBLES = {"nack": errno.EREMOTEIO, "io_error": errno.EIO, "time_out": errno.ETIMEDOUT, "again": errno.EAGAIN}


class Line:
    """One chip and its wires. A test sets `present`, adds to `script`, or replaces `chip.behaviour`."""

    def __init__(self, chip: Chip, now_ns: Callable[[], int]) -> None:
        self.chip = chip
        self.present = True
        self.script: deque[tuple[int, float]] = deque()  # errno (0: all is well) and delay in s of the transfers to come
        self._now_ns = now_ns
        self._born_ns = now_ns()
        self._random = random.Random(chip.behaviour.seed)
        self._burst = 0
        self._burst_errno = 0

    def fate(self) -> tuple[int, float]:
        """What becomes of the next transfer: its errno, 0 for success, and how long it takes beyond its usual time, in s."""
        self.chip.journal.transfers += 1
        number, delay_s = self._fate(self.chip.behaviour)
        self.chip.journal.failures += number != 0
        return number, delay_s

    def takes_s(self, *messages: bytes | int) -> float:
        """How long the wires are busy: an address before each message, an acknowledgement behind each byte (PS 9.3)."""
        bus_hz = self.chip.behaviour.bus_hz
        return sum(9 * (1 + _length(message)) + 2 for message in messages) / bus_hz if bus_hz else 0.0

    def carry(self, *messages: bytes | int) -> list[bytes]:
        """What the chip makes of a transfer that comes through: bytes are written, numbers are so many bytes read."""
        answers = []
        for message in messages:
            if isinstance(message, bytes):
                self.chip.write(message)
            else:
                answers.append(self.chip.read(message))
        return answers

    def break_off(self, *messages: bytes | int) -> None:
        """What it makes of one that does not, where the behaviour says that it gets half of the way."""
        if not self.chip.behaviour.partly:
            return
        left = sum(_length(message) for message in messages) // 2
        for message in messages:
            self.carry(message[:left] if isinstance(message, bytes) else min(message, left))
            left = max(0, left - _length(message))

    def _fate(self, behaviour: Behaviour) -> tuple[int, float]:
        if self.script:
            return self.script.popleft()
        if behaviour.absent or not self.present:
            return errno.EREMOTEIO, 0.0  # nobody acknowledges the address
        if self._stuck(behaviour):
            return errno.ETIMEDOUT, behaviour.stuck_s
        if not self._burst:
            self._burst_errno = self._drawn(behaviour)
            self._burst = behaviour.burst if self._burst_errno else 1
        self._burst -= 1
        return self._burst_errno, 0.0

    def _drawn(self, behaviour: Behaviour) -> int:
        """Bursts begin the more rarely the longer they are, so that the fraction is kept."""
        draw = self._random.random() * behaviour.burst
        for name, number in TROUBLES.items():
            draw -= getattr(behaviour, name)
            if draw < 0:
                return number
        return 0

    def _stuck(self, behaviour: Behaviour) -> bool:
        if not behaviour.stuck_every_s:
            return False
        at_s = (self._now_ns() - self._born_ns) / NS_PER_S % behaviour.stuck_every_s
        return at_s >= behaviour.stuck_every_s - behaviour.stuck_lasts_s


def _length(message: bytes | int) -> int:
    return len(message) if isinstance(message, bytes) else message
