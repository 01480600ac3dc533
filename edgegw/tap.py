"""Body of `edgegw tap`: live readings, a line each, until told to stop."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from edgegw.bus import TapEnd
from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import NotRunning
from edgegw.signals import StopNote

SLICE_s = 0.25  # of waiting, between looks at the stop note


class Wish(msgspec.Struct, frozen=True):
    """What to show, and when enough is enough (None: never)."""

    patterns: tuple[str, ...] = ()
    json: bool = False
    count: int | None = None
    seconds: float | None = None
    limit_hz: float | None = None  # lines a second and topic, at most


def run(socket: Path, wish: Wish, out: TextIO, clock: Clock, stop: StopNote) -> int:
    """Print readings to `out`; returns how many. Raises NotRunning when there is no tap to listen to."""
    if not socket.exists():
        why = "no gateway runs here, or so many listen that it takes no more"
        raise NotRunning(f"there is no tap to listen to ({socket} is missing): {why}; `edgegw status` says which")
    patterns = [_pattern(text) for text in wish.patterns] or ["*"]
    end = TapEnd(socket, [_prefix(pattern) for pattern in patterns])
    try:
        return _show(end, patterns, wish, out, clock, stop)
    finally:
        end.close()


def _show(end: TapEnd, patterns: Sequence[str], wish: Wish, out: TextIO, clock: Clock, stop: StopNote) -> int:
    shown = 0
    until_ns = clock.monotonic_ns() + round(wish.seconds * NS_PER_S) if wish.seconds is not None else None
    pace = _Pace(wish.limit_hz)
    while not stop.asked and (wish.count is None or shown < wish.count):
        now = clock.monotonic_ns()
        if until_ns is not None and now >= until_ns:
            break
        left_s = SLICE_s if until_ns is None else min(SLICE_s, (until_ns - now) / NS_PER_S)
        heard = end.receive(left_s)
        if heard is None or not any(fnmatch.fnmatchcase(heard[0], pattern) for pattern in patterns) or not pace.allows(heard[0], now):
            continue
        out.write((heard[1].decode() if wish.json else line(msgspec.json.decode(heard[1]))) + "\n")
        out.flush()
        shown += 1
    return shown


def line(reading: dict[str, Any]) -> str:
    """One reading for people: local time, whose, what, and its quality where that is not good."""
    at = datetime.datetime.fromtimestamp(reading["time_ns"] / NS_PER_S).astimezone()
    values = "  ".join(f"{name}={_shown(value)}" for name, value in reading["values"].items())
    quality = "" if reading["quality"] == "good" else f"  [{reading['quality']}]"
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  {reading['sensor']:<12} {reading['seq']:>8}  {values}{quality}"


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _pattern(text: str) -> str:
    """`front` means a sensor, of whatever kind."""
    return text if "/" in text else f"*/{text}"


def _prefix(pattern: str) -> str:
    """What ZeroMQ can filter by: the part before the first wildcard."""
    return pattern[: min([pattern.index(mark) for mark in "*?[" if mark in pattern], default=len(pattern))]


class _Pace:
    def __init__(self, limit_hz: float | None) -> None:
        self._period_ns = round(NS_PER_S / limit_hz) if limit_hz else 0
        self._next_ns: dict[str, int] = {}

    def allows(self, topic: str, now_ns: int) -> bool:
        if now_ns < self._next_ns.get(topic, 0):
            return False
        self._next_ns[topic] = now_ns + self._period_ns
        return True
