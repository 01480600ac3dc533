"""Journals against books: what a sensor noted and what its workers counted is the same, but for the tick in hand when a worker died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from edgegw.history.journal import Life
from edgegw.history.verdict import Fault, Finding


class Counted(Protocol):
    """What is asked of the books of a run."""

    @property
    def sensor(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def produced(self) -> int: ...
    @property
    def cut(self) -> bool: ...


def unaccounted(lives: Sequence[Life], books: Sequence[Counted], homes: Mapping[tuple[str, int], str], place: str) -> Iterator[Finding]:
    """For every sensor: readings that it gave and no book counts, or that a book counts and it never gave.

    `homes`: (sensor, life) → run, as far as rows tell. Of the other lives nothing has come out, so they are checked by their
    number: what the books count beyond the lives that are known must be theirs.
    """
    for sensor in sorted({book.sensor for book in books} | {life.sensor for life in lives}):
        of = [book for book in books if book.sensor == sensor]
        yield from _sensor(sensor, [life for life in lives if life.sensor == sensor], of, homes, place)


def _sensor(
    sensor: str, lives: Sequence[Life], books: Sequence[Counted], homes: Mapping[tuple[str, int], str], place: str
) -> Iterator[Finding]:
    noted, openings = Counter[str](), Counter[str]()  # by run; "" for the lives of which nothing is known
    for life in lives:
        run = homes.get((sensor, life.life), "")
        noted[run] += life.ticks
        openings[run] += 1
    rest = 0  # readings that are counted and must be of a life of which nothing is known
    for book in books:
        surplus = noted[book.run] - book.produced
        rest += max(0, -surplus)
        if surplus > openings[book.run] and not book.cut:
            yield _finding(place, sensor, book.run, surplus - openings[book.run], "given and in no book")
    surplus = noted[""] - rest
    if surplus < 0:
        yield _finding(place, sensor, "", -surplus, "counted and never given")
    elif surplus > openings[""] and not any(book.cut for book in books):
        yield _finding(place, sensor, "", surplus - openings[""], "given and in no book")


def _finding(place: str, sensor: str, run: str, count: int, what: str) -> Finding:
    return Finding(Fault.UNACCOUNTED, place, sensor, run, count, (what,))
