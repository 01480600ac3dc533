"""The closing account: what was produced, what a store holds, what is missing and why, per sensor and run.

Both sides are read from disk: the left from the spool's books, which each worker's own tally closed, the right by
counting rows in the store. No figure is what somebody believes to have sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from edgegw.reading import Stored
from edgegw.spool import Book

NOTHING = Stored(count=0, first_seq=0, last_seq=-1)


class Line(msgspec.Struct, frozen=True):
    """One run: produced = stored + waiting + filtered + dropped + dead + damaged + lost."""

    sensor: str
    run: str
    produced: int
    stored: int
    waiting: int  # in the spool, not yet in this store
    filtered: int
    dropped: int  # given up by a full window
    dead: int  # rejected by this store
    damaged: int  # their record in the spool failed its checksum
    closed: bool

    @property
    def lost(self) -> int:
        """Unacknowledged when the worker died; below zero: the store holds more than was produced, which is a bug."""
        return self.produced - self.stored - self.waiting - self.filtered - self.dropped - self.dead - self.damaged


class Account(msgspec.Struct, frozen=True):
    """All runs, against one store."""

    store: str
    lines: tuple[Line, ...]

    @property
    def produced(self) -> int:
        """Readings that ever got a seq."""
        return sum(line.produced for line in self.lines)

    @property
    def stored(self) -> int:
        """Rows in the store."""
        return sum(line.stored for line in self.lines)

    @property
    def lost(self) -> int:
        """Readings that nobody has: dropped ones, damaged ones, and those that died with their worker.

        A run of which the store holds too many does not make up for another that lost some.
        """
        return sum(max(0, line.lost) + line.dropped + line.damaged for line in self.lines)

    @property
    def complete(self) -> bool:
        """Every reading is in the store, and every book is closed."""
        return all(line.stored == line.produced - line.filtered and line.closed for line in self.lines)


def account(books: Sequence[Book], sink: str, stored: Mapping[tuple[str, str], Stored] | None) -> Account:
    """The account of `sink`; `stored` is what its tables hold, None for a sink that cannot be asked (then: what it confirmed)."""
    return Account(sink, tuple(_line(book, sink, stored) for book in books))


def _line(book: Book, sink: str, stored: Mapping[tuple[str, str], Stored] | None) -> Line:
    waiting, dead = book.waiting.get(sink, 0), book.dead.get(sink, 0)
    confirmed = Stored(count=book.kept - waiting - dead - book.damaged, first_seq=0, last_seq=-1)
    held = confirmed if stored is None else stored.get((book.run.sensor, book.run.id), NOTHING)
    return Line(
        sensor=book.run.sensor,
        run=book.run.id,
        produced=book.counts.produced,
        stored=held.count,
        # a store may already hold what the cursor, written once a second, still counts as waiting
        waiting=min(waiting, max(0, book.kept - held.count - dead - book.damaged)),
        filtered=book.counts.filtered,
        dropped=book.counts.dropped,
        dead=dead,
        damaged=book.damaged,
        closed=book.closed,
    )
