"""The spool: every promise of its docstrings, one by one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import SpoolError
from edgegw.reading import Counts
from edgegw.spool import Closed, Commit, Outcome, Reach, Reader, Spool, books
from tests.records import a_run
from tests.spooling import ALL, batch, filled, handed, held, letter, older

RUN, OTHER = a_run(1), a_run(2, sensor="imu")
SINKS = ["rabbitmq", "mysql"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path, SINKS)
    yield spool
    spool.close()


@pytest.fixture
def reader(spool: Spool) -> Iterator[Reader]:
    reader = Reader(spool.path)
    yield reader
    reader.close()


def reopened(spool: Spool, *sinks: str, max_bytes: int = 1 << 30) -> Spool:
    spool.close()
    return Spool(spool.path, sinks or SINKS, max_bytes)


def test_a_record_comes_back_as_it_was_given(spool: Spool, reader: Reader) -> None:
    """Run, batch and position are what was committed; positions count up from 1."""
    one, two = batch(RUN, 0, 3), batch(OTHER, 0, 2)
    assert spool.commit(Commit(handed=[handed(RUN, 0, 0, 3), handed(OTHER, 0, 0, 2)])) == 2
    records, damaged = reader.after(0, ALL)
    assert [(r.position, r.run, r.batch, r.replay) for r in records] == [(1, RUN, one, False), (2, OTHER, two, False)]
    assert damaged == []


def test_reading_stops_at_about_the_number_asked_for(spool: Spool, reader: Reader) -> None:
    """At least one record, and no further than the record that reaches the number."""
    filled(spool, RUN, records=5)
    assert [len(reader.after(0, number)[0]) for number in (1, 3, 4, 6, 100)] == [1, 1, 2, 2, 5]
    assert [r.position for r in reader.after(3, ALL)[0]] == [4, 5]


def test_everything_in_a_commit_is_written_together(spool: Spool, reader: Reader) -> None:
    """Records, cursors, letters, closed books, quarantine and trim of one commit are all there after it."""
    filled(spool, RUN, records=4)
    spool.commit(
        Commit(
            handed=[handed(OTHER, 7, 0)],
            cursors={"rabbitmq": 3, "mysql": 1},
            letters=[letter("mysql", RUN, 2)],
            closed=[Closed(RUN, Counts(20, 1, 2))],
            damaged=[("rabbitmq", 2)],
            spans={"mysql": [(3, 3)]},
            delivered={(RUN.id, "rabbitmq"): 6, (RUN.id, "mysql"): 5},
            trim=True,
        )
    )
    assert spool.cursors() == {"rabbitmq": 3, "mysql": 1}
    assert spool.acked(OTHER.id) == 7
    assert [r.position for r in reader.after(0, ALL)[0]] == [3, 4, 5]
    ours, other = reader.books()
    assert (ours.run, ours.kept, ours.counts, ours.closed) == (RUN, 12, Counts(20, 1, 2), True)
    assert ours.sinks["rabbitmq"] == Outcome(waiting=3, delivered=6, damaged=3)
    assert ours.sinks["mysql"] == Outcome(waiting=6, delivered=5, dead=1)
    assert (other.run, other.kept, other.closed) == (OTHER, 3, False)
    assert other.sinks == {"rabbitmq": Outcome(waiting=3), "mysql": Outcome(waiting=3)}
    assert [reader.reach(sink) for sink in SINKS] == [Reach(3), Reach(1, ((3, 3),))]


def test_nothing_of_a_commit_that_fails_is_written(spool: Spool, reader: Reader) -> None:
    """The last step of it fails; the first ones leave no trace, and the next commit is not disturbed."""
    filled(spool, RUN, records=2)
    before = (reader.after(0, ALL), reader.books(), spool.cursors(), spool.newest())
    too_large = Closed(RUN, Counts(produced=1 << 63))
    with pytest.raises(SpoolError, match="too large"):
        spool.commit(
            Commit(
                [handed(RUN, 2, 6)],
                {"mysql": 1, "rabbitmq": 2},
                {"mysql": [(2, 2)]},
                {(RUN.id, "mysql"): 2},
                letters=[letter("mysql", RUN, 1)],
                closed=[too_large],
                damaged=[("rabbitmq", 1)],
                trim=True,
            )
        )
    assert (reader.after(0, ALL), reader.books(), spool.cursors(), spool.newest()) == before
    assert spool.commit(Commit(handed=[handed(RUN, 2, 6)])) == 3


@pytest.mark.parametrize("form", [1, 2])
def test_the_books_of_an_older_format_balance(path: Path, form: int) -> None:
    """What was delivered was not counted then; it is what neither waits nor was lost."""
    older(path, form, RUN, 5, {"rabbitmq": 5, "mysql": 2})
    spool = Spool(path, SINKS)
    reader = Reader(path)
    (book,) = reader.books()
    assert book.sinks == {"rabbitmq": Outcome(delivered=15), "mysql": Outcome(waiting=9, delivered=6)}
    assert [reader.undone(sink) for sink in SINKS] == [0, 9]
    reader.close()
    spool.close()


def test_a_cursor_never_goes_back(spool: Spool) -> None:
    """A smaller position than the one on disk is passed over."""
    filled(spool, RUN, records=3)
    spool.commit(Commit(cursors={"mysql": 2}))
    spool.commit(Commit(cursors={"mysql": 1}))
    assert spool.cursors() == {"rabbitmq": 0, "mysql": 2}


def test_a_sink_that_is_gone_holds_nothing_back_and_a_new_one_begins_at_the_oldest(spool: Spool) -> None:
    """Cursors follow the configuration at every opening."""
    filled(spool, RUN, records=4)
    spool.commit(Commit(cursors={"rabbitmq": 4, "mysql": 2}, trim=True))
    after = reopened(spool, "rabbitmq", "sqlite")
    assert after.cursors() == {"rabbitmq": 4, "sqlite": 0}
    assert [b.first_seq for b in held(after.path, after.cursors()["sqlite"])] == [6, 9]
    last = reopened(after, "rabbitmq")
    last.commit(Commit(trim=True))
    assert held(last.path) == []
    last.close()


def test_only_what_every_sink_has_is_let_go(spool: Spool) -> None:
    """Trimming stops at the slowest cursor, and takes a long backlog in steps."""
    filled(spool, RUN, records=6)
    spool.commit(Commit(cursors={"rabbitmq": 6, "mysql": 2}, trim=True))
    assert [b.first_seq for b in held(spool.path)] == [6, 9, 12, 15]
    spool.commit(Commit(cursors={"mysql": 6}))
    assert len(held(spool.path)) == 4


def test_positions_are_never_used_again(spool: Spool, reader: Reader) -> None:
    """Not after a trim that empties the spool, not after opening it anew, not when the newest record was set aside."""
    filled(spool, RUN, records=3)
    spool.commit(Commit(cursors=dict.fromkeys(SINKS, 3), trim=True))
    assert (reader.newest(), spool.newest()) == (0, 3)
    again = reopened(spool)
    assert again.commit(Commit(handed=[handed(RUN, 3, 9)])) == 4
    again.commit(Commit(damaged=[("mysql", 4)]))
    assert again.commit(Commit(handed=[handed(RUN, 4, 12)])) == 5
    assert [r.position for r in reader.after(3, ALL)[0]] == [5]
    again.close()


def test_what_a_sink_is_not_done_with_is_counted_by_the_books(spool: Spool, reader: Reader) -> None:
    """From empty, with spans ahead of the cursor, after trimming, and with what was given up in the middle."""

    def undone() -> list[int]:
        return [reader.undone(sink) for sink in SINKS]

    assert undone() == [0, 0]
    filled(spool, RUN, records=5)
    assert undone() == [15, 15]
    spool.commit(Commit(cursors={"mysql": 1}, spans={"mysql": [(3, 4)]}, delivered={(RUN.id, "mysql"): 9}))
    assert undone() == [15, 6]
    spool.commit(Commit(cursors=dict.fromkeys(SINKS, 4), delivered={(RUN.id, "mysql"): 3, (RUN.id, "rabbitmq"): 12}, trim=True))
    assert undone() == [3, 3]
    with spool._transaction():
        spool._db.execute("DELETE FROM record WHERE position = 5")
        books.deliver(spool._db, "evicted", {(RUN.id, sink): 3 for sink in SINKS})
    assert undone() == [0, 0]
    spool.commit(Commit(handed=[handed(RUN, 9, 90, 7)]))
    assert undone() == [7, 7]


def test_a_sink_at_the_end_of_the_spool_lags_behind_nothing(spool: Spool, reader: Reader) -> None:
    """Whatever damage there may be in the books: an alarm that cannot end would be ignored."""
    filled(spool, RUN, records=5)
    spool.commit(Commit(cursors=dict.fromkeys(SINKS, 5)))
    assert [reader.undone(sink) for sink in SINKS] == [0, 0]


def test_acked_is_the_highest_number_of_the_run(spool: Spool) -> None:
    """-1 for a run that nobody knows; a late lower number changes nothing; runs do not mix; it survives a reopening."""
    assert spool.acked(RUN.id) == -1
    spool.commit(Commit(handed=[handed(RUN, 5, 0), handed(OTHER, 0, 0)]))
    spool.commit(Commit(handed=[handed(RUN, 4, 3)]))
    after = reopened(spool)
    assert (after.acked(RUN.id), after.acked(OTHER.id)) == (5, 0)
    after.close()


def test_books_keep_the_largest_counts_and_outlive_the_records(spool: Spool, reader: Reader) -> None:
    """Counts of a worker only grow, in whatever order they come; what became of readings adds up."""
    spool.commit(Commit(handed=[handed(RUN, 0, 0, counts=Counts(9, 2, 1))]))
    spool.commit(Commit(handed=[handed(RUN, 1, 3, counts=Counts(8, 3, 0))], letters=[letter("mysql", RUN, 1), letter("rabbitmq", RUN, 1)]))
    spool.commit(Commit(cursors=dict.fromkeys(SINKS, 1), delivered={(RUN.id, sink): 2 for sink in SINKS}))
    spool.commit(Commit(cursors=dict.fromkeys(SINKS, 2), delivered={(RUN.id, sink): 3 for sink in SINKS}, trim=True))
    (book,) = reader.books()
    assert (book.acked, book.kept, book.counts) == (1, 6, Counts(9, 3, 1))
    assert book.sinks == {sink: Outcome(delivered=5, dead=1) for sink in SINKS}


def test_a_sink_that_is_given_all_anew_counts_its_letters_anew(spool: Spool, reader: Reader) -> None:
    """It rejects what it rejected before; the letter lies there already, and the books must balance all the same."""
    filled(spool, RUN, records=1)
    done = Commit(cursors={"mysql": 1}, letters=[letter("mysql", RUN, 1)], delivered={(RUN.id, "mysql"): 2})
    spool.commit(done)
    again = reopened(reopened(spool, "rabbitmq"))
    again.commit(done)
    again.close()
    (book,) = reader.books()
    assert book.sinks["mysql"] == Outcome(delivered=2, dead=1)


def test_a_run_that_handed_nothing_over_has_a_book_once_it_is_closed(spool: Spool, reader: Reader) -> None:
    """Killed before its first batch: what it produced is known all the same."""
    spool.commit(Commit(closed=[Closed(RUN, Counts(produced=12))]))
    (book,) = reader.books()
    assert (book.run, book.acked, book.kept, book.counts, book.closed) == (RUN, -1, 0, Counts(12), True)


def test_old_closed_books_are_forgotten_open_and_needed_ones_never(spool: Spool, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the older half goes; runs still open, with records, with dead or damaged readings stay."""
    monkeypatch.setattr(books, "_KEPT_RUNS", 10)
    runs = [a_run(number) for number in range(12)]
    spool.commit(Commit(handed=[handed(run, 0, 0) for run in runs[:3]]))
    spool.commit(Commit(damaged=[("mysql", 1)], letters=[letter("mysql", runs[1], 0)], cursors={"mysql": 3, "rabbitmq": 2}, trim=True))
    spool.commit(Commit(handed=[handed(runs[3], 0, 0)], cursors=dict.fromkeys(SINKS, 2)))
    spool.commit(Commit(closed=[Closed(run, Counts(3)) for run in runs if run is not runs[4]]))
    assert [book.run for book in reader.books()] == [*runs[:4], *runs[6:]]


