"""Whether the log stays readable: how often one process says one and the same thing."""

from __future__ import annotations

import datetime
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

WINDOW_s = 10.0


class Chatter(msgspec.Struct, frozen=True):
    """The message that came most often within WINDOW_s."""

    lines: int = 0
    process: str = ""
    event: str = ""

    def __str__(self) -> str:
        return f"{self.lines} ({self.process}: {self.event[:40]})" if self.lines else "0"


def loudest(entries: Iterable[Mapping[str, Any]]) -> Chatter:
    """Of log entries in any order. The same thing is: the same words of the same process about the same child, sensor or sink."""
    times: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for entry in entries:
        about = [str(entry.get(key, "")) for key in ("process", "event", "child", "sensor", "sink")]
        times[tuple(about)].append(datetime.datetime.fromisoformat(entry["time"]).timestamp())
    found = (Chatter(_most(sorted(moments)), about[0], about[1]) for about, moments in times.items())
    return max(found, key=lambda one: one.lines, default=Chatter())


def _most(moments: Iterable[float]) -> int:
    """How many of them lie within WINDOW_s at most."""
    most, recent = 0, deque[float]()
    for moment in moments:
        recent.append(moment)
        while moment - recent[0] > WINDOW_s:
            recent.popleft()
        most = max(most, len(recent))
    return most
