"""Whether a link still gives what it is for: judged by the age of the data, which cannot lie. Pure.

A link may be dead and not look it: bluetoothd says nothing when it is killed, and a peripheral whose program hangs may have a radio
that keeps the link up.
"""

from __future__ import annotations

import enum

from edgegw.clock import NS_PER_S

SILENCE_s, SILENCE_periods = 3, 5  # whichever is longer


class Verdict(enum.Enum):
    """What the age of the data says."""

    WELL = "well"
    SILENT = "silent"  # nothing comes
    STRANGE = "strange"  # something comes, and none of it can be read


class Watch:
    """Told of what comes; asked now and then what it makes of it."""

    def __init__(self, rate_hz: float, now_ns: int) -> None:
        self.patience_ns = round(max(SILENCE_s, SILENCE_periods / rate_hz) * NS_PER_S)
        self._came_ns = self._read_ns = now_ns

    def came(self, at_ns: int, *, readable: bool) -> None:
        """A notification, at that time."""
        self._came_ns = max(self._came_ns, at_ns)
        if readable:
            self._read_ns = max(self._read_ns, at_ns)

    def verdict(self, now_ns: int) -> Verdict:
        """How it stands at that time."""
        if now_ns - self._came_ns > self.patience_ns:
            return Verdict.SILENT
        return Verdict.STRANGE if now_ns - self._read_ns > self.patience_ns else Verdict.WELL
