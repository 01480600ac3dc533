"""Time put right: which readings get another time, which are held back, and that no reading is ever shown with two times."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.reading import Batch, ClockState, Counts
from edgegw.spool import Commit, Handed, Moment, Reader, Spool, file, marks
from edgegw.spool.marks import Mark
from tests.records import a_reading, a_run

DAY_ns = 86_400_000_000_000
BOOT = "b007"
SET = Moment(BOOT, 90_000_000_000, 1_795_228_300_000_000_000)
STATES = st.sampled_from([ClockState.SYNCED, ClockState.UNSYNCED])


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty spool's file."""
    opened = file.connect(tmp_path / "spool.db")
    file.prepare(opened, 1 << 20)
    yield opened
    opened.close()


def a_batch(*states: ClockState) -> Batch:
    """Readings a second apart from 60 s after boot on, as a clock that begins in 1970 stamped them."""
    readings = [msgspec.structs.replace(a_reading(seq, (1.0,)), boot_ns=(60 + seq) * 10**9) for seq in range(len(states))]
    stamped = [
        msgspec.structs.replace(one, clock=state, time_ns=one.boot_ns if state is ClockState.UNSYNCED else one.time_ns)
        for one, state in zip(readings, states, strict=True)
    ]
    return Batch(a_run().id, "lidar", Counts(), tuple(stamped))



def append(db: sqlite3.Connection, records: int) -> int:
    """The newest position, behind so many more records."""
    for _ in range(records):
        db.execute("INSERT INTO record (run, count, total, crc, payload) VALUES ('r', 1, 1, 0, x'00')")
    return int(db.execute("SELECT seq FROM sqlite_sequence").fetchone()[0])


def test_a_mark_dates_everything_that_was_held_back(db: sqlite3.Connection) -> None:
    """Without a mark there is one to come; with it, every unsynced reading of that boot gets boot time + what the mark says."""
    position = append(db, 3)
    assert marks.of_boot(db, BOOT) is None
    marks.write(db, SET)
    mark = marks.of_boot(db, BOOT)
    assert mark == Mark(0, SET.boot_ns, SET.wall_ns)
    dated = marks.dated(a_batch(ClockState.UNSYNCED, ClockState.SYNCED), position, mark)
    assert [(one.clock, one.time_ns) for one in dated.readings] == [
        (ClockState.RESTAMPED, SET.wall_ns - 30 * 10**9),
        (ClockState.SYNCED, a_batch(ClockState.SYNCED, ClockState.SYNCED).readings[1].time_ns),
    ]


def test_what_was_shown_unsynced_stays_so(db: sqlite3.Connection) -> None:
    """Once given up, what lies in the spool may be at a sink with its old time: a late mark dates only what comes after it."""
    marks.give_up(db, BOOT)
    shown = append(db, 5)
    given_up = marks.of_boot(db, BOOT)
    assert given_up is not None
    batch = a_batch(ClockState.UNSYNCED)
    assert marks.dated(batch, shown, given_up) == batch
    marks.write(db, SET)
    late = marks.of_boot(db, BOOT)
    assert late == Mark(shown, SET.boot_ns, SET.wall_ns)
    assert marks.dated(batch, shown, late) == batch
    assert marks.dated(batch, append(db, 1), late).readings[0].clock is ClockState.RESTAMPED


def test_the_first_mark_counts(db: sqlite3.Connection) -> None:
    """A restarted bridge writes its mark again, and gives up again: neither changes what was decided before."""
    marks.write(db, SET)
    append(db, 2)
    marks.write(db, Moment(BOOT, SET.boot_ns + DAY_ns, SET.wall_ns + 5 * DAY_ns))
    marks.give_up(db, BOOT)
    assert marks.of_boot(db, BOOT) == Mark(0, SET.boot_ns, SET.wall_ns)


def test_marks_of_other_boots_go_with_the_last_record(db: sqlite3.Connection) -> None:
    """As long as anything is in the spool it may be theirs."""
    marks.write(db, SET)
    append(db, 1)
    marks.forget(db, "another boot")
    assert marks.of_boot(db, BOOT) is not None
    db.execute("DELETE FROM record")
    marks.forget(db, BOOT)
    assert marks.of_boot(db, BOOT) is not None
    marks.forget(db, "another boot")
    assert marks.of_boot(db, BOOT) is None


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """With two records of this boot, the second without a time, and one of an earlier boot without."""
    opened = Spool(tmp_path / "here" / "spool.db", ["sqlite"])
    ours, theirs = msgspec.structs.replace(a_run(1), boot_id=BOOT), a_run(2)
    for number, (run, state) in enumerate([(theirs, ClockState.UNSYNCED), (ours, ClockState.SYNCED), (ours, ClockState.UNSYNCED)]):
        opened.commit(Commit(handed=[Handed(run, number, msgspec.structs.replace(a_batch(state), run=run.id))]))
    yield opened
    opened.close()


def shown(spool: Spool) -> list[tuple[int, ClockState]]:
    """What a sink would be given: positions, and what is said of their time."""
    with contextlib.closing(Reader(spool.path, BOOT)) as reader:
        records, damaged = reader.after(0, 1000)
    assert damaged == []
    return [(record.position, record.batch.readings[0].clock) for record in records]


def test_a_reader_stops_at_what_may_still_get_its_time(spool: Spool) -> None:
    """And goes on once there is a mark. What an earlier boot left can get none any more, and waits for nothing."""
    assert shown(spool) == [(1, ClockState.UNSYNCED), (2, ClockState.SYNCED)]
    spool.mark(SET)
    assert shown(spool) == [(1, ClockState.UNSYNCED), (2, ClockState.SYNCED), (3, ClockState.RESTAMPED)]


def test_a_clock_that_is_given_up_lets_everything_go(spool: Spool) -> None:
    """As it is; and a late mark changes nothing of what could have been seen."""
    spool.give_up_clock(BOOT)
    before = shown(spool)
    assert before == [(1, ClockState.UNSYNCED), (2, ClockState.SYNCED), (3, ClockState.UNSYNCED)]
    spool.mark(SET)
    assert shown(spool) == before


@given(
    states=st.lists(STATES, min_size=1, max_size=8), position=st.integers(1, 20), shown=st.integers(0, 20), ahead_ns=st.integers(0, 10**18)
)
def test_dating_keeps_order_and_all_else(states: list[ClockState], position: int, shown: int, ahead_ns: int) -> None:
    """Whatever the mark: nothing but time and clock changes, seqs and boot times stay, and asking twice gives the same."""
    batch, mark = a_batch(*states), Mark(shown, 7, 7 + ahead_ns)
    dated = marks.dated(batch, position, mark)
    assert marks.dated(dated, position, mark) == dated
    for before, after in zip(batch.readings, dated.readings, strict=True):
        put_right = before.clock is ClockState.UNSYNCED and position > shown
        assert after.clock is (ClockState.RESTAMPED if put_right else before.clock)
        assert after.time_ns == (before.boot_ns + ahead_ns if put_right else before.time_ns)
        assert msgspec.structs.replace(after, clock=before.clock, time_ns=before.time_ns) == before
    assert marks.timeless(batch) == (ClockState.UNSYNCED in states)
