"""A spool without room: each sensor by its own policy and its own share, every reading in the books, none at another's cost."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegw.errors import SpoolError
from edgegw.reading import Attachment, Run
from edgegw.spool import Book, Commit, Handed, Policy, Reader, Share, Spool, Turn, file
from tests.records import a_run
from tests.spooling import batch, handed, older

RUNS = {name: a_run(number, sensor=name) for number, name in enumerate(("front", "rear", "imu"))}
FRONT, REAR, IMU = RUNS.values()
QUOTA_bytes = 500_000
POLICIES: tuple[Policy, ...] = ("block", "drop_oldest", "drop_newest")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@contextlib.contextmanager
def opened(path: Path, shares: Mapping[str, Share], max_bytes: int = 1 << 30, outboxes: tuple[str, ...] = ()) -> Iterator[Spool]:
    spool = Spool(path, ["mysql", "rabbitmq", *outboxes], max_bytes, outboxes, shares)
    try:
        yield spool
    finally:
        spool.close()


def books(path: Path) -> dict[str, Book]:
    """By sensor; and for every sink that takes everything each book balances."""
    with contextlib.closing(Reader(path)) as reader:
        found = {book.run.sensor: book for book in reader.books()}
    for book in found.values():
        for sink in ("mysql", "rabbitmq"):
            at = book.sinks[sink]
            assert book.kept == at.waiting + at.delivered + at.dead + at.damaged + at.evicted, (book.run.sensor, sink, book)
    return found


def offered(spool: Spool, run: Run, records: int, each: int = 20, start: int = 0) -> list[Turn]:
    """One batch a commit; what did not get in is not offered again."""
    return [spool.fit(Commit(handed=[handed(run, number, number * each, each)])) for number in range(start, start + records)]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_share_that_is_used_up_concerns_its_sensor_alone(path: Path, policy: Policy) -> None:
    """20 kB for one of two sensors: what it gives up is its own, by its policy, and counted; the other keeps everything."""
    with opened(path, {"front": Share(policy, 20_000)}) as spool:
        for number in range(60):
            both = [handed(FRONT, number, number * 20, 20), handed(REAR, number, number * 20, 20)]
            turn = spool.fit(Commit(handed=both))
            assert set(turn.blocked.values()) | {each.cause for each in turn.given_up} <= {"share"}
            assert REAR.id not in turn.blocked
    found = books(path)
    front, rear = found["front"], found["rear"]
    lacking = front.sinks["mysql"]
    assert (rear.kept, rear.sinks["mysql"].waiting, rear.refused) == (1200, 1200, 0)
    assert 100 < lacking.waiting < 700
    assert (front.kept < 1200, front.refused > 0, lacking.evicted > 0) == {
        "block": (True, False, False),
        "drop_newest": (True, True, False),
        "drop_oldest": (False, False, True),
    }[policy]
    if policy == "drop_newest":
        assert front.kept + front.refused == 1200
    with contextlib.closing(Reader(path)) as reader:
        kept = [record.batch.first_seq for record in reader.after(0, 10_000)[0] if record.run == FRONT]
    assert kept[0 if policy != "drop_oldest" else -1] == (0 if policy != "drop_oldest" else 1180)


def test_one_batch_always_gets_in(path: Path) -> None:
    """A share smaller than a batch would otherwise stop its sensor for ever."""
    with opened(path, {"front": Share("block", 100)}) as spool:
        assert not spool.fit(Commit(handed=[handed(FRONT, 0, 0, 50)])).blocked
        assert spool.fit(Commit(handed=[handed(FRONT, 1, 50, 50)])).blocked == {FRONT.id: "share"}


def test_when_the_quota_is_used_up_each_sensor_goes_by_its_policy(path: Path) -> None:
    """Sinks away: one waits, one gives up its oldest, one its newest; counts add up, and who waits loses nothing."""
    shares = {"front": Share("block"), "rear": Share("drop_oldest"), "imu": Share("drop_newest")}
    numbers = dict.fromkeys(RUNS, 0)
    blocked: Mapping[str, str] = {}
    with opened(path, shares, QUOTA_bytes) as spool:
        for _ in range(200):
            handing = [handed(run, numbers[name], numbers[name] * 40, 40) for name, run in RUNS.items()]
            turn = spool.fit(Commit(handed=handing))
            blocked = turn.blocked
            for name, run in RUNS.items():
                numbers[name] += run.id not in blocked
        assert blocked == {FRONT.id: "quota"}
        assert spool.bytes() <= QUOTA_bytes
    found = books(path)
    assert (found["front"].kept, found["front"].refused, found["front"].sinks["mysql"].evicted) == (numbers["front"] * 40, 0, 0)
    assert (numbers["rear"], numbers["imu"]) == (200, 200)
    assert (found["rear"].kept, found["rear"].sinks["mysql"].waiting > 500) == (8_000, True)
    assert (found["imu"].kept + found["imu"].refused, found["imu"].sinks["mysql"].evicted) == (8_000, 0)
    assert found["rear"].acked == found["imu"].acked == 199  # what was given up needs no further try


def test_those_that_give_up_their_oldest_share_the_burden(path: Path) -> None:
    """Two sensors as fast as each other end with about as much of each, though their records lie mingled on the pages."""
    with opened(path, {"front": Share("drop_oldest"), "rear": Share("drop_oldest")}, QUOTA_bytes) as spool:
        for number in range(150):
            assert not spool.fit(Commit(handed=[handed(FRONT, number, number * 40, 40), handed(REAR, number, number * 40, 40)])).blocked
    found = books(path)
    front, rear = (found[name].sinks["mysql"].waiting for name in ("front", "rear"))
    assert front > 1000
    assert 0.8 < front / rear < 1.25


def test_what_a_sink_has_is_not_counted_as_given_up(path: Path) -> None:
    """By its cursor and its spans, as they are in the very transaction; what is in a sink's hands just now does not go at all."""
    with opened(path, {"front": Share("drop_oldest", 30_000)}) as spool:
        assert not any(turn.given_up for turn in offered(spool, FRONT, 10))
        moved = Commit(
            cursors={"mysql": 3},
            spans={"rabbitmq": [(2, 3)]},
            delivered={(FRONT.id, "mysql"): 60, (FRONT.id, "rabbitmq"): 40},
            in_hand=[(4, 4)],
            handed=[handed(FRONT, 10, 200, 150)],
        )
        turns = [spool.fit(moved)]
        turns += [spool.fit(Commit(in_hand=[(4, 4)], handed=[handed(FRONT, number, number * 20, 20)])) for number in range(18, 60)]
    at = books(path)["front"].sinks
    with contextlib.closing(Reader(path)) as reader:
        left = [record.position for record in reader.after(0, 10_000)[0]]
    assert left[0] == 4
    assert sum(each.readings for turn in turns for each in turn.given_up) == at["rabbitmq"].evicted == at["mysql"].evicted + 20


