"""What a spool holds, as plain lists: the model that the real one is held against."""

from __future__ import annotations

import dataclasses

import msgspec

from edgegw.reading import Batch, Counts
from edgegw.spool import Book, Commit
from tests.records import a_run

RUNS = [a_run(number) for number in range(3)]
SINKS = ["mysql", "rabbitmq", "sqlite"]


@dataclasses.dataclass
class Model:
    """What a spool holds."""

    newest: int = 0
    records: dict[int, tuple[int, Batch]] = dataclasses.field(default_factory=dict)  # position → run, batch
    rotten: set[int] = dataclasses.field(default_factory=set)
    cursors: dict[str, int] = dataclasses.field(default_factory=dict)
    letters: set[tuple[str, int, int]] = dataclasses.field(default_factory=set)  # sink, run, seq
    aside: list[tuple[int, int]] = dataclasses.field(default_factory=list)  # run, readings
    books: dict[int, tuple[int, int, Counts, bool]] = dataclasses.field(default_factory=dict)  # run → acked, kept, counts, closed

    def clone(self) -> Model:
        return Model(self.newest, *(type(part)(part) for part in list(vars(self).values())[1:]))

    def commit(self, work: Commit) -> None:
        for sink, position in work.cursors.items():
            if sink in self.cursors:
                self.cursors[sink] = max(self.cursors[sink], position)
        for position in work.damaged:
            run, one = self.records.pop(position)
            self.aside.append((run, len(one.readings)))
        if work.trim:
            low = min(self.cursors.values())
            self.records = {position: record for position, record in self.records.items() if position > low}
        self.letters |= {(each.sink, RUNS.index(each.run), each.reading.seq) for each in work.letters}
        for each in work.handed:
            self.newest += 1
            self.records[self.newest] = (RUNS.index(each.run), each.batch)
            self.note(RUNS.index(each.run), each.number, len(each.batch.readings), each.batch.counts, closed=False)
        for closed in work.closed:
            self.note(RUNS.index(closed.run), -1, 0, closed.counts, closed=True)

    def note(self, run: int, number: int, kept: int, counts: Counts, *, closed: bool) -> None:
        acked, before, old, was_closed = self.books.get(run, (-1, 0, Counts(), False))
        largest = Counts(*map(max, msgspec.structs.astuple(old), msgspec.structs.astuple(counts)))
        self.books[run] = (max(acked, number), before + kept, largest, was_closed or closed)

    def waiting(self, position: int, run: int | None = None) -> int:
        return sum(len(one.readings) for at, (of, one) in self.records.items() if at > position and run in (None, of))

    def as_books(self) -> list[Book]:
        return [
            Book(
                run=RUNS[run],
                acked=acked,
                kept=kept,
                counts=counts,
                closed=closed,
                waiting={sink: left for sink, position in self.cursors.items() if (left := self.waiting(position, run))},
                dead={sink: n for sink in SINKS if (n := sum((s, r) == (sink, run) for s, r, _ in self.letters))},
                damaged=sum(readings for of, readings in self.aside if of == run),
            )
            for run, (acked, kept, counts, closed) in sorted(self.books.items())
        ]
