"""What a notification may do on arrival: be stamped and put in a queue. Reading it is the driver's work, at the driver's pace."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

from edgegw.clock import Clock

QUEUE = 256  # notifications, ten seconds of a fast peripheral; what does not fit pushes out the oldest


class Ear:
    """Between the radio's callback and the driver, both on one loop."""

    def __init__(self, clock: Clock) -> None:
        self.dropped = 0
        self._clock = clock
        self._queue: deque[tuple[int, bytes]] = deque(maxlen=QUEUE)
        self._gap = False
        self._came = asyncio.Event()

    def hear(self, payload: bytes) -> None:
        """The radio calls this."""
        if len(self._queue) == QUEUE:
            self.dropped += 1
            self._gap = True
        self._queue.append((self._clock.monotonic_ns(), payload))
        self._came.set()

    async def listen(self, timeout_s: float) -> None:
        """Return when something is there, or after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._came.wait()

    def heard(self) -> Iterator[tuple[int, bytes, bool]]:
        """Time of arrival on the monotonic clock, payload, and whether some before it were dropped; oldest first."""
        while self._queue:
            at_ns, payload = self._queue.popleft()
            gap, self._gap = self._gap, False
            yield at_ns, payload, gap
        self._came.clear()