def test_a_picture_goes_with_its_record_and_is_counted_for_its_outbox(path: Path) -> None:
    """It counts towards the share as well: pictures are most of what a camera's sensor takes."""
    picture = Attachment("image/jpeg", b"\xff" * 9_000)
    with opened(path, {"front": Share("drop_oldest", 30_000)}, outboxes=("box",)) as spool:
        for number in range(10):
            spool.fit(Commit(handed=[Handed(FRONT, number, batch(FRONT, number, 1), {number: picture})]))
        assert spool._db.execute("SELECT bytes FROM run").fetchone()[0] <= 30_000
        assert spool._db.execute("SELECT count(*) FROM attachment").fetchone()[0] == 3
    assert books(path)["front"].sinks["box"].evicted == books(path)["front"].sinks["mysql"].evicted == 7


def test_a_commit_that_has_to_be_whole_writes_nothing_when_one_has_no_room(path: Path) -> None:
    """commit() is all or nothing: an error, and not even the cursor."""
    with opened(path, {"front": Share("block", 100)}) as spool:
        spool.commit(Commit(handed=[handed(FRONT, 0, 0, 50)]))
        with pytest.raises(SpoolError, match="has used up its part"):
            spool.commit(Commit(handed=[handed(REAR, 0, 0), handed(FRONT, 1, 50)], cursors={"mysql": 1}))
        assert (spool.newest(), spool.cursors()["mysql"], spool.acked(REAR.id)) == (1, 0, -1)


