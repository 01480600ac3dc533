"""What has become of the faces of the delivery in hand, until the cursor has passed them.

A delivery is repeated as a whole, or by halves, when a part of it did not get through. FindFace knows no idempotency key, so what
was taken once must not be sent again, and what may have been taken has to be told apart from what was never sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgegw.errors import Rejected
from edgegw.reading import Record
from edgegw.sinks.findface.event import Event, Key
from edgegw.sinks.findface.journal import Journal, Mark

AFTER_RESTART = "after a restart"
LOST_ANSWER = "after a lost answer"
INHERITED = 64  # faces: what a process may send between two commits of its cursor, a second or so apart
STUBBORN = 100  # failures; with the bridge's pauses between them a quarter of an hour


class Memory:
    """Bounded by one delivery: the next one begins behind it, and so says that the cursor has passed it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loaded = False
        self._unknown = 0  # so many faces of the backlog may have been sent by a process that left no journal
        self._settled: dict[Key, Rejected | None] = {}  # None: taken
        self._attempts: dict[Key, int] = {}
        self._doubts: dict[Key, str] = {}
        self._strikes: dict[Key, int] = {}
        self._first = self._last = -1

    def begin(self, records: Sequence[Record], events: Sequence[Event]) -> None:
        """A delivery of these is asked for: the one before again, a part of it, or a new one.

        What a process before this one has sent, and could not commit, is the first that this one is given: its journal says what
        became of it. Without a journal it is in doubt.
        """
        first, last = records[0].position, records[-1].position
        if self._first <= first <= self._last:
            self._last = max(self._last, last)
            return
        self._settled, self._attempts, self._strikes = {}, {}, {}
        self._first, self._last = first, last
        self._doubts = {event.key: AFTER_RESTART for event in events if self._inherited(event)}

    def open(self, event: Event) -> bool:
        """Whether something is still to be done for this face."""
        return event.key not in self._settled

    def verdict(self, event: Event) -> Rejected | None:
        """Why it was rejected, if it was."""
        return self._settled.get(event.key)

    def settle(self, event: Event, rejected: Rejected | None = None) -> None:
        """It is there, or will never be."""
        self._settled[event.key] = rejected
        self._journal.note(event.key, Mark.NOT_THERE if rejected else Mark.TAKEN)

    def stubborn(self, event: Event, left: int) -> bool:
        """It has failed, and with it `left` faces of the delivery are open: whether it is the picture that is at fault, not the server.

        That is so when it alone has kept on failing, though all the others got through and some of them were taken. An outage looks
        like that for one face at most, and only where it spares what is asked of the server before each delivery.
        """
        if left == 1 and None in self._settled.values():
            self._strikes[event.key] = self._strikes.get(event.key, 0) + 1
        return self._strikes.get(event.key, 0) >= STUBBORN

    def attempt(self, event: Event) -> None:
        """It is being sent: from now on it may be there, whatever becomes of us."""
        self._attempts[event.key] = self.attempts(event) + 1
        self._doubts[event.key] = LOST_ANSWER
        self._journal.note(event.key, Mark.SENT)

    def attempts(self, event: Event) -> int:
        """How often it was sent, as far as this process knows."""
        return self._attempts.get(event.key, 0)

    def doubt(self, event: Event) -> str:
        """Why it may be there already; "" when it cannot be."""
        return self._doubts.get(event.key, "")

    def believe(self, event: Event, doubt: str) -> None:
        """What is known of it since: `doubt`, or that it is not there."""
        self._doubts[event.key] = doubt
        if not doubt:
            self._journal.note(event.key, Mark.NOT_THERE)

    def _inherited(self, event: Event) -> bool:
        """Whether the process before this one may have got it there; what it surely has is settled."""
        if not self._loaded:
            self._journal.load()
            self._loaded, self._unknown = True, 0 if self._journal.known else INHERITED
        mark = self._journal.before(event.key)
        if mark is Mark.TAKEN:
            self._settled[event.key] = None
        if not event.replay:
            self._unknown = 0  # it came after our start, and so did all that follows, also where an outage makes that a backlog again
        if mark is None and event.replay and self._unknown:
            self._unknown -= 1
            return True
        return mark is Mark.SENT
