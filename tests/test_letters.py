"""Dead letters that are given to their sink again, or given up: the books balance before, between and after, whatever comes between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from edgegw.bridge import forwarder
from edgegw.codec import Letters
from edgegw.errors import SinkError, Unavailable
from edgegw.spool import Choice, Commit, Outcome, Reader, Spool, letters
from edgegw.spool.letters import Group
from edgegw.testing import ListSink
from tests.spooling import handed, letter
from tests.test_forwarder_model import POISON, SINKS, Machine
from tests.test_keeper import OTHER, RUN, Bench

BAD = {3, 5, 7, 401}  # three of RUN, one of OTHER


class Desk(Bench):
    """A keeper, and a forwarder that is moved by hand."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.sink = ListSink("one")
        self.sink.poison = set(BAD)
        self.one.sink = self.sink
        self.keeper.commit([handed(RUN, 0, 0, 10), handed(OTHER, 0, 400, 2)])
        self.work()

    def turn(self) -> None:
        with contextlib.closing(Reader(self.path)) as reader:
            self.one._turn(reader)

    def work(self, turns: int = 4) -> None:
        """Turns of the forwarder, each of them committed."""
        for _ in range(turns):
            self.turn()
            assert self.keeper.commit([])

    def ask(self, *, drop: bool = False, sink: str = "", sensor: str = "", run: str = "", code: str = "") -> int:
        count = self.keeper.letters(Letters(drop, sink, sensor, run, code))
        assert count is not None
        return count

    def at(self, run: str = RUN.id) -> Outcome:
        """What became of the run's readings; it balances."""
        book = self.books()[run]
        found = book.sinks["one"]
        assert found.total == book.kept
        return found

    def groups(self) -> list[Group]:
        with contextlib.closing(Reader(self.path)) as reader:
            return reader.letters(Choice())

    def got(self, seq: int) -> int:
        """How often the sink took this one."""
        return sum(reading.seq == seq for record in self.sink.records for reading in record.batch.readings)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(forwarder, "IDLE_s", 0.0)
    made = Desk(tmp_path)
    yield made
    made.close()


def counts(at: Outcome) -> tuple[int, int, int, int]:
    return at.dead, at.waiting, at.delivered, at.discarded


def test_dead_then_waiting_then_delivered(desk: Desk) -> None:
    """Each is given to its sink once, is counted at every step, and is no letter any more."""
    assert counts(desk.at()) == (3, 0, 7, 0)
    desk.sink.poison.clear()
    assert desk.ask(sensor="front") == 3
    assert (counts(desk.at()), desk.keeper.lag(desk.one), desk.ask(sensor="front")) == ((0, 3, 7, 0), 3, 0)
    desk.work()
    assert (counts(desk.at()), desk.keeper.lag(desk.one)) == ((0, 0, 10, 0), 0)
    assert [(of.sensor, of.readings, of.again) for of in desk.groups()] == [("rear", 1, 0)]
    assert [desk.got(seq) for seq in sorted(BAD)] == [1, 1, 1, 0]


def test_rejected_again_is_a_dead_letter_again_once(desk: Desk) -> None:
    """The others of the same delivery get through; the letter has the new reason, and is not tried again by itself."""
    desk.sink.poison = {5}
    desk.ask()
    desk.work()
    assert (counts(desk.at()), counts(desk.at(OTHER.id))) == ((1, 0, 9, 0), (0, 0, 2, 0))
    (left,) = desk.groups()
    assert (left.sensor, left.readings, left.again, left.example) == ("front", 1, 0, "readings [5] are not wanted here")
    tried = desk.sink.attempts.count("deliver")
    desk.work()
    assert desk.sink.attempts.count("deliver") == tried


def test_a_bridge_that_dies_in_the_middle_gives_them_again(desk: Desk) -> None:
    """Delivered and not on disk: they still wait, and are counted as delivered once."""
    desk.sink.poison.clear()
    desk.ask()
    desk.turn()
    assert [desk.got(seq) for seq in sorted(BAD)] == [1, 1, 1, 1]
    assert counts(desk.at()) == (0, 3, 7, 0)
    with contextlib.closing(Reader(desk.path)) as reader:
        desk.one = desk._forwarder("one")
        assert desk.one.report.reach == reader.reach("one")
    desk.one.sink = desk.sink
    desk.keeper.serve([desk.one, desk.two])
    desk.work()
    assert (counts(desk.at()), [desk.got(seq) for seq in sorted(BAD)]) == ((0, 0, 10, 0), [2, 2, 2, 2])


def test_while_the_spool_cannot_write_they_are_not_given_twice(desk: Desk) -> None:
    """The next piece waits until the one before is on disk."""
    desk.sink.poison.clear()
    desk.ask()
    desk.plan.commits_fail = True
    for _ in range(3):
        desk.turn()
        assert not desk.keeper.commit([])
    desk.plan.commits_fail = False
    desk.work()
    assert (counts(desk.at()), desk.got(3)) == ((0, 0, 10, 0), 1)


def test_a_sink_that_is_away_gets_them_when_it_is_back(desk: Desk) -> None:
    """They wait, as its other readings do."""
    desk.ask()
    desk.sink.poison.clear()
    desk.sink.trouble = Unavailable("away")
    with pytest.raises(SinkError):
        desk.turn()
    assert counts(desk.at()) == (0, 3, 7, 0)
    desk.sink.trouble = None
    desk.one._open = False
    desk.work()
    assert counts(desk.at()) == (0, 0, 10, 0)


