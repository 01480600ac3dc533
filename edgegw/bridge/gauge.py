"""Warns before the spool is full, and says when it will be, if it goes on as it does."""

from __future__ import annotations

from collections import deque

from edgegw.clock import NS_PER_S
from edgegw.log import Logger
from edgegw.spool import Room

HIGH, LOW = 0.90, 0.85  # of what it may hold: warned above the first, well again below the second
WINDOW_ns = 300 * NS_PER_S  # over which its growth is measured
LEAST_ns = 10 * NS_PER_S  # a shorter one says nothing of the rate


class Gauge:
    """Looked at about once a second."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._seen: deque[tuple[int, int]] = deque()  # when, bytes used
        self._high = False
        self.why = ""  # "" while there is room; else a sentence for status

    def look(self, room: Room, now_ns: int) -> None:
        """Take a look; `now_ns` of a clock that never jumps."""
        self._seen.append((now_ns, room.used_bytes))
        while now_ns - self._seen[0][0] > WINDOW_ns:
            self._seen.popleft()
        filled = room.used_bytes / max(1, room.limit_bytes)
        was_high, self._high = self._high, filled >= (LOW if self._high else HIGH)
        self.why = sentence(filled, self._left_s(room), on_disk=room.limit_bytes < room.quota_bytes) if self._high else ""
        if self._high and not was_high:
            self._log.warning("spool_nearly_full", why=self.why)
        elif was_high and not self._high:
            self._log.info("spool_has_room", filled_percent=round(100 * filled))

    def _left_s(self, room: Room) -> float | None:
        """None where it does not grow, or nobody knows yet."""
        (since_ns, then), (now_ns, now) = self._seen[0], self._seen[-1]
        if now_ns - since_ns < LEAST_ns or now <= then:
            return None
        return (room.limit_bytes - now) * (now_ns - since_ns) / NS_PER_S / (now - then)


def sentence(filled: float, left_s: float | None, *, on_disk: bool) -> str:
    """How full, when it will be full, what to do."""
    of = "what its disk has room for" if on_disk else "what max_bytes in [spool] allows"
    growing = "it is not growing" if left_s is None else f"full in about {span(left_s)} at this rate"
    forecast = "it is full" if filled >= 1 else growing
    cure = "make room on the disk" if on_disk else "raise max_bytes"
    return f"{min(100, round(100 * filled))} % of {of} is used, and {forecast}: bring the sinks back, or {cure}"


def span(seconds: float) -> str:
    """A duration of which only the size matters, as 40 s, 5 min, 3 h, 2 days."""
    for unit, length_s, most_s in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172_800)):
        if seconds < most_s:
            return f"{max(1, round(seconds / length_s))} {unit}"
    return f"{round(seconds / 86_400)} days"
