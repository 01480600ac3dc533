"""In which order a sink is given what it lacks: what is new first, and a piece of the backlog in between.

When a sink comes back, everything newer than the newest record of that moment is live. Live records are delivered ahead of the
backlog, as a span beyond the cursor; where the backlog reaches a span they become one. Between backlog and live data the order
of a sensor's readings is therefore not kept: (run, seq) is what orders them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgegw.bridge import pace
from edgegw.clock import NS_PER_S
from edgegw.spool import Reach

MOST_spans = 64  # each outage in the middle of a backlog leaves one; beyond that, what is new waits behind the newest of them
_LIVE_pieces = 4  # at most in a row while there is a backlog, for a sink that cannot keep up must get on with that, too


class Wish(msgspec.Struct, frozen=True):
    """A piece of the spool to look for: at most so many readings, from position `first` to `last` (None: to the end)."""

    first: int
    last: int | None
    readings: int


class Course:
    """Of one sink. All times are monotonic ns."""

    def __init__(self) -> None:
        self._live_from = 0  # everything behind this position is live
        self._readings = pace.FIRST_readings
        self._live_in_row = 0
        self._owed = False  # it is the backlog's turn
        self._rest_until_ns = 0

    def begin(self, reach: Reach, newest: int) -> None:
        """The sink is there, and done with `reach`, while the spool ends at `newest`. It is given little at first."""
        self._live_from = newest if len(reach.ahead) < MOST_spans else reach.end
        self._readings = pace.FIRST_readings
        self._owed, self._live_in_row, self._rest_until_ns = False, 0, 0

    def wishes(self, reach: Reach, now_ns: int) -> Sequence[Wish]:
        """What to look for; the first that is there is to be delivered."""
        live = Wish(max(reach.end, self._live_from) + 1, None, self._readings)
        gap = reach.gap(self._live_from)
        if gap is None:
            return [live]
        if now_ns < self._rest_until_ns:
            return [live]
        backlog = Wish(*gap, self._readings)
        return [backlog, live] if self._owed else [live, backlog]

    def went(self, wish: Wish, readings: int, began_ns: int, now_ns: int) -> None:
        """That piece was delivered, and held so many readings."""
        took_s = (now_ns - began_ns) / NS_PER_S
        if readings >= self._readings:  # a small delivery says nothing of large ones
            self._readings = pace.grown(self._readings, took_s)
        if wish.last is None:
            self._live_in_row += 1
            self._owed = readings < wish.readings or self._live_in_row >= _LIVE_pieces
        else:
            self._owed, self._live_in_row = False, 0
            self._rest_until_ns = now_ns + round(pace.rest_s(took_s) * NS_PER_S)

    def rest_s(self, reach: Reach, now_ns: int) -> float | None:
        """How long until the backlog's next piece is due; None where there is none."""
        return None if reach.gap(self._live_from) is None else max(0.0, (self._rest_until_ns - now_ns) / NS_PER_S)
