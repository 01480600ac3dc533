"""Histories for the tests of the checker: what some sensors gave has all arrived; then something is done to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from edgegw.history import Books, Fault, Life, Observed, Row, check
from edgegw.history.expected import content

SENSOR, RUN = "m0", "run-0"
WHERE = "mysql"


def row(seq: int, life: int, tick: int, run: str = RUN, sensor: str = SENSOR) -> Row:
    """As it must arrive."""
    return Row(sensor, run, seq, life, tick, *content(life, tick))


def altered(old: Row, field: str, value: object) -> Row:
    """With another value in that field."""
    fields: Any = {**old._asdict(), field: value}
    return Row(**fields)


class History:
    """Runs of one sensor, each with some lives of so many ticks, all of which have arrived; then things are done to it."""

    def __init__(self, *runs: list[int]) -> None:
        self.lives: list[Life] = []
        self.books: list[Books] = []
        self.rows: list[Row] = []
        for number, ticks_of in enumerate(runs):
            run = f"run-{number}"
            for ticks in ticks_of:
                life = 1000 + len(self.lives)
                first = sum(one.run == run for one in self.rows)
                self.lives.append(Life(SENSOR, life, ticks))
                self.rows += [row(first + tick, life, tick, run) for tick in range(ticks)]
            self.books.append(Books(SENSOR, run, sum(ticks_of), kept=sum(ticks_of)))

    def verdict(self, *, repeats: bool = False) -> Counter[Fault]:
        """Fault → how many."""
        verdict = check(self.lives, self.books, Observed(WHERE, tuple(self.rows), repeats))
        assert verdict.ok == (not verdict.findings)
        assert len(verdict.report().splitlines()) == 2 + len(verdict.findings)
        return Counter({fault: verdict.count(fault) for fault in Fault if verdict.count(fault)})

    def take(self, seq: int, run: str = RUN) -> Row:
        """Let it vanish."""
        (found,) = [one for one in self.rows if (one.run, one.seq) == (run, seq)]
        self.rows.remove(found)
        return found

    def book(self, run: str = RUN, **changed: Any) -> None:
        """Let the books say something else of that run."""
        self.books = [msgspec.structs.replace(book, **changed) if book.run == run else book for book in self.books]

    def book_of(self, run: str) -> Books:
        """What they say now."""
        (book,) = [book for book in self.books if book.run == run]
        return book

    def declare(self, cause: str, count: int, run: str = RUN) -> None:
        """More of that cause; what never came as far as the spool was not kept."""
        book = self.book_of(run)
        after = cause in ("waiting", "dead", "damaged", "evicted")
        self.book(run, declared=dict(Counter(book.declared) + Counter({cause: count})), kept=book.kept - (0 if after else count))