def test_all_of_a_run_gets_in_or_nothing(path: Path) -> None:
    """One number acknowledges both kinds, so neither goes alone."""
    run = a_run(7, kinds={"lidar": {"x": "float"}, "imu": {"x": "float"}})
    with opened(path, {"front": Share("block", 4_000)}) as spool:
        spool.fit(Commit(handed=[handed(run, 0, 0, 20)]))
        turn = spool.fit(Commit(handed=[handed(run, 1, 20, 2), handed(run, 2, 22, 200)]))
        assert turn.blocked == {run.id: "share"}
        assert (spool.newest(), spool.acked(run.id)) == (1, 0)


def test_the_oldest_are_found_without_looking_through_the_others(path: Path) -> None:
    """Ten times as many records of another sensor in front cost a commit that gives something up no more work, but for the first."""
    steps = []
    for others in (1_000, 10_000):
        one = path.with_name(f"{others}.db")
        with opened(one, {"front": Share("drop_oldest", 10_000)}) as spool:
            spool.commit(Commit(handed=[handed(REAR, number, number, 1) for number in range(others)]))
            offered(spool, FRONT, 30)
            ticks: list[int] = []
            spool._db.set_progress_handler(functools.partial(ticks.append, 1), 10)
            offered(spool, FRONT, 5, start=30)
            spool._db.set_progress_handler(None, 0)
            steps.append(len(ticks))
    assert steps[1] < 1.5 * steps[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    policies=st.lists(st.sampled_from(POLICIES), min_size=3, max_size=3),
    share=st.sampled_from([0, 15_000]),
    turns=st.lists(st.tuples(st.lists(st.integers(0, 60), min_size=3, max_size=3), st.integers(0, 3), st.booleans()), max_size=40),
)
def test_the_books_balance_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, policies: list[Policy], share: int, turns: list[tuple[list[int], int, bool]]
) -> None:
    """Any load, any policies, sinks that move on or do not, the spool opened anew at any time: kept + refused = offered and not blocked."""
    path = tmp_path_factory.mktemp("spool") / "spool.db"
    shares = {name: Share(policy, share) for name, policy in zip(RUNS, policies, strict=True)}
    done = dict.fromkeys(RUNS, 0)
    numbers = dict.fromkeys(RUNS, 0)
    cursor = 0
    spool = Spool(path, ["mysql", "rabbitmq"], 300_000, (), shares)
    try:
        for counts, moves, anew in turns:
            if anew:
                spool.close()
                spool = Spool(path, ["mysql", "rabbitmq"], 300_000, (), shares)
            handing = {run.id: handed(run, numbers[name], done[name], n) for (name, run), n in zip(RUNS.items(), counts, strict=True) if n}
            cursor = min(cursor + moves, spool.newest())
            turn = spool.fit(Commit(handed=list(handing.values()), cursors={"mysql": cursor}, trim=True))
            for one in handing.values():
                if one.run.id not in turn.blocked:
                    done[one.run.sensor] += len(one.batch.readings)
                    numbers[one.run.sensor] += 1
            measured = dict(spool._db.execute("SELECT run, sum(length(payload)) FROM record GROUP BY run"))
            assert {run: size for run, size in spool._db.execute("SELECT id, bytes FROM run") if size} == measured
            for name, run in RUNS.items():
                book = spool._db.execute("SELECT kept + refused FROM run WHERE id = ?", (run.id,)).fetchone()
                assert (book[0] if book else 0) == done[name]
                assert not share or measured.get(run.id, 0) <= share
    finally:
        spool.close()
    with contextlib.closing(Reader(path)) as reader:
        for book in reader.books():
            behind = book.sinks["rabbitmq"]
            assert book.kept == behind.waiting + behind.evicted  # this sink never had anything


def test_a_spool_of_an_older_format_knows_what_each_run_holds(path: Path) -> None:
    """From the moment it is taken over; one pass over its records, once."""
    older(path, 2, FRONT, 50, {"mysql": 0})
    with opened(path, {}) as spool:
        held = spool._db.execute("SELECT bytes FROM run").fetchone()[0]
        assert held == spool._db.execute("SELECT sum(length(payload)) FROM record").fetchone()[0] > 0
        assert file.form(spool._db) == file.FORMAT
