"""One run on a line: from the sensor into the spool, and from there to each sink."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import msgspec

from edgegw.reading import Counts, Run, Stored
from edgegw.spool import Book, Ledger, Outcome
from edgegw.tally import Count


class Ending(enum.StrEnum):
    """How a run ended, which says what it may have taken with it."""

    RUNNING = "running"
    ORDERLY = "in order"  # its worker said how many readings were not acknowledged
    KILLED = "killed"  # it had no time to say that, but its tally was left
    CUT = "cut"  # nor was that: the count is that of its last batch
    OPEN = "open"  # it has no tally, and nobody has closed its book yet


class Taken(msgspec.Struct, frozen=True):
    """What was noted before the stores were asked, so that what moves meanwhile is no error."""

    tallies: Mapping[str, Count]
    delivered: Mapping[tuple[str, str], int]  # (run, sink) → readings


class AtSink(msgspec.Struct, frozen=True):
    """What became of a run's readings at one sink."""

    sink: str
    outcome: Outcome
    outbox: bool = False  # counted in attachments
    stored: Stored | None = None  # what the store holds; None: it cannot be asked, or was not
    least: int = 0  # delivered before it was asked

    @property
    def most(self) -> int:
        """What the store can hold: a delivery is noted a moment after it was made, and a process that is killed notes it no more."""
        return self.outcome.total - self.outcome.dead

    @property
    def there(self) -> int:
        """Readings that are at the sink, as far as is known; with what it was given since it was asked."""
        if self.stored is None:
            return self.outcome.delivered
        return self.stored.count if self.stored.count < self.least else max(self.stored.count, self.outcome.delivered)

    @property
    def waiting(self) -> int:
        """Readings that it has still to get; none of those is counted as there, too."""
        ahead = max(0, self.there - self.outcome.delivered)
        return max(0, self.outcome.waiting - ahead)


class Line(msgspec.Struct, frozen=True):
    """One run: produced = filtered + dropped + refused + kept + missing; kept = the total of each sink that takes everything."""

    sensor: str  # "" where the spool's record of the run is damaged
    run: str
    ending: Ending
    closed: bool  # its book is
    produced: int
    filtered: int  # held back as the configuration asks; these have no seq
    dropped: int  # given up by the worker's full window
    refused: int  # turned away by the full spool, as the configuration asks
    kept: int  # were ever in the spool
    least: int  # of missing: at the earliest moment that the books can be compared with
    bound: int | None  # that missing cannot exceed; None: whoever wrote the book did not say
    uncounted: int  # readings at most that came after the last count
    sinks: tuple[AtSink, ...]

    @property
    def missing(self) -> int:
        """On its way while the worker lives, lost with it after that; below zero is an error in the books."""
        return self.produced - self.filtered - self.dropped - self.refused - self.kept

    @property
    def in_flight(self) -> int:
        """Readings that the worker still has."""
        return self.missing if self.ending is Ending.RUNNING else 0

    @property
    def lost(self) -> int:
        """Readings that were not acknowledged when the worker ended, and that nobody has."""
        return 0 if self.ending is Ending.RUNNING else self.missing


def lines(taken: Taken, ledger: Ledger, tallies: Mapping[str, Count], stored: Mapping[str, Mapping[str, Stored]]) -> Iterator[Line]:
    """All runs, oldest first: `taken` before the stores were asked, `stored` (sink → run) then, and at last `ledger`, then `tallies`."""
    known = {book.run.id for book in ledger.books}
    fresh = [_unheard(count.run) for run, count in tallies.items() if run not in known]
    for book in [*ledger.books, *fresh]:
        then, now = taken.tallies.get(book.run.id), tallies.get(book.run.id)
        sinks = _sinks(book, taken, ledger, stored)
        yield _closed(book, sinks) if book.closed else _open(book, then, now, sinks)


def _unheard(run: Run) -> Book:
    return Book(run, -1, 0, Counts(), refused=0, closed=False, cut=False, sinks={})


def _closed(book: Book, sinks: tuple[AtSink, ...]) -> Line:
    ending = Ending.CUT if book.cut else _gone(book.held)
    return _line(book, book.run, ending, book.counts, sinks, held=book.held)


def _open(book: Book, then: Count | None, now: Count | None, sinks: tuple[AtSink, ...]) -> Line:
    """The books are younger than `then` and older than `now`: what is on its way is no less than by `now`, and no more than by `then`."""
    count = then or now
    if count is None:
        return _line(book, book.run, Ending.OPEN, book.counts, sinks)
    ending = Ending.RUNNING if count.living or then is None else _gone(count.held)
    counts = max([book.counts, *(each.counts for each in (then, now) if each)], key=lambda each: each.produced)
    earliest = then.counts if then else book.counts
    return _line(book, count.run, ending, counts, sinks, held=count.held, earliest=earliest)


def _gone(held: int) -> Ending:
    return Ending.ORDERLY if held >= 0 else Ending.KILLED


def _line(
    book: Book, run: Run, ending: Ending, counts: Counts, sinks: tuple[AtSink, ...], held: int = -1, earliest: Counts | None = None
) -> Line:
    before = earliest or counts
    return Line(
        sensor=run.sensor,
        run=run.id,
        ending=ending,
        closed=book.closed,
        produced=counts.produced,
        filtered=counts.filtered,
        dropped=counts.dropped,
        refused=book.refused,
        kept=book.kept,
        least=before.produced - before.filtered - before.dropped - book.refused - book.kept,
        bound=held if ending is Ending.ORDERLY else run.window or None,
        uncounted=run.window if ending in (Ending.CUT, Ending.OPEN) else 0,
        sinks=sinks,
    )


def _sinks(book: Book, taken: Taken, ledger: Ledger, stored: Mapping[str, Mapping[str, Stored]]) -> tuple[AtSink, ...]:
    run = book.run.id
    takers = tuple(
        AtSink(
            sink=sink,
            outcome=book.sinks.get(sink, Outcome()),
            stored=stored[sink].get(run, Stored(0, 0, -1)) if sink in stored else None,
            least=taken.delivered.get((run, sink), 0),
        )
        for sink in ledger.sinks
    )
    return takers + tuple(AtSink(sink, book.sinks[sink], outbox=True) for sink in ledger.outboxes if sink in book.sinks)
