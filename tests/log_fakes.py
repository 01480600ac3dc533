"""What the tests of the log share: time that is told, and a sink that can be full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from edgegw.log import Entry, Log
from edgegw.reading import ClockState

START_ns = 1_795_228_291_123_456_789
ENTRY: Entry = {"time": "2026-11-21T02:31:31.123456Z", "level": "warning", "process": "front", "event": "device lost", "sensor": "front"}


class FakeClock:
    """Time that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    boot_ns = monotonic_ns

    def wall_ns(self) -> int:
        return START_ns + self.now_ns

    def state(self) -> ClockState:
        return ClockState.SYNCED

    def sleep_until(self, monotonic_ns: int) -> None:
        self.now_ns = max(self.now_ns, monotonic_ns)


class ListSink:
    """Takes `room` entries, then no more until told."""

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.entries: list[Entry] = []
        self.trouble: Counter[str] = Counter()
        self.closed = 0

    def write(self, entry: Entry) -> bool:
        if self.room < 1:
            return False
        self.room -= 1
        self.entries.append(entry)
        return True

    def flush(self) -> bool:
        return True

    def close(self) -> None:
        self.closed += 1

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.entries]


def make_log(sink: ListSink, *, level: str = "debug", capacity: int = 2048, secrets: Collection[str] = ()) -> Log:
    return Log("front", sink, level, capacity=capacity, secrets=secrets, clock=FakeClock())


def entry(event: str, **fields: object) -> Entry:
    return ENTRY | {"event": event} | fields


def fill(write: Callable[[Entry], bool], **fields: object) -> int:
    """Writes numbered entries until one is refused; returns how many were taken."""
    for number in range(1_000_000):
        if not write(entry(f"{number}", **fields)):
            return number
    raise AssertionError("never full")