def test_given_up_on_purpose(desk: Desk) -> None:
    """Counted as discarded, also those that were to be given again; one that is being given just then may be both there and given up."""
    assert desk.ask(run=RUN.id[:20], drop=True, code="poison", sink="one") == 4  # both runs begin so
    assert (counts(desk.at()), counts(desk.at(OTHER.id)), desk.groups()) == ((0, 0, 7, 3), (0, 0, 1, 1), [])
    desk.keeper.commit([handed(RUN, 1, 10, 3)])
    desk.sink.poison = {11, 12}
    desk.work()
    desk.ask()
    desk.sink.poison = {12}
    desk.turn()
    assert desk.ask(drop=True) == 2
    assert desk.keeper.commit([])
    assert (counts(desk.at()), desk.groups(), desk.got(11)) == ((0, 0, 8, 5), [], 1)


def test_what_is_not_chosen_stays(desk: Desk) -> None:
    """By sink, sensor, run and code, together."""
    for wrong in ({"sink": "two"}, {"sensor": "door"}, {"run": OTHER.id, "sensor": "front"}, {"code": "1406"}):
        assert desk.ask(**wrong) == desk.ask(drop=True, **wrong) == 0  # type: ignore[arg-type]  # texts, all of them
    assert desk.ask(run=OTHER.id, code="poison") == 1
    assert [(of.sensor, of.again) for of in desk.groups()] == [("front", 0), ("rear", 1)]


def test_too_many_hold_the_sink_and_drop_nothing(desk: Desk) -> None:
    """It is given nothing more, says what to do, and goes on with all that waited once some are given again or given up."""
    desk.sink.poison = set(range(9, 400))
    desk.one._letters.most = 6
    for number in range(1, 6):
        desk.keeper.commit([handed(RUN, number, number * 10, 10)])
        desk.work(2)
    at = desk.at()
    assert (at.dead, at.waiting) == (13, 40)  # three before, and all of the first delivery that was too much
    assert desk.one.health(0).why.startswith("it has rejected 14 readings, and the spool keeps no more dead letters of one sink")
    attempts = len(desk.sink.attempts)
    desk.work()
    assert (len(desk.sink.attempts), len(desk.rig.log("sink_held"))) == (attempts, 1)
    desk.sink.poison.clear()
    desk.ask()
    desk.work(12)
    assert (counts(desk.at()), desk.one.health(0).why) == ((0, 0, 60, 0), "")
    assert {desk.got(seq) for seq in range(60)} == {1}


def rejected(sink: str) -> Commit:
    """Two of three readings."""
    delivered = {(RUN.id, sink): 1, (RUN.id, "two"): 3}
    return Commit(cursors={sink: 1, "two": 1}, delivered=delivered, letters=[letter(sink, RUN, seq) for seq in (1, 2)], trim=True)


def test_letters_of_a_sink_that_was_away_from_the_configuration(tmp_path: Path) -> None:
    """Its books begin anew when it comes back, so its old letters are in none of them; no count turns negative when they go."""
    path = tmp_path / "spool.db"
    with contextlib.closing(Spool(path, ["one", "two"])) as spool:
        spool.commit(Commit(handed=[handed(RUN, 0, 0)]))
        spool.commit(rejected("one"))
    for sinks in (["two"], ["one", "two"]):
        Spool(path, sinks).close()
    with contextlib.closing(Reader(path)) as reader:
        before = reader.books()[0].sinks["one"]
        assert (before.missed, before.dead, before.total) == (3, 0, 3)
        assert letters.in_file(path, Choice(), drop_them=False) == 2
        assert (reader.books()[0].sinks["one"], len(reader.again("one", 10)[0].batch.readings)) == (before, 2)
        assert letters.in_file(path, Choice(), drop_them=True) == 2
        assert (reader.books()[0].sinks["one"], reader.letters(Choice())) == (before, [])


def test_what_a_sink_of_pictures_rejected_can_only_be_given_up(tmp_path: Path) -> None:
    """The picture was not kept, and without it there is nothing to give."""
    path = tmp_path / "spool.db"
    with contextlib.closing(Spool(path, ["out", "two"], outboxes=["out"])) as spool:
        spool.commit(Commit(handed=[handed(RUN, 0, 0)]))
        spool.commit(rejected("out"))
        assert spool.letters(Choice(), drop=False) == 0
        assert spool.letters(Choice(), drop=True) == 2


class LettersMachine(Machine):
    """The model of the forwarders, and somebody who gives letters again, gives them up, and cures the sinks."""

    @rule(sink=st.sampled_from(["", *SINKS]), sensor=st.sampled_from(["", "front", "rear"]))
    def retry(self, sink: str, sensor: str) -> None:
        """At any moment."""
        self.spool.letters(Choice(sink, sensor), drop=False)

    @rule(sink=st.sampled_from(["", *SINKS]), sensor=st.sampled_from(["", "front", "rear"]))
    def drop(self, sink: str, sensor: str) -> None:
        """Perhaps just when they are being given again."""
        self.undisturbed = False
        self.spool.letters(Choice(sink, sensor), drop=True)

    @rule(sink=st.sampled_from(SINKS), cured=st.booleans())
    def cure(self, sink: str, cured: bool) -> None:
        """From now on it takes everything, or not."""
        self.sinks[sink].poison = set() if cured else set(POISON)


TestLetters = LettersMachine.TestCase
TestLetters.settings = settings(stateful_step_count=40, deadline=None, max_examples=40)
