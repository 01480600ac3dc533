"""What a spool holds, as plain lists: the model that the real one is held against."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence

import msgspec

from edgegw.reading import Batch, Counts
from edgegw.spool import Book, Commit, Outcome, Reach, Span
from tests.records import a_run
from tests.spooling import letter

RUNS = [a_run(number) for number in range(3)]
SINKS = ["mysql", "rabbitmq", "sqlite"]


@dataclasses.dataclass
class Model:
    """What a spool holds."""

    newest: int = 0
    records: dict[int, tuple[int, Batch]] = dataclasses.field(default_factory=dict)  # position → run, batch
    rotten: set[int] = dataclasses.field(default_factory=set)
    aside: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)  # position → run, readings
    reaches: dict[str, Reach] = dataclasses.field(default_factory=dict)
    outcomes: dict[tuple[int, str], Outcome] = dataclasses.field(default_factory=dict)  # (run, sink), without what waits
    books: dict[int, tuple[int, int, Counts, bool]] = dataclasses.field(default_factory=dict)  # run → acked, kept, counts, closed

    def clone(self) -> Model:
        return Model(self.newest, *(type(part)(part) for part in list(vars(self).values())[1:]))

    def serve(self, sinks: Sequence[str]) -> None:
        for sink in set(sinks) - self.reaches.keys():
            self.outcomes = {key: outcome for key, outcome in self.outcomes.items() if key[1] != sink}
            for run, (_, kept, _, _) in self.books.items():
                self._add(run, sink, "missed", kept - sum(readings for of, readings in self._present().values() if of == run))
        self.reaches = {sink: self.reaches.get(sink, Reach()) for sink in sinks}

    def step(self, sink: str, span: Span, poison: Collection[int] = ()) -> Commit:
        """What is to be committed when `sink` has gone over these positions; it rejects the first reading of those in `poison`."""
        delivered: dict[tuple[str, str], int] = {}
        letters, damaged = [], []
        for position in range(span[0], span[1] + 1):
            if position in self.aside or position in self.rotten & self.records.keys():
                damaged.append((sink, position))
            elif position in self.records:
                run, batch = self.records[position]
                dead = position in poison
                letters += [letter(sink, RUNS[run], batch.first_seq)] if dead else []
                delivered[RUNS[run].id, sink] = delivered.get((RUNS[run].id, sink), 0) + len(batch.readings) - dead
        reach = self.reaches[sink].with_(span)
        return Commit(cursors={sink: reach.cursor}, spans={sink: reach.ahead}, delivered=delivered, letters=letters, damaged=damaged)

    def commit(self, work: Commit) -> None:
        for sink, position in work.cursors.items():
            self.reaches[sink] = Reach(position, tuple(work.spans[sink]))
        for (run, sink), count in work.delivered.items():
            self._add(_number(run), sink, "delivered", count)
        for each in work.letters:
            self._add(RUNS.index(each.run), each.sink, "dead", 1)
        for sink, position in work.damaged:
            if position in self.records:
                number, one = self.records.pop(position)
                self.aside[position] = (number, len(one.readings))
            self._add(self.aside[position][0], sink, "damaged", self.aside[position][1])
        if work.trim:
            low = min(reach.cursor for reach in self.reaches.values())
            self.records = {position: record for position, record in self.records.items() if position > low}
        runs = list(dict.fromkeys(handed.run.id for handed in work.handed))
        for handed in sorted(work.handed, key=lambda handed: runs.index(handed.run.id)):  # a run gets in as a whole
            self.newest += 1
            self.records[self.newest] = (RUNS.index(handed.run), handed.batch)
            self.note(RUNS.index(handed.run), handed.number, len(handed.batch.readings), handed.batch.counts, closed=False)
        for closed in work.closed:
            self.note(RUNS.index(closed.run), -1, 0, closed.counts, closed=True)

    def note(self, run: int, number: int, kept: int, counts: Counts, *, closed: bool) -> None:
        acked, before, old, was_closed = self.books.get(run, (-1, 0, Counts(), False))
        largest = Counts(*map(max, msgspec.structs.astuple(old), msgspec.structs.astuple(counts)))
        self.books[run] = (max(acked, number), before + kept, largest, was_closed or closed)

    def waiting(self, sink: str, run: int | None = None) -> int:
        reach = self.reaches.get(sink)
        if reach is None:
            return 0
        return sum(readings for at, (of, readings) in self._present().items() if run in (None, of) and not _done(reach, at))

    def as_books(self) -> list[Book]:
        return [
            Book(
                run=RUNS[run],
                acked=acked,
                kept=kept,
                counts=counts,
                refused=0,
                closed=closed,
                cut=False,
                sinks=dict(self._sinks(run)),
            )
            for run, (acked, kept, counts, closed) in sorted(self.books.items())
        ]

    def _sinks(self, run: int) -> Iterator[tuple[str, Outcome]]:
        for sink in SINKS:
            outcome = msgspec.structs.replace(self.outcomes.get((run, sink), Outcome()), waiting=self.waiting(sink, run))
            if outcome != Outcome():
                yield sink, outcome

    def _present(self) -> dict[int, tuple[int, int]]:
        return self.aside | {position: (run, len(one.readings)) for position, (run, one) in self.records.items()}

    def _add(self, run: int, sink: str, what: str, count: int) -> None:
        before = self.outcomes.get((run, sink), Outcome())
        self.outcomes[run, sink] = msgspec.structs.replace(before, **{what: getattr(before, what) + count})


def _number(run: str) -> int:
    return next(number for number, one in enumerate(RUNS) if one.id == run)


def _done(reach: Reach, position: int) -> bool:
    return position <= reach.cursor or any(first <= position <= last for first, last in reach.ahead)
