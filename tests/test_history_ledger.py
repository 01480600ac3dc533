"""The spool's books as the checker takes them: a loss is declared only as far as somebody can have had it."""

from __future__ import annotations

import msgspec
import pytest

from edgegw.history import Books, from_books
from edgegw.reading import Counts, Run
from edgegw.spool import Book, Outcome

RUN = Run("gw", "m0", "metronome", "run-0", "boot", 1, {}, window=20)
AT = Outcome(waiting=1, delivered=60, dead=2, damaged=3, evicted=4, missed=5, discarded=6)
BOOK = Book(RUN, 9, 75, Counts(100, 6, 7), refused=2, closed=True, cut=False, sinks={"mysql": AT}, held=-1)
AFTER = {"waiting": 1, "dead": 2, "damaged": 3, "evicted": 4, "missed": 5, "discarded": 6}


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        ({}, 10),
        ({"held": 10}, 10),
        ({"held": 0}, 0),
        ({"held": 3}, 3),
        ({"kept": 85}, 0),
        ({"kept": 86}, 0),
        ({"kept": 50}, 20),
    ],
    ids=["killed", "left with it", "left in order", "left with less", "nothing", "kept twice", "beyond its window"],
)
def test_a_loss_is_somebodys(changed: dict[str, int], lost: int) -> None:
    """Of a killed worker at most its window, of one that left in order what it said it held; the rest stays unexplained."""
    (books,) = from_books([msgspec.structs.replace(BOOK, **changed)], "mysql", {"m0"})
    kept = changed.get("kept", 75)
    assert books == Books("m0", "run-0", 100, 6, kept, {"dropped": 7, "refused": 2, "lost": lost, **AFTER}, cut=False)


def test_other_sensors_and_sinks_are_left_out() -> None:
    """Books of sensors that are no metronomes prove nothing; a sink of which nothing is said has nothing after the spool."""
    assert from_books([BOOK], "mysql", {"m1"}) == []
    (books,) = from_books([BOOK], "rabbitmq", {"m0"})
    assert {cause: count for cause, count in books.declared.items() if count} == {"dropped": 7, "refused": 2, "lost": 10}
