"""The spool's books as the checker takes them: for one sink, each loss under the name of its cause."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from edgegw.history.check import AFTER, Books
from edgegw.spool import Book, Outcome


def from_books(books: Iterable[Book], sink: str, sensors: Collection[str]) -> list[Books]:
    """Those of `sensors`. What was produced and never kept is declared as lost only as far as its worker can have taken it with it:

    of a worker that left in order, what it said it still held; of one that was killed, its window. More than that is nobody's loss.
    """
    return [_books(book, book.sinks.get(sink, Outcome())) for book in books if book.run.sensor in sensors]


def _books(book: Book, at: Outcome) -> Books:
    counts = book.counts
    never_kept = counts.produced - counts.filtered - counts.dropped - book.refused - book.kept
    lost = max(0, min(never_kept, book.held if book.held >= 0 else book.run.window))
    before = {"dropped": counts.dropped, "refused": book.refused, "lost": lost}
    after = {cause: getattr(at, cause) for cause in AFTER}
    return Books(book.run.sensor, book.run.id, counts.produced, counts.filtered, book.kept, before | after, book.cut)
