"""The closing account: what adds up, and what does not."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edgegw.account import Account, Line, account
from edgegw.cli.books import verdict
from edgegw.reading import Counts, Stored
from edgegw.spool import Book
from tests.records import a_run

COUNT = st.integers(0, 1000)


def a_book(number: int = 0, kept: int = 100, produced: int = 100, **changes: object) -> Book:
    """A closed book of a run that delivered everything."""
    made = Book(a_run(number), acked=9, kept=kept, counts=Counts(produced), closed=True, waiting={}, dead={}, damaged=0)
    return msgspec.structs.replace(made, **changes)


def held(book: Book, count: int) -> dict[tuple[str, str], Stored]:
    """A store that has so many readings of the run."""
    return {(book.run.sensor, book.run.id): Stored(count, 0, count - 1)}


def test_everything_stored_is_complete() -> None:
    """produced = stored is a complete account without loss."""
    book = a_book()
    closed = account([book], "sqlite", held(book, 100))
    assert (closed.produced, closed.stored, closed.lost, closed.complete) == (100, 100, 0, True)


def test_what_a_store_lacks_is_lost() -> None:
    """A reading that no book explains is lost, and the account is not complete."""
    book = a_book()
    closed = account([book], "sqlite", held(book, 97))
    assert (closed.lost, closed.complete) == (3, False)


def test_a_run_that_the_store_never_saw_is_lost_whole() -> None:
    """No row at all counts as nothing stored, not as nothing to ask."""
    assert account([a_book()], "sqlite", {}).lost == 100


def test_surplus_of_one_run_does_not_hide_the_loss_of_another() -> None:
    """Five too many in one run and five too few in another are five lost, and not complete."""
    books = [a_book(0), a_book(1)]
    closed = account(books, "sqlite", held(books[0], 105) | held(books[1], 95))
    assert (closed.lost, closed.complete) == (5, False)


def test_dropped_and_damaged_are_lost_but_named() -> None:
    """Readings that a full window gave up and those of a damaged record are nobody's any more."""
    book = a_book(kept=90, counts=Counts(100, 0, 10), damaged=4)
    closed = account([book], "sqlite", held(book, 86))
    assert (closed.lines[0].lost, closed.lost, closed.complete) == (0, 14, False)


def test_rejected_is_not_lost_and_stands_in_the_verdict() -> None:
    """What a store rejected lies in the dead letters: not lost, not complete, and said."""
    book = a_book(dead={"sqlite": 7})
    closed = account([book], "sqlite", held(book, 93))
    assert (closed.lost, closed.complete) == (0, False)
    assert verdict(closed) == "sqlite: produced 100, stored 93, lost 0, rejected 7"


def test_waiting_for_this_sink_only() -> None:
    """A backlog of another sink is none of this one's."""
    book = a_book(waiting={"mysql": 40, "rabbitmq": 0})
    assert account([book], "rabbitmq", None).complete
    behind = account([book], "mysql", None)
    assert (behind.lines[0].waiting, behind.stored, behind.lost) == (40, 60, 0)


def test_a_store_ahead_of_its_cursor_has_nothing_lost() -> None:
    """The cursor is written a moment after the store has the rows: they count once, as stored."""
    book = a_book(waiting={"sqlite": 30})
    closed = account([book], "sqlite", held(book, 100))
    assert (closed.lines[0].waiting, closed.lost, closed.complete) == (0, 0, True)


def test_an_open_book_is_not_complete() -> None:
    """A run whose worker has not closed its count may have produced more than is known."""
    book = a_book(closed=False)
    assert not account([book], "sqlite", held(book, 100)).complete


@given(stored=COUNT, waiting=COUNT, filtered=COUNT, dropped=COUNT, dead=COUNT, damaged=COUNT, lost=COUNT)
def test_every_reading_is_in_one_column(**counts: int) -> None:
    """The columns of a line add up to produced, whatever they hold."""
    lost = counts.pop("lost")
    line = Line(sensor="s", run="r", produced=sum(counts.values()) + lost, closed=True, **counts)
    assert line.lost == lost
    assert Account("x", (line,)).complete == (line.stored == line.produced - line.filtered)
