"""What one turn of the bridge takes in: only what is new, only from who may speak, answered only after the commit."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw import codec
from edgegw.bridge import intake
from edgegw.bridge.intake import Intake
from edgegw.codec import Ack, Again, Held, Hello, Message, Push, Welcome
from edgegw.errors import SpoolError
from edgegw.reading import Batch, Counts, Run, Value
from tests.records import a_reading, a_run

RUN, OTHER = a_run(1), a_run(2, "rear")
VALUES = (1.0, 2, 3.0)
TWO = a_run(3, kinds={"lidar": {"x": "float"}, "imu": {"x": "float"}})


def push(number: int, seqs: Iterable[int], run: Run = RUN, kind: str = "lidar", values: tuple[Value, ...] = VALUES) -> Push:
    readings = tuple(a_reading(seq, values) for seq in seqs)
    return Push(number, Batch(run.id, kind, Counts(produced=readings[-1].seq + 1), readings))


class Bench:
    """An intake over a disk that is a number per run."""

    def __init__(self) -> None:
        self.disk: dict[str, int] = {}
        self.asked: list[str] = []
        self.broken = False
        self.intake = Intake(self._acked)

    def _acked(self, run: str) -> int:
        self.asked.append(run)
        if self.broken:
            raise SpoolError("the disk is gone")
        return self.disk.get(run, -1)

    def hear(self, peer: bytes, *messages: Message) -> list[Message]:
        """The answers given at once."""
        answers = [self.intake.hear(peer, codec.encode(message)) for message in messages]
        return [codec.decode(answer) for answer in answers if answer is not None]

    def kept(self) -> list[tuple[str, str, int, list[int]]]:
        """(run, kind, number, seqs) to be committed."""
        handed = self.intake.handed()
        return [(one.run.id, one.batch.kind, one.number, [reading.seq for reading in one.batch.readings]) for one in handed]

    def answers(self) -> list[tuple[bytes, Message]]:
        """After a commit of all that there is."""
        self.intake.handed()
        return [(peer, codec.decode(answer)) for peer, answer in self.intake.taken()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_hello_is_answered_after_the_commit_with_what_is_on_disk(bench: Bench) -> None:
    """Not before: what the run handed over on its last connection may still be in this turn."""
    bench.disk[RUN.id] = 6
    assert bench.hear(b"a", Hello(RUN)) == []
    assert bench.intake.waiting
    assert bench.kept() == []
    assert bench.answers() == [(b"a", Welcome(RUN.id, 6))]
    assert not bench.intake.waiting


def test_batches_are_joined_and_acknowledged_together(bench: Bench) -> None:
    """All batches of one kind become one record, with the last one's number and counts, and one answer."""
    bench.hear(b"a", Hello(RUN), push(0, [0, 1]), push(1, [2]), push(5, [7, 9]))
    (handed,) = bench.intake.handed()
    assert (handed.run, handed.number, handed.batch.counts) == (RUN, 5, Counts(produced=10))
    assert [reading.seq for reading in handed.batch.readings] == [0, 1, 2, 7, 9]
    assert bench.intake.readings == 5
    assert bench.answers() == [(b"a", Welcome(RUN.id, 5))]
    bench.hear(b"a", push(6, [10]))
    assert bench.kept() == [(RUN.id, "lidar", 6, [10])]
    assert bench.answers() == [(b"a", Ack(RUN.id, 6))]


def test_kinds_and_runs_are_kept_apart(bench: Bench) -> None:
    """A record has one run and one kind; each run is answered once."""
    bench.hear(b"a", Hello(TWO))
    bench.hear(b"b", Hello(OTHER))
    bench.answers()
    bench.hear(b"a", push(0, [0], TWO, "lidar", (1.0,)), push(1, [1], TWO, "imu", (1.0,)), push(2, [2], TWO, "lidar", (1.0,)))
    bench.hear(b"b", push(0, [0], OTHER))
    assert bench.kept() == [(TWO.id, "lidar", 2, [0, 2]), (TWO.id, "imu", 1, [1]), (OTHER.id, "lidar", 0, [0])]
    assert sorted(bench.answers(), key=lambda pair: pair[0]) == [(b"a", Ack(TWO.id, 2)), (b"b", Ack(OTHER.id, 0))]


@pytest.mark.parametrize("committed", [True, False], ids=["on-disk", "in-this-turn"])
def test_a_repetition_is_acknowledged_and_not_kept(bench: Bench, committed: bool) -> None:
    """Its worker missed the answer; the reading is safe already."""
    bench.hear(b"a", Hello(RUN), push(0, [0]), push(1, [1]))
    if committed:
        bench.answers()
    bench.hear(b"a", push(0, [0]), push(1, [1]))
    assert bench.intake.readings == (0 if committed else 2)
    assert [seqs for *_, seqs in bench.kept()] == ([] if committed else [[0, 1]])
    assert bench.answers()[0][1] in (Ack(RUN.id, 1), Welcome(RUN.id, 1))


