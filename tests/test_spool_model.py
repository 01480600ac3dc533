"""The spool against a model of plain lists: whatever is done and however it dies, it holds what a prefix of its commits had put in.

A crash is a copy of database and WAL as they stand, without the shared memory, opened elsewhere: what kill -9 leaves. A power
cut may also leave a torn WAL: any byte of it cut off that was not yet on disk when the commit in flight began. What is asked then:
every commit that had returned is there, and of the one in flight all or nothing. Cut deeper, the spool is what some earlier
commit had left, down to the last checkpoint (the pages that one moved are in the database and cannot be taken back).
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgegw.reading import Counts, Record
from edgegw.spool import Book, Closed, Commit, Handed, Outcome, Reach, Reader, Spool
from edgegw.spool.file import PAGE_bytes
from tests.spool_model import RUNS, SINKS, Model
from tests.spooling import batch

WAL_HEAD_bytes, FRAME_HEAD_bytes = 32, 24
STEP_bytes = 1031  # prime, so that the cuts fall anywhere in a page
FAST = Path("/dev/shm")  # a page cache is enough: what is synced when is seen by strace, in test_spool_crash

counts = st.builds(Counts, st.integers(0, 99), st.integers(0, 9), st.integers(0, 9))


class SpoolMachine(RuleBasedStateMachine):
    """One spool; its lives end in closing, in a crash, or in a power cut."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="edgegw-model-", dir=FAST if FAST.is_dir() else None))
        self.sinks = SINKS[:2]
        self.model = Model(reaches=dict.fromkeys(self.sinks, Reach()))
        self.lives = 0
        self.spool: Spool | None = None
        self.reader: Reader | None = None
        self.states: list[tuple[int, Model]] = []  # end in the WAL, state; the first one is safe in the database
        self.base = b""

    @initialize()
    def begin(self) -> None:
        self.open(self.root / "0" / "spool.db")

    @rule(data=st.data(), trim=st.booleans())
    def commit(self, data: st.DataObject, trim: bool) -> None:
        """One transaction of everything there is; often of nothing but readings."""
        model, draw = self.model, data.draw
        work = msgspec.structs.replace(
            self.a_step(data),
            handed=[self.a_batch(data) for _ in range(draw(st.integers(0, 3)))],
            closed=[Closed(RUNS[run], draw(counts)) for run in draw(st.lists(st.integers(0, 2), max_size=1))],
            trim=trim,
        )
        model.commit(work)
        model.rotten &= model.records.keys()
        assert self.writer.commit(work) == model.newest
        self.note_state()

    @precondition(lambda self: self.model.records)
    @rule(data=st.data())
    def rot(self, data: st.DataObject) -> None:
        """A bit of a payload flips."""
        position = data.draw(st.sampled_from(sorted(self.model.records)))
        if position in self.model.rotten:
            return
        self.beside("UPDATE record SET payload = substr(payload, 1, 5) || x'ff' || substr(payload, 7) WHERE position = ?", position)
        self.model.rotten.add(position)
        self.note_state()

    @rule(data=st.data(), readings=st.integers(1, 40))
    def read(self, data: st.DataObject, readings: int) -> None:
        """Behind any position, the model's records, as many as asked for."""
        position = data.draw(st.integers(0, self.model.newest + 1))
        records, damaged = self.reads.after(position, readings)
        expected = [at for at in sorted(self.model.records) if at > position]
        fresh = [at for at in damaged if at not in self.model.aside]
        read = sorted([r.position for r in records] + fresh)
        assert read == expected[: len(read)]
        assert self.is_enough(records, fresh, readings) or read == expected
        assert {r.position: (RUNS.index(r.run), r.batch) for r in records}.items() <= self.model.records.items()
        assert set(fresh) == self.model.rotten & set(read)
        end = None if read == expected else read[-1]
        assert set(damaged) - set(fresh) == {at for at in self.model.aside if at > position and (end is None or at <= end)}

    @rule(mode=st.sampled_from(["PASSIVE", "FULL", "RESTART", "TRUNCATE"]))
    def checkpoint(self, mode: str) -> None:
        """What SQLite does by itself when the WAL has grown."""
        self.beside(f"PRAGMA wal_checkpoint({mode})")
        self.note_state()

    @rule(sinks=st.sets(st.sampled_from(SINKS), min_size=1))
    def reopen(self, sinks: set[str]) -> None:
        """A clean restart, perhaps with other sinks."""
        self.close()
        self.sinks = sorted(sinks)
        self.model.serve(self.sinks)
        self.open(self.root / str(self.lives) / "spool.db")

    @rule()
    def crash(self) -> None:
        """Kill -9: nothing that was committed is missing."""
        database, wal = self.files()
        self.come_back(database, wal)

    @rule(data=st.data())
    def power_cut(self, data: st.DataObject) -> None:
        """The WAL ends at any byte behind the last checkpoint: the longest prefix of commits that is whole in it is what there is."""
        database, wal = self.files()
        cut = data.draw(st.sampled_from([*range(self.states[0][0], len(wal), STEP_bytes), len(wal)]))
        self.model = [model for end, model in self.states if end <= cut][-1].clone()
        self.come_back(database, wal[:cut])

    @rule(data=st.data())
    def power_cut_in_checkpoint(self, data: st.DataObject) -> None:
        """Any of the pages that it was writing to the database are there, the WAL is whole: nothing is missing."""
        before, wal = self.files()
        self.beside("PRAGMA wal_checkpoint(PASSIVE)")
        after, _ = self.files()
        pages = range(0, max(len(before), len(after)), PAGE_bytes)
        written = data.draw(st.sets(st.sampled_from(pages))) if pages else set()
        halves = (after if at in written or at >= len(before) else before for at in pages)
        self.come_back(b"".join(half[at : at + PAGE_bytes] for at, half in zip(pages, halves, strict=True)), wal)

    @invariant()
    def agrees(self) -> None:
        """Everything that can be asked has the model's answer."""
        model = self.model
        assert {sink: self.reads.reach(sink) for sink in self.writer.cursors()} == model.reaches
        assert self.writer.newest() == model.newest
        assert [self.writer.acked(run.id) for run in RUNS] == [model.books.get(number, (-1,))[0] for number in range(3)]
        assert self.reads.newest() == max(model.records, default=0)
        books = self.reads.books()
        assert [_told(book) for book in books] == [_told(book) for book in model.as_books()]
        assert [(book.run.id, sink) for book in books for sink in model.reaches if book.kept != _total(book, sink)] == []
        assert [self.reads.undone(sink) for sink in model.reaches] == [model.waiting(sink) for sink in model.reaches]

    def teardown(self) -> None:
        if self.spool:
            self.close()
        shutil.rmtree(self.root)

    @property
    def writer(self) -> Spool:
        assert self.spool
        return self.spool

    @property
    def reads(self) -> Reader:
        assert self.reader
        return self.reader

    def a_step(self, data: st.DataObject) -> Commit:
        """One sink's next piece: behind its cursor, or ahead of it and perhaps up to the next span. Or nothing."""
        model, draw = self.model, data.draw
        sink = draw(st.sampled_from(self.sinks))
        reach = model.reaches[sink]
        first = draw(st.sampled_from([reach.cursor + 1, reach.end + 1, reach.end + 2]))
        last = model.newest
        if first <= reach.end:
            last = reach.ahead[0][0] - 1
        if first > last or draw(st.booleans()):
            return Commit()
        span = (first, draw(st.integers(first, last)))
        return model.step(sink, span, draw(st.sets(st.integers(*span), max_size=1)))

    def a_batch(self, data: st.DataObject) -> Handed:
        run = data.draw(st.integers(0, 2))
        size = data.draw(st.sampled_from([1, 2, 3, 300]))  # the last one fills pages of its own
        one = batch(RUNS[run], data.draw(st.integers(0, 9)), size, data.draw(counts), text="é" * data.draw(st.integers(0, 9)))
        return Handed(RUNS[run], data.draw(st.integers(0, 99)), one)

    @staticmethod
    def is_enough(records: list[Record], damaged: list[int], readings: int) -> bool:
        got = sum(len(r.batch.readings) for r in records) + len(damaged)
        last = len(records[-1].batch.readings) if records and (not damaged or records[-1].position > damaged[-1]) else 1
        return got >= readings > got - last

    def open(self, path: Path) -> None:
        self.spool = Spool(path, self.sinks)
        assert self.spool.set_aside is None
        self.reader = Reader(path)
        self.states, self.base = [], b""
        self.note_state()

    def close(self) -> None:
        self.reads.close()
        self.writer.close()

    def come_back(self, database: bytes, wal: bytes) -> None:
        """A new life from these files."""
        self.close()
        self.lives += 1
        path = self.root / str(self.lives) / "spool.db"
        path.parent.mkdir()
        path.write_bytes(database)
        path.with_name("spool.db-wal").write_bytes(wal)
        self.open(path)

    def files(self) -> tuple[bytes, bytes]:
        path = self.writer.path
        wal = path.with_name("spool.db-wal")
        return path.read_bytes(), wal.read_bytes() if wal.exists() else b""

    def beside(self, statement: str, *values: int) -> None:
        """Done by another connection."""
        db = sqlite3.connect(self.writer.path, isolation_level=None)
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute(statement, values).fetchall()
        db.close()

    def note_state(self) -> None:
        """Where in the WAL this state ends; a checkpoint or a new generation of the WAL makes it the first one."""
        database, wal = self.files()
        end = _end(wal)
        if database != self.base or not self.states:
            self.states = []
        elif end < self.states[-1][0]:  # begun anew: all of the states before are in the database
            self.states = [(0, self.states[-1][1])]
        self.base = database
        self.states.append((end, self.model.clone()))


def _told(book: Book) -> tuple[object, ...]:
    """All of it that can differ, short enough to be read."""
    return (book.run.id[-1], book.acked, book.kept, book.counts, book.closed, sorted(book.sinks.items()))


def _total(book: Book, sink: str) -> int:
    return book.sinks.get(sink, Outcome()).total


def _end(wal: bytes) -> int:
    """Behind the last frame that ends a commit of the WAL's present generation (its salts are those of the header)."""
    salts, end, size = wal[16:24], 0, FRAME_HEAD_bytes + PAGE_bytes
    for at in range(WAL_HEAD_bytes, len(wal) - size + 1, size):
        if wal[at + 8 : at + 16] != salts:
            break
        if any(wal[at + 4 : at + 8]):  # pages of the database after the commit; 0 inside of one
            end = at + size
    return end


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(stateful_step_count=50, deadline=None)
