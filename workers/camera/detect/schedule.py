"""When to look for faces, which costs many times what else is done with a frame. Pure decisions: times in, yes or no out.

A camera's turn comes with every so many-th frame. It looks if it needs to; else its turn waits until it does:

    OVERDUE     it has not looked for a second: something unseen may have come in
    FOLLOWING   somebody is being followed
    SEARCHING   something has moved since its last look, or nobody watches for that

All cameras of a process draw on one budget. Where there are more wishes than looks, the needs come in this order, and of equals the
camera that has waited longest; who gets no look asks again with its next frame.
"""

from __future__ import annotations

import enum
import threading
from typing import NamedTuple

from edgegw.clock import NS_PER_S
from workers.camera.once import Once

OVERDUE_ns = NS_PER_S
ASKING_ns = NS_PER_S  # a wish that is not repeated for so long is none: its camera has gone, or hangs
SAVED_s = 0.25  # looks that nobody took are kept for so long


class Need(enum.IntEnum):
    """Why a camera wants to look; the lower, the more urgent."""

    OVERDUE = 0
    FOLLOWING = 1
    SEARCHING = 2


class Wish(NamedTuple):
    """For a look; of two the lesser is the more urgent. Times are monotonic."""

    need: Need
    looked_ns: int  # when that camera looked last
    camera: int
    asked_ns: int


class Budget:
    """So many looks a second, for any number of cameras, in any threads."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._saved = self._most = max(1.0, rate_hz * SAVED_s)
        self._at_ns: int | None = None
        self._wishes: dict[int, Wish] = {}
        self._cameras = 0
        self._lock = threading.Lock()

    def camera(self) -> int:
        """A number for one more camera."""
        with self._lock:
            self._cameras += 1
            return self._cameras

    def granted(self, wish: Wish) -> bool:
        """Whether this camera may look now. So it is where looks are left for all whose wish is more urgent."""
        with self._lock:
            self._fill(wish.asked_ns)
            self._wishes = {other.camera: other for other in self._wishes.values() if wish.asked_ns - other.asked_ns < ASKING_ns}
            self._wishes[wish.camera] = wish
            if self._saved < 1 + sum(other < wish for other in self._wishes.values()):
                return False
            self._saved -= 1
            del self._wishes[wish.camera]
            return True

    def _fill(self, now_ns: int) -> None:
        """Looks for the time that has passed; one more is kept for each wish, so that waiting for a slow camera holds up no other."""
        past_ns = max(0, now_ns - self._at_ns) if self._at_ns is not None else 0  # threads may come in a little out of turn
        self._at_ns = now_ns - past_ns if self._at_ns is None else self._at_ns + past_ns
        self._saved = min(self._most + len(self._wishes), self._saved + past_ns / NS_PER_S * self._rate_hz)


_BUDGETS: Once[Budget] = Once()


def common_budget(rate_hz: float) -> Budget:
    """The one of all cameras in this process that were given that rate."""
    return _BUDGETS.get(rate_hz, lambda: Budget(rate_hz))


class Schedule:
    """Of one camera. `phase`, from 0 up to 1, is where in its first `every` frames its turn is: cameras shall not all look at once."""

    def __init__(self, every: int, phase: float, gate: bool, budget: Budget) -> None:
        self._every = every
        self._until_turn = int(phase * every)  # frames
        self._gate = gate
        self._budget = budget
        self._camera = budget.camera()
        self._looked_ns: int | None = None
        self._turn = self._moved = False

    def due(self, now_ns: int, moved: bool, live: bool) -> bool:
        """Whether to look at this frame, which must then be done; to be asked once for each. `moved`: something in it; `live`: somebody
        is being followed.
        """
        self._moved |= moved
        self._turn |= self._until_turn == 0
        self._until_turn = (self._until_turn or self._every) - 1
        need = self._need(now_ns, live) if self._turn else None
        if need is None or not self._budget.granted(Wish(need, self._looked_ns or 0, self._camera, now_ns)):
            return False
        self._turn = self._moved = False
        self._looked_ns = now_ns
        return True

    def _need(self, now_ns: int, live: bool) -> Need | None:
        if self._looked_ns is None or now_ns - self._looked_ns >= OVERDUE_ns:
            return Need.OVERDUE
        if live:
            return Need.FOLLOWING
        return Need.SEARCHING if self._moved or not self._gate else None
