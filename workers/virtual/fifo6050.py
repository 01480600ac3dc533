"""The MPU6050's FIFO: a ring of bytes that knows nothing of packets. Standard library only."""

from __future__ import annotations


class Fifo:
    """Bytes in the order in which they came."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.held = bytearray()
        self.overrun = False  # it lost something, and nothing has been taken since
        self._last = 0

    def push(self, data: bytes) -> bool:
        """Whether something was lost: the oldest bytes, not packets, so that the rest is out of step (RM 74)."""
        self.held += data
        over = len(self.held) - self.size_bytes
        if over > 0:
            del self.held[:over]
            self.overrun = True
        return over > 0

    def take(self) -> int:
        """The oldest byte; an empty FIFO gives the last one again (RM 74)."""
        if self.held:
            self._last = self.held.pop(0)
            self.overrun = False
        return self._last

    def clear(self) -> None:
        """As FIFO_RESET does."""
        self.held.clear()
        self.overrun = False
