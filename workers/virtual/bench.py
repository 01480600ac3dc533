"""Drives virtual devices: one loop, one beat for all of them, on absolute deadlines."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Sequence
from typing import Protocol, Self

from edgegw.clock import NS_PER_S, SystemClock, precise_timers

LATE_ns = 1 * NS_PER_S  # what is missed beyond this is not made up for: the machine slept


class Device(Protocol):
    """What the bench needs of a device."""

    def tick(self, at_s: float) -> None:
        """One period has passed; `at_s` is the time since power-up."""

    def close(self) -> None:
        """Let go of the port; safe twice."""


class Bench:
    """Ticks every device at `hz`: in this thread by run(), or in one of its own as a context manager, which closes them after."""

    def __init__(self, devices: Sequence[Device], hz: float) -> None:
        self._devices = devices
        self._period_ns = round(NS_PER_S / hz)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self.run, name="bench")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()
        self.close()

    def run(self, lifeline: int = -1) -> None:
        """Until stop(), or until `lifeline` is readable, that is at its end."""
        precise_timers()
        watched = [self._stop, *([lifeline] if lifeline >= 0 else [])]
        period_ns, beat = self._period_ns, 0
        due_ns = SystemClock.monotonic_ns() + period_ns
        while not select.select(watched, [], [], max(0, due_ns - SystemClock.monotonic_ns()) / NS_PER_S)[0]:
            late_ns = SystemClock.monotonic_ns() - due_ns
            lost = late_ns // period_ns if late_ns > LATE_ns else 0
            beat += 1 + lost
            due_ns += (1 + lost) * period_ns
            for device in self._devices:
                device.tick(beat * period_ns / NS_PER_S)

    def stop(self) -> None:
        """Safe from a signal handler and from any thread."""
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """Close the devices."""
        for device in self._devices:
            device.close()
        os.close(self._stop)
