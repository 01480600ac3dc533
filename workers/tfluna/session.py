"""An open port whose device is being talked to: requests go out, replies are picked from the stream, and no frame is lost by it."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING

from edgegw.clock import NS_PER_S, SystemClock
from workers.buses import uart
from workers.tfluna.commands import Replies, Reply, Request
from workers.tfluna.frames import Parser

if TYPE_CHECKING:
    import serial

BEAT_ms = 250
# A few ms for the device, 16 for a USB adapter that collects bytes, and a frame or two that are on the way at 9600 baud.
ANSWER_ms, TRIES = 120, 3
_NS_PER_ms = NS_PER_S // 1000
_KEPT_bytes = 1 << 16


class Session:
    """Talks, and keeps what else arrives, with the time of its arrival, for whoever reads it after.

    Whether these are frames is known from the beginning (`locked`); what their numbers mean may depend on a reply.
    """

    def __init__(self, port: serial.Serial, name: str) -> None:
        self.name = name
        self.poller = select.poll()
        self.poller.register(port.fileno(), select.POLLIN)
        self._port = port
        self._replies = Replies()
        self._strays_bytes = 0
        self._scout = Parser()
        self.changed = False  # whether the device has been told anything that is gone with its power
        self.forget()

    @property
    def baud(self) -> int:
        """The speed of the port."""
        return int(self._port.baudrate)

    @property
    def locked(self) -> bool:
        """Whether two frames in a row have come: it is a TF-Luna, and this is its speed."""
        return self._scout.frames > 0

    @property
    def strays_bytes(self) -> int:
        """How many bytes have come that belong to no frame, at whatever speed."""
        return self._strays_bytes + self._scout.skipped_bytes

    def ask(self, request: Request, tries: int = TRIES, wait_ms: int = ANSWER_ms) -> Generator[None, None, Reply | None]:
        """The reply, or None when there is none after so many tries. Raises DeviceError when the port is gone."""
        self._replies.asked.add(request.answer)
        for _ in range(tries):
            uart.sent(self._port, self.name, request.data)
            end_ns, over = SystemClock.monotonic_ns() + wait_ms * _NS_PER_ms, False
            while not over:
                left_ms = (end_ns - SystemClock.monotonic_ns()) // _NS_PER_ms
                over = left_ms <= 0  # but hear once more: who let time pass between two turns finds the reply there
                for reply in self.hear(max(0, min(left_ms, BEAT_ms))):
                    if reply.id is request.answer:
                        return reply
                yield None
        return None

    def hear(self, wait_ms: int) -> list[Reply]:
        """Wait so long for anything; the replies in it. Raises DeviceError when the port is gone."""
        replies, rest = self._replies.feed(uart.arrived(self.poller, self.name, wait_ms))
        self._keep(rest)
        return replies

    def forget(self) -> None:
        """Drop what was kept: it came at another speed, or in another unit."""
        self._replies.left()
        self._kept: deque[tuple[bytes, int]] = deque()
        self._kept_bytes = 0
        self._strays_bytes += self._scout.skipped_bytes
        self._scout = Parser()

    def retune(self, baud: int) -> None:
        """Go on at another speed. Raises DeviceError."""
        uart.set_speed(self._port, self.name, baud)
        self.forget()

    def taken(self) -> list[tuple[bytes, int]]:
        """What was kept, and the monotonic time at which each piece of it came; from now on there are no replies."""
        self._keep(self._replies.left())
        kept = list(self._kept)
        self.forget()
        return kept

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._scout.feed(data)
        self._kept.append((data, SystemClock.monotonic_ns()))
        self._kept_bytes += len(data)
        while self._kept_bytes > _KEPT_bytes:
            self._kept_bytes -= len(self._kept.popleft()[0])
