"""The check of one place: journals, books and rows in, verdict out. What is wrong is counted once, under the fault that explains most."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from edgegw.history.accounting import unaccounted
from edgegw.history.journal import Life
from edgegw.history.observed import Observed
from edgegw.history.rows import Judged, judge
from edgegw.history.verdict import EXAMPLES, Fault, Finding, Verdict

# Causes of a gap in what was kept; all others are of before that.
AFTER: Final = ("waiting", "dead", "damaged", "evicted", "missed", "discarded")


class Books(msgspec.Struct, frozen=True):
    """What the ledger says of one run, for one place."""

    sensor: str
    run: str
    produced: int  # readings that the sensor gave, the filtered ones with them
    filtered: int = 0  # never got a seq
    kept: int = -1  # readings that the spool ever had, and so were acknowledged; -1: not known
    declared: Mapping[str, int] = {}  # cause → readings that are missing at that place: dropped, lost, refused; and those of AFTER
    cut: bool = False  # the counts are not the worker's last word: the sensor may have given more

    @property
    def numbered(self) -> int:
        """Readings that have a seq: 0 to numbered - 1."""
        return self.produced - self.filtered


def check(lives: Sequence[Life], books: Sequence[Books], seen: Observed) -> Verdict:
    """Whether what the sensors gave is at that place, but for what the books declare. All arguments are of the same sensors, metronomes."""
    known = {(book.sensor, book.run): book for book in books}
    judged = judge(lives, seen, {key: (book.numbered, book.filtered) for key, book in known.items()})
    findings = [
        *_unproven(lives, seen.place),
        *judged.findings,
        *(finding for book in books for finding in _gaps(book, judged.seqs.get((book.sensor, book.run), set()), seen.place)),
        *_strangers(judged, known, seen.place),
        *unaccounted(lives, books, judged.homes, seen.place),
    ]
    declared = sum((Counter(book.declared) for book in books), Counter[str]())
    return Verdict((seen.place,), len(seen.rows), tuple(findings), dict(declared))


def _gaps(book: Books, seqs: set[int], place: str) -> Iterator[Finding]:
    """The seqs that are not there against what the books say of them."""
    missing, declared = book.numbered - len(seqs), sum(book.declared.values())
    lost = max(0, book.kept - len(seqs) - sum(book.declared.get(cause, 0) for cause in AFTER))
    rest = missing - lost - declared
    counts = {Fault.LOST: lost + _passed_over(book, seqs, lost), Fault.UNEXPLAINED: rest, Fault.OVERDECLARED: -rest}
    absent = (seq for seq in range(book.numbered) if seq not in seqs)
    examples = tuple([f"seq {seq}" for seq in itertools.islice(absent, EXAMPLES)]) if missing else ()
    for fault, count in counts.items():
        if count > 0:
            yield Finding(fault, place, book.sensor, book.run, count, () if fault is Fault.OVERDECLARED else examples)


def _passed_over(book: Books, seqs: set[int], lost: int) -> int:
    """Readings that are declared lost with their worker and cannot have been, as later ones are there: who dies takes the newest along.

    The worker had given these away, and so was told that they are safe. Where the counts are not its last word, they may be dropped.
    """
    if book.cut:
        return 0
    holes = max(seqs, default=-1) + 1 - len(seqs)
    others = sum(count for cause, count in book.declared.items() if cause != "lost")
    return min(book.declared.get("lost", 0), max(0, holes - others - lost))


def _strangers(judged: Judged, known: Mapping[tuple[str, str], Books], place: str) -> Iterator[Finding]:
    for (sensor, run), seqs in judged.seqs.items():
        if (sensor, run) not in known:
            yield Finding(Fault.UNACCOUNTED, place, sensor, run, len(seqs), ("the books know no such run",))


def _unproven(lives: Iterable[Life], place: str) -> Iterator[Finding]:
    for life in lives:
        if life.damaged:
            yield Finding(Fault.UNPROVEN, place, life.sensor, "", life.damaged, (f"journal {life.life:016x}",))
