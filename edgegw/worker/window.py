"""Readings that the bridge has not acknowledged: collected, sealed into numbered batches, kept until they are safe.

Pure: no clock, no socket. Bounded: when it is full, the policy drops readings that were never sent (what was sent may be
safe already, and then it would be counted twice), and counts them. Their seqs stay unused, so the gap shows where it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from edgegw.codec import Push
from edgegw.reading import Attachment, Batch, Counts, Reading

IN_FLIGHT_batches = 64
ATTACHED_bytes = 16 << 20  # held; more is as full as too many readings
PART_bytes = 1_000_000  # of text, four bytes each, and attachments in one batch: with all else it stays below what the bus takes at once


class Window:
    """At most `limit` readings; `drops_oldest` says which side gives way."""

    def __init__(self, run: str, limit: int, *, drops_oldest: bool) -> None:
        self._run = run
        self._limit = limit
        self._drops_oldest = drops_oldest
        self._collecting: dict[str, list[Reading]] = {}
        self._attached: dict[int, Attachment] = {}  # to what is being collected, by seq
        self._attached_bytes = 0  # to all that is held
        self._sent: deque[Push] = deque()
        self._unsent: deque[Push] = deque()
        self._number = 0
        self.collected = 0  # readings not sealed yet
        self.size = 0  # readings held
        self.produced = 0
        self.filtered = 0
        self.dropped = 0

    @property
    def in_flight(self) -> int:
        """Batches sent and not acknowledged."""
        return len(self._sent)

    @property
    def last_sent(self) -> int:
        """Number of the last batch in flight; -1 where there is none."""
        return self._sent[-1].number if self._sent else -1

    def add(self, kind: str, reading: Reading, attachment: Attachment | None = None) -> None:
        """Take in a reading, or drop one by the policy."""
        self.produced += 1
        more_bytes = len(attachment.data) if attachment else 0
        while self.size >= self._limit or (more_bytes and self._attached_bytes + more_bytes > ATTACHED_bytes):
            if not (self._drops_oldest and self._drop_oldest()):
                self.dropped += 1
                return
        self._collecting.setdefault(kind, []).append(reading)
        if attachment:
            self._attached[reading.seq] = attachment
            self._attached_bytes += more_bytes
        self.collected += 1
        self.size += 1

    def skip(self) -> None:
        """A reading was produced that nobody wants: it has no seq, and no place here."""
        self.produced += 1
        self.filtered += 1

    def seal(self) -> None:
        """Make batches of what was collected, one a kind, or more where there is much text in it."""
        counts = Counts(produced=self.produced, filtered=self.filtered, dropped=self.dropped)
        for kind, readings in self._collecting.items():
            for part in _parts(readings, self._attached):
                attached = {reading.seq: self._attached[reading.seq] for reading in part if reading.seq in self._attached}
                self._unsent.append(Push(self._number, Batch(self._run, kind, counts, part), attached))
                self._number += 1
        self._collecting.clear()
        self._attached.clear()
        self.collected = 0

    def next(self) -> Push | None:
        """The batch to send next, if any may be sent; sent() says that it was."""
        return self._unsent[0] if self._unsent and len(self._sent) < IN_FLIGHT_batches else None

    def sent(self) -> None:
        """The batch that next() gave has gone out."""
        self._sent.append(self._unsent.popleft())

    def acknowledge(self, committed: int) -> bool:
        """Forget the batches up to number `committed`; True when there was one."""
        held = len(self._sent)
        while self._sent and self._sent[0].number <= committed:
            self._let_go(self._sent.popleft())
        return len(self._sent) < held

    def rewind(self, committed: int) -> None:
        """A new connection: what was sent on the old one and is not committed goes out again, first."""
        self.acknowledge(committed)
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()

    def _drop_oldest(self) -> bool:
        if not self._unsent:
            return False
        self.dropped += self._let_go(self._unsent.popleft())
        return True

    def _let_go(self, push: Push) -> int:
        readings = len(push.batch.readings)
        self.size -= readings
        self._attached_bytes -= sum(len(one.data) for one in push.attached.values())
        return readings


def _parts(readings: list[Reading], attached: Mapping[int, Attachment]) -> Iterator[tuple[Reading, ...]]:
    begin = held_bytes = 0
    for index, reading in enumerate(readings):
        more_bytes = sum(4 * len(value) for value in reading.values if type(value) is str)
        if reading.seq in attached:
            more_bytes += len(attached[reading.seq].data)
        if held_bytes and held_bytes + more_bytes > PART_bytes:
            yield tuple(readings[begin:index])
            begin, held_bytes = index, 0
        held_bytes += more_bytes
    yield tuple(readings[begin:])