def test_a_reader_in_another_thread_sees_whole_commits_in_order(spool: Spool) -> None:
    """While commits and trims go on, it reads every record once, in order, and only whole commits; neither waits for the other."""
    seen: list[int] = []
    done = threading.Event()
    thread = threading.Thread(target=_follow, args=(spool.path, seen, done))
    thread.start()
    try:
        for number in range(150):
            spool.commit(Commit(handed=[handed(RUN, 2 * number, number * 6), handed(RUN, 2 * number + 1, number * 6 + 3)]))
            spool.commit(Commit(cursors=dict.fromkeys(SINKS, seen[-1] if seen else 0), trim=True))
    finally:
        done.set()
        thread.join(60)
    assert seen == list(range(1, 301))


def _follow(path: Path, seen: list[int], done: threading.Event) -> None:
    reader = Reader(path)
    last = False
    while not last:
        last = done.is_set()
        records, damaged = reader.after(seen[-1] if seen else 0, ALL)
        assert not damaged
        assert len(records) % 2 == 0
        seen += [record.position for record in records]
    reader.close()


def test_a_reader_that_stands_still_hinders_nobody(spool: Spool, reader: Reader) -> None:
    """Somebody's open snapshot keeps neither commits nor trims from happening; he goes on seeing what he saw."""
    filled(spool, RUN, records=3)
    snapshot = sqlite3.connect(spool.path, isolation_level=None)
    snapshot.execute("BEGIN")
    assert snapshot.execute("SELECT count(*) FROM record").fetchone() == (3,)
    spool.commit(Commit(handed=[handed(OTHER, 0, 0)], cursors=dict.fromkeys(SINKS, 3), trim=True))
    assert snapshot.execute("SELECT count(*) FROM record").fetchone() == (3,)
    snapshot.close()
    assert [r.position for r in reader.after(0, ALL)[0]] == [4]


def test_a_closed_spool_can_be_read(spool: Spool) -> None:
    """Between two bridges, audit reads a spool that nobody writes."""
    filled(spool, RUN, records=2)
    spool.close()
    spool.close()
    assert [b.first_seq for b in held(spool.path)] == [0, 3]


def test_every_commit_is_synchronous(spool: Spool) -> None:
    """WAL with synchronous=FULL, whatever the build's default is: without it a power cut takes acknowledged readings."""
    assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)
