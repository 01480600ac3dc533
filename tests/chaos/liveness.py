"""Whether the gateway lives: readings acknowledged a second, the longest time without any of each sensor, and what its processes hold."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import psutil

from edgegw.errors import EdgegwError
from tests.chaos.stage import Gateway

FLOOR_hz = 200.0  # acknowledged readings a second: half of what the sensors give
STILL_s = 60.0  # without any reading of a sensor
MORE_fds = 3  # than at the beginning
RSS_bytes = {"supervisor": 45 << 20, "bridge": 184 << 20, "": 45 << 20}  # "": a worker


class Held(msgspec.Struct, frozen=True):
    """What one process holds."""

    fds: int
    rss_bytes: int


class Liveness:
    """`begin`, `look` every second or so, `end`; then what it was like."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: seconds of a clock that nobody sets."""
        self._clock = now
        self.before: dict[str, Held] = {}
        self.after: dict[str, Held] = {}
        self.total = 0
        self.down_s = 0.0  # in which no gateway ran, as the plan wants it
        self.stillest: dict[str, float] = {}  # sensor → longest time without a reading, in seconds
        self._begun = self._ended = self._clock()
        self._first = 0
        self._seen = Counter[str]()
        self._moved: dict[str, float] = {}

    def begin(self, gateway: Gateway) -> None:
        """From now on it counts."""
        self.before = holdings(gateway)
        self._begun, self.down_s = self._clock(), 0.0
        self._seen = gateway.acknowledged()
        self._first = self.total = self._seen.total()
        self._moved = dict.fromkeys(gateway.sensors, self._now())
        self.stillest = dict.fromkeys(gateway.sensors, 0.0)

    def look(self, gateway: Gateway) -> None:
        """Note what has come since the last look."""
        try:
            found = gateway.acknowledged()
        except EdgegwError:  # the spool is just being opened, or is full
            return
        now = self._now()
        for name in gateway.sensors:
            if found[name] > self._seen[name] or name in gateway.absent:
                self.stillest[name] = max(self.stillest.get(name, 0.0), now - self._moved.get(name, now))
                self._moved[name] = now
        self._seen, self.total, self._ended = found, found.total(), self._clock()

    def end(self, gateway: Gateway) -> None:
        """The gateway is well and has drained."""
        self.look(gateway)
        for name, since in self._moved.items():
            self.stillest[name] = max(self.stillest[name], self._now() - since)
        self.after = holdings(gateway)

    @contextlib.contextmanager
    def excused(self, stops: bool) -> Iterator[None]:
        """What takes place within is no time of the gateway's, if the plan stops it."""
        begun = self._clock()
        yield
        self.down_s += (self._clock() - begun) * stops

    @property
    def lived_s(self) -> float:
        """Seconds from begin to the last look, without those in which no gateway ran."""
        return self._ended - self._begun - self.down_s

    @property
    def rate_hz(self) -> float:
        """Acknowledged readings a second."""
        return (self.total - self._first) / max(self.lived_s, 0.001)

    @property
    def stillness(self) -> tuple[float, str]:
        """The longest time without a reading, in seconds, and the sensor of which there was none."""
        return max((still_s, name) for name, still_s in self.stillest.items())

    def dead(self) -> bool:
        """Too little has come, or nothing of some sensor for too long."""
        return self.rate_hz < FLOOR_hz or self.stillness[0] >= STILL_s

    def line(self) -> str:
        """For the one who waits."""
        return f"{self.total} acknowledged, {self.rate_hz:.0f} a second"

    def grown(self) -> list[str]:
        """Processes that hold more than they may."""
        return [sentence for name, held in self.after.items() for sentence in self._grown(name, held)]

    def _grown(self, name: str, held: Held) -> Iterator[str]:
        before = self.before.get(name, held)
        if held.fds > before.fds + MORE_fds:
            yield f"{name} holds {held.fds} descriptors, and held {before.fds}"
        if held.rss_bytes > RSS_bytes.get(name, RSS_bytes[""]):
            yield f"{name} holds {held.rss_bytes >> 20} MB"

    def _now(self) -> float:
        return self._clock() - self.down_s


def holdings(gateway: Gateway) -> dict[str, Held]:
    """Of every process."""
    found = {}
    for name in ["supervisor", *gateway.children()]:
        process = gateway.process(name)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                found[name] = Held(process.num_fds(), process.memory_info().rss)
    return found