def test_what_is_not_committed_stays_for_the_next_try(bench: Bench) -> None:
    """handed() may be asked again after a commit that failed; more may come meanwhile; nobody is answered."""
    bench.hear(b"a", Hello(RUN), push(0, [0]))
    first = bench.kept()
    bench.hear(b"a", push(1, [1]))
    assert first == [(RUN.id, "lidar", 0, [0])]
    assert bench.kept() == [(RUN.id, "lidar", 1, [0, 1])]


@pytest.mark.parametrize("peer", [b"a", b"stranger"])
def test_who_has_not_said_hello_is_told_to(bench: Bench, peer: bytes) -> None:
    """A bridge that was restarted knows nobody: no batch is taken from a connection that has not said whose it is."""
    assert bench.hear(peer, push(0, [0])) == [Again()]
    assert not bench.intake.waiting


def test_an_older_connection_is_not_heard_any_more(bench: Bench) -> None:
    """After Hello on a new one, what still arrives on the old one would come out of order."""
    bench.hear(b"old", Hello(RUN), push(0, [0]))
    bench.hear(b"new", Hello(RUN))
    assert bench.hear(b"old", push(1, [1])) == [Again()]
    assert bench.kept() == [(RUN.id, "lidar", 0, [0])]
    assert bench.answers() == [(b"new", Welcome(RUN.id, 0))]
    bench.hear(b"new", push(1, [1]))
    assert bench.kept() == [(RUN.id, "lidar", 1, [1])]


def test_a_batch_of_another_run_is_not_taken_on_this_connection(bench: Bench) -> None:
    """Who speaks for front cannot fill rear's books."""
    bench.hear(b"a", Hello(RUN))
    bench.hear(b"b", Hello(OTHER))
    assert bench.hear(b"a", push(0, [0], OTHER)) == [Again()]
    assert bench.kept() == []


def test_a_connection_that_changes_its_run_mixes_nothing_up(bench: Bench) -> None:
    """What it handed over before still belongs to the run that it was then."""
    bench.hear(b"a", Hello(RUN), push(0, [0]), Hello(OTHER), push(0, [5], OTHER))
    assert [(one.run, [reading.seq for reading in one.batch.readings]) for one in bench.intake.handed()] == [(RUN, [0]), (OTHER, [5])]


@pytest.mark.parametrize(
    "message",
    [
        push(0, [0], kind="nonsense"),
        push(0, [0], values=(1.0,)),
        push(0, [0], values=(*VALUES, 4.0)),
    ],
    ids=["unknown-kind", "value-too-few", "value-too-many"],
)
def test_a_batch_that_does_not_fit_its_run_is_refused_and_counted(bench: Bench, message: Push) -> None:
    """It would break every sink behind; nothing of it is kept, and a later batch that fits is."""
    bench.hear(b"a", Hello(RUN), message)
    assert bench.intake.refused == 1
    assert bench.kept() == []
    bench.hear(b"a", push(1, [1]))
    assert bench.kept() == [(RUN.id, "lidar", 1, [1])]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\xff" * 50, codec.encode(Ack(RUN.id, 1)), codec.encode(Again()), b"\x09" + codec.encode(Hello(RUN))[1:]],
    ids=["empty", "zero", "garbage", "ack", "again", "version"],
)
def test_nonsense_is_counted_and_has_no_effect(bench: Bench, data: bytes) -> None:
    """From a stranger or from a worker, it is not answered, and the worker goes on."""
    bench.hear(b"a", Hello(RUN))
    for peer in (b"a", b"stranger"):
        assert bench.intake.hear(peer, data) is None
    assert bench.intake.refused == 2
    bench.hear(b"a", push(0, [0]))
    assert bench.kept() == [(RUN.id, "lidar", 0, [0])]


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.binary(max_size=64))))
def test_no_bytes_bring_it_down(messages: list[tuple[bytes, bytes]]) -> None:
    """Whatever strangers send, it is refused or ignored."""
    bench = Bench()
    for peer, data in messages:
        bench.intake.hear(peer, data)
    assert bench.kept() == []
    assert bench.answers() == []


def test_a_spool_that_cannot_be_asked_leaves_no_half_a_greeting(bench: Bench) -> None:
    """The error goes to the caller; the worker was not taken in, so that its next Hello begins clean."""
    bench.broken = True
    with pytest.raises(SpoolError):
        bench.hear(b"a", Hello(RUN))
    assert bench.hear(b"a", push(0, [0])) == [Again()]
    assert not bench.intake.waiting
    bench.broken = False
    bench.disk[RUN.id] = 3
    bench.hear(b"b", Hello(RUN))
    assert bench.answers() == [(b"b", Welcome(RUN.id, 3))]


def test_the_disk_is_asked_once_a_run(bench: Bench) -> None:
    """Afterwards the intake knows better: it has taken in what the disk may not have yet."""
    bench.hear(b"a", Hello(RUN), push(0, [0]))
    bench.hear(b"b", Hello(RUN))
    assert bench.asked == [RUN.id]
    assert bench.answers() == [(b"b", Welcome(RUN.id, 0))]


