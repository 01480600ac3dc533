"""The closing account: what adds up, what does not, and what is declared as missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.account import Account, Ending, Imbalance, Line, Taken, imbalances, lines, losses
from edgegw.account.declared import summed
from edgegw.cli import books
from edgegw.reading import Counts, Stored
from edgegw.spool import Book, Ledger, Outcome
from edgegw.tally import Count
from tests.records import a_run

COUNT = st.integers(0, 1000)
WINDOW = 50
RUN = msgspec.structs.replace(a_run(1), window=WINDOW)
FULL = Stored(100, 0, 99)


def a_book(number: int = 1, *, window: int = WINDOW, **changes: object) -> Book:
    """A closed book of a run of 100 readings that delivered everything to sqlite, and whose worker left in order."""
    run = msgspec.structs.replace(a_run(number), window=window)
    sinks = {"sqlite": Outcome(delivered=100)}
    made = Book(run, acked=9, kept=100, counts=Counts(100), refused=0, closed=True, cut=False, sinks=sinks, held=0)
    return msgspec.structs.replace(made, **changes)


def a_count(produced: int, *, living: bool = True, held: int = -1) -> Count:
    """A tally of the run."""
    return Count(RUN, Counts(produced), held, living)


def line(book: Book, stored: Stored | None = None, least: int | None = None, then: Count | None = None, now: Count | None = None) -> Line:
    """The line of a run, seen once; what the store was asked after is what the book says was delivered."""
    run = book.run.id
    outcome = book.sinks.get("sqlite", Outcome())
    taken = Taken({run: then} if then else {}, {(run, "sqlite"): outcome.delivered if least is None else least})
    tallies = {run: now} if now else {}
    held = {"sqlite": {run: stored}} if stored is not None else {}
    (found,) = lines(taken, Ledger([book], ("sqlite",), ()), tallies, held)
    return found


def wrong(found: Line) -> list[tuple[str, int]]:
    """Where and by how many it does not balance."""
    return [(each.sink, each.by) for each in imbalances(found)]


def test_everything_delivered_balances() -> None:
    """Nothing is wrong, nothing is missing."""
    found = line(a_book(), FULL)
    assert (wrong(found), list(losses(found)), found.sinks[0].there) == ([], [], 100)


ONE_LESS = Outcome(delivered=99)
HALF = Outcome(delivered=50, waiting=50)
BAD: Mapping[str, tuple[Book, Stored | None, list[tuple[str, int]]]] = {
    "one more delivered than kept": (a_book(sinks={"sqlite": Outcome(delivered=101)}), None, [("sqlite", -1)]),
    "one fewer": (a_book(sinks={"sqlite": Outcome(delivered=99)}), None, [("sqlite", 1)]),
    "delivered to another sink": (a_book(sinks={"mysql": Outcome(delivered=100)}), None, [("sqlite", 100)]),
    "a negative count that makes up for another": (a_book(sinks={"sqlite": Outcome(delivered=101, dead=-1)}), None, [("sqlite", -1)]),
    "more kept than produced": (a_book(counts=Counts(99)), None, [("", -1)]),
    "more dropped than can be": (a_book(counts=Counts(100, 0, 1)), None, [("", -1)]),
    "more refused than can be": (a_book(refused=2), None, [("", -2)]),
    "negative filtered": (a_book(counts=Counts(99, -1, 0)), None, [("", -1)]),
    "lost, and yet its worker left with an empty window": (a_book(counts=Counts(101)), None, [("", 1)]),
    "lost more than it left": (a_book(counts=Counts(106), held=5), None, [("", 1)]),
    "lost more than its window, killed": (a_book(counts=Counts(151), held=-1), None, [("", 1)]),
    "lost more than its window, cut": (a_book(counts=Counts(151), held=-1, cut=True), None, [("", 1)]),
    "a row gone from the store": (a_book(), Stored(99, 0, 99), [("sqlite", 1)]),
    "no row in the store": (a_book(), Stored(0, 0, -1), [("sqlite", 100)]),
    "a row too many in the store": (a_book(counts=Counts(200), held=-1, window=100), Stored(101, 0, 100), [("sqlite", -1)]),
    "a row that was rejected": (a_book(sinks={"sqlite": Outcome(delivered=99, dead=1)}), FULL, [("sqlite", -1)]),
    "a reading lost, and a later one there": (a_book(kept=99, sinks={"sqlite": ONE_LESS}, held=-1), Stored(99, 0, 99), [("sqlite", 1)]),
    "a number that was never given": (a_book(), Stored(100, 0, 100), [("sqlite", 100)]),
    "numbers given twice": (a_book(), Stored(100, 0, 98), [("sqlite", 100)]),
    "a number below zero": (a_book(), Stored(100, -1, 99), [("sqlite", 100)]),
    "rows gone while others wait": (a_book(sinks={"sqlite": HALF}), Stored(49, 0, 48), [("sqlite", 1)]),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_add_up_is_found(case: str) -> None:
    """Each fault in the books, or in the store, once; with the run, how many, and what to do."""
    book, stored, expected = BAD[case]
    found = line(book, stored)
    assert wrong(found) == expected
    for each in imbalances(found):
        assert (each.run, each.sensor) == (book.run.id, "front")
        assert each.what.startswith(f"front, run {book.run.id}: ")


GOOD: Mapping[str, tuple[Book, Stored | None]] = {
    "a store ahead of the books, by a delivery that nobody noted": (a_book(sinks={"sqlite": HALF}), Stored(80, 0, 79)),
    "a backlog": (a_book(sinks={"sqlite": HALF}), Stored(50, 0, 49)),
    "lost what its window held, killed": (a_book(counts=Counts(150), held=-1), FULL),
    "lost what it left": (a_book(counts=Counts(105), held=5), FULL),
    "a book from before windows were noted": (a_book(counts=Counts(100_000), held=-1, window=0), FULL),
    "filtered ones have no number": (a_book(counts=Counts(150, 50, 0)), FULL),
    "dropped ones have": (a_book(counts=Counts(120, 0, 20)), Stored(100, 0, 119)),
    "a sink that came later": (a_book(sinks={"sqlite": Outcome(delivered=10, missed=90)}), Stored(10, 90, 99)),
    "the same, and it was here before": (a_book(sinks={"sqlite": Outcome(delivered=10, missed=90)}), FULL),
    "set aside after it was delivered and not noted": (a_book(sinks={"sqlite": Outcome(delivered=90, damaged=10)}), FULL),
    "nothing was ever kept": (a_book(kept=0, counts=Counts(10), held=-1, sinks={}), Stored(0, 0, -1)),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_is_explained_is_no_error(case: str) -> None:
    """Declared losses do not unbalance the books, nor does what a crash repeats."""
    book, stored = GOOD[case]
    assert wrong(line(book, stored)) == []


def test_a_run_that_goes_on_is_bounded_on_both_sides() -> None:
    """What its worker holds lies between the tally before the books were read and the one after; neither may lie outside of the window."""
    book = a_book(closed=False, held=-1)
    going = line(book, FULL, then=a_count(110), now=a_count(190))
    assert (going.ending, going.in_flight, going.lost, wrong(going)) == (Ending.RUNNING, 90, 0, [])
    assert wrong(line(book, FULL, then=a_count(151), now=a_count(151))) == [("", 1)]
    assert wrong(line(book, FULL, then=a_count(90), now=a_count(95))) == []  # a tally that lies further back than the book says nothing
    assert wrong(line(a_book(closed=False, counts=Counts(90)), then=a_count(80), now=a_count(95))) == [("", -5)]


@pytest.mark.parametrize(
    ("then", "now", "ending", "lost"),
    [
        (a_count(120), a_count(140, living=False, held=0), Ending.RUNNING, 0),  # it left while we looked
        (a_count(140, living=False), a_count(140, living=False), Ending.KILLED, 40),
        (a_count(103, living=False, held=3), None, Ending.ORDERLY, 3),  # the bridge closed its book while we looked
        (None, a_count(140), Ending.RUNNING, 0),
        (None, a_count(140, living=False), Ending.RUNNING, 0),  # it came and went while we looked
        (None, None, Ending.OPEN, 0),
    ],
)
def test_how_an_open_run_stands(then: Count | None, now: Count | None, ending: Ending, lost: int) -> None:
    """By its tally, as it was before the books were read: what came after cannot be compared with them."""
    found = line(a_book(closed=False, held=-1), FULL, then=then, now=now)
    assert (found.ending, found.lost, wrong(found)) == (ending, lost, [])


def test_a_run_that_has_handed_nothing_over_has_a_line() -> None:
    """It has a tally and no book yet."""
    (found,) = lines(Taken({RUN.id: a_count(7)}, {}), Ledger([], ("sqlite",), ()), {RUN.id: a_count(9)}, {"sqlite": {}})
    assert (found.run, found.produced, found.in_flight, found.bound, wrong(found)) == (RUN.id, 9, 9, WINDOW, [])


LOSSES = {
    "lost 37 of at most 50 unacknowledged readings when its process was killed": a_book(counts=Counts(137), held=-1),
    "lost 1 of at most 3 readings that the spool had not acknowledged when its process was stopped": a_book(counts=Counts(101), held=3),
    "lost 7 unacknowledged readings when its process was killed": a_book(counts=Counts(107), held=-1, window=0),
    "ended by a power cut: up to 50 readings taken after its last batch are not counted": a_book(held=-1, cut=True),
    "1 reading given up by its full window": a_book(counts=Counts(101, 0, 1)),
    "5 readings turned away by the full spool, as its spool_full asks": a_book(counts=Counts(105), refused=5),
    "5 readings given up by the full spool before sqlite had them, as its spool_full asks": a_book(
        sinks={"sqlite": Outcome(delivered=95, evicted=5)}
    ),
    "5 readings for sqlite were damaged in the spool: their records failed a checksum, or could not be read any more": a_book(
        sinks={"sqlite": Outcome(delivered=95, damaged=5)}
    ),
    "5 readings rejected by sqlite, kept among the dead letters with the reason": a_book(sinks={"sqlite": Outcome(delivered=95, dead=5)}),
}


@pytest.mark.parametrize("sentence", LOSSES)
def test_a_loss_is_declared_in_a_sentence(sentence: str) -> None:
    """With its cause, its count, and its bound where there is one; and the books balance."""
    found = line(LOSSES[sentence])
    (loss,) = losses(found)
    assert str(loss) == f"front, run {RUN.id}: {sentence}"
    assert wrong(found) == []


def test_losses_of_many_runs_are_summed() -> None:
    """Ten thousand runs are not ten thousand sentences; a bound that is not known of one is not known of all."""
    found = [loss for number in range(3) for loss in losses(line(a_book(number, counts=Counts(110), held=-1)))]
    assert [str(one) for one in summed(found)] == [
        "front, 3 runs: lost 30 of at most 150 unacknowledged readings when their processes were killed"
    ]
    (one,) = summed([*found, *losses(line(a_book(4, counts=Counts(101), held=-1, window=0)))])
    assert (one.count, one.at_most) == (31, None)


def an_account(*found: Line) -> Account:
    """These lines, against the one store."""
    return Account(found, ("sqlite",), (), {}, {})


def test_surplus_of_one_run_does_not_hide_the_loss_of_another() -> None:
    """Five too many in one run and five too few in another: each is wrong for itself, and five are lost."""
    first = line(a_book(1, kept=105, sinks={"sqlite": Outcome(delivered=105)}))
    second = line(a_book(2, counts=Counts(105)))
    closed = an_account(first, second)
    assert wrong(first) + wrong(second) == [("", -5), ("", 5)]
    assert (books.totals(closed, "sqlite")["LOST"], books.complete(closed)) == (5, False)


def test_the_verdict_names_what_is_elsewhere() -> None:
    """What was rejected lies in the dead letters: not lost, not complete, and said."""
    closed = an_account(line(a_book(sinks={"sqlite": Outcome(delivered=93, dead=7)}), Stored(93, 0, 99)))
    assert not books.complete(closed)
    assert books.verdict(closed, "sqlite") == "sqlite: produced 100, stored 93, lost 0, rejected 7"


def test_an_open_book_is_not_complete() -> None:
    """A run whose worker has not closed its count may have produced more than is known."""
    assert books.complete(an_account(line(a_book(), FULL)))
    assert not books.complete(an_account(line(a_book(closed=False), FULL)))


def test_columns_without_a_figure_are_left_out() -> None:
    """Of twelve columns a gateway that is well needs four; none is left out that has a figure."""
    well, ill = an_account(line(a_book(), FULL)), an_account(line(a_book(counts=Counts(103, 1, 2))))
    headings = [[str(column.header) for column in books.table(each, "sqlite", runs=True).columns] for each in (well, ill)]
    assert headings[0] == ["SENSOR", "RUN", "PRODUCED", "STORED", "WAITING", "LOST"]
    assert headings[1] == ["SENSOR", "RUN", "PRODUCED", "STORED", "WAITING", "FILTERED", "DROPPED", "LOST"]


@st.composite
def sound_books(draw: st.DrawFn) -> tuple[Book, Stored]:
    """A book that balances, and a store that holds what it says, or a little more that nobody noted; the newest are those lost."""
    outcome = Outcome(*(draw(COUNT) for _ in range(6)))
    lost, filtered, dropped, refused = (draw(COUNT) for _ in range(4))
    counts = Counts(outcome.total + lost + filtered + dropped + refused, filtered, dropped)
    ahead = draw(st.integers(0, outcome.waiting))
    count = outcome.delivered + ahead
    last = counts.produced - filtered - lost - 1
    book = a_book(kept=outcome.total, counts=counts, refused=refused, window=max(lost, 1), held=-1, sinks={"sqlite": outcome})
    return book, Stored(count, last - count + 1 if count else 0, last if count else -1)


@given(sound_books())
def test_every_reading_is_in_one_column(made: tuple[Book, Stored]) -> None:
    """Books that balance are found to, and the columns of the table add up to what was produced."""
    found = line(*made)
    assert wrong(found) == []
    row = Counter(books.columns(found, found.sinks[0]))
    assert row.pop("PRODUCED") == sum(row.values())


@given(sound_books(), st.sampled_from(["produced", "kept", "refused", "delivered", "evicted", "missed", "row"]), st.integers(1, 1000))
def test_no_figure_can_be_changed_unseen(made: tuple[Book, Stored], which: str, by: int) -> None:
    """Whichever figure is raised alone, by however much: it is found (produced: beyond the window; rows: beyond what was kept)."""
    book, stored = made
    outcome = book.sinks["sqlite"]
    if which == "produced":
        more = book.run.window + by
        book = msgspec.structs.replace(book, counts=msgspec.structs.replace(book.counts, produced=book.counts.produced + more))
    elif which == "kept":
        book = msgspec.structs.replace(book, kept=book.kept + by)
    elif which == "refused":
        book = msgspec.structs.replace(book, refused=book.refused + book.run.window + by)
    elif which == "row":
        stored = Stored(outcome.total - outcome.dead + by, stored.first_seq, stored.last_seq)
    else:
        changed = msgspec.structs.replace(outcome, **{which: getattr(outcome, which) + by})
        book = msgspec.structs.replace(book, sinks={"sqlite": changed})
    found: list[Imbalance] = list(imbalances(line(book, stored)))
    assert found