def test_a_run_that_is_forgotten_begins_anew(bench: Bench) -> None:
    """Nothing of it stays in memory; should it speak after all, it is asked who it is, and the disk what it has."""
    bench.hear(b"a", Hello(RUN), push(0, [0]))
    bench.answers()
    bench.disk[RUN.id] = 0
    bench.intake.forget(RUN.id)
    bench.intake.forget("never heard of")
    assert bench.hear(b"a", push(1, [1])) == [Again()]
    bench.hear(b"a", Hello(RUN), push(1, [1]))
    assert bench.kept() == [(RUN.id, "lidar", 1, [1])]


def test_forgetting_a_run_loses_nothing_that_it_handed_over(bench: Bench) -> None:
    """While the spool takes nothing a worker may die: its batches still wait for the commit, and nobody for the answer."""
    bench.hear(b"a", Hello(RUN), push(0, [0]))
    bench.intake.forget(RUN.id)
    assert bench.kept() == [(RUN.id, "lidar", 0, [0])]
    assert bench.answers() == []
    assert not bench.intake.waiting


def test_a_blocked_run_waits_and_takes_nothing_from_the_others(bench: Bench) -> None:
    """It is offered one batch at a time, is not acknowledged, does not use up the turn, and loses nothing when there is room."""
    bench.hear(b"a", Hello(RUN), *(push(number, [number]) for number in range(5)))
    bench.hear(b"b", Hello(OTHER), push(0, [0], OTHER))
    bench.kept()
    answers = bench.intake.taken({RUN.id})
    assert [codec.decode(answer) for _, answer in answers] == [Welcome(RUN.id, -1), Welcome(OTHER.id, 0)]
    assert (bench.intake.readings, bench.intake.waiting, bench.intake.held) == (0, False, {RUN.id})
    assert bench.intake.held_readings() == {RUN.sensor: 5}
    assert [codec.decode(message) for _, message in bench.intake.patience()] == [Held(RUN.id, 4)]
    bench.hear(b"b", push(1, [1], OTHER))
    assert bench.kept() == [(RUN.id, "lidar", 0, [0]), (OTHER.id, "lidar", 1, [1])]
    assert [codec.decode(answer) for _, answer in bench.intake.taken({RUN.id})] == [Ack(OTHER.id, 1)]
    assert bench.kept() == [(RUN.id, "lidar", 0, [0])]
    assert bench.answers() == [(b"a", Ack(RUN.id, 0))]
    assert bench.intake.waiting
    assert bench.kept() == [(RUN.id, "lidar", 4, [1, 2, 3, 4])]
    assert bench.answers() == [(b"a", Ack(RUN.id, 4))]
    assert not bench.intake.held


def test_a_blocked_worker_that_begins_anew_brings_nothing_twice(bench: Bench) -> None:
    """It is told what is on disk, sends the rest again, and of that nothing is taken twice."""
    bench.hear(b"a", Hello(RUN), push(0, [0]), push(1, [1]))
    bench.kept()
    bench.intake.taken({RUN.id})
    bench.hear(b"b", Hello(RUN))
    bench.kept()
    assert [codec.decode(answer) for _, answer in bench.intake.taken({RUN.id})] == [Welcome(RUN.id, -1)]
    bench.hear(b"b", push(0, [0]), push(1, [1]), push(2, [2]))
    assert bench.kept() == [(RUN.id, "lidar", 0, [0])]
    bench.answers()
    assert bench.kept() == [(RUN.id, "lidar", 2, [1, 2])]


def test_what_is_held_for_one_sensor_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies again and again while there is no room: the oldest of the dead give way, counted; the living loses nothing."""
    monkeypatch.setattr(intake, "HELD_batches", 6)
    runs = [a_run(number) for number in range(10, 15)]
    for run in runs:
        bench.hear(run.id.encode(), Hello(run), *(push(number, [number], run) for number in range(3)))
        bench.kept()
        bench.intake.taken({each.id for each in runs})
    assert bench.intake.held == {runs[-2].id, runs[-1].id}
    assert (bench.intake.let_go, bench.intake.held_readings()) == (9, {RUN.sensor: 6})
    assert bench.kept() == [(run.id, "lidar", 0, [0]) for run in runs[-2:]]


def test_a_worker_with_much_in_flight_makes_the_next_commit_urgent(bench: Bench) -> None:
    """And one that says Hello: both would stand still; one that is blocked does not, because a commit would not help it."""
    bench.hear(b"a", Hello(RUN))
    assert bench.intake.urgent
    bench.answers()
    bench.hear(b"a", *(push(number, [number]) for number in range(intake.URGENT_batches - 1)))
    assert not bench.intake.urgent
    bench.hear(b"a", push(100, [100]))
    assert bench.intake.urgent
    bench.kept()
    bench.intake.taken({RUN.id})
    assert not bench.intake.urgent
