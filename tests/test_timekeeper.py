"""The bridge's eye on the wall clock: one mark a boot, one giving up, and a word about each jump."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgegw.bridge.timekeeper import Timekeeper
from edgegw.clock import NS_PER_S
from edgegw.errors import SpoolError
from edgegw.reading import ClockState
from edgegw.spool import Moment
from tests.rig import Rig

WAIT_ns = 120 * NS_PER_S
DAY_ns = 86_400 * NS_PER_S


class Notes:
    """A spool that notes what it is told; `broken` makes it fail."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.broken = False

    def mark(self, moment: Moment) -> None:
        self._note(f"mark {moment.wall_ns - moment.boot_ns}")

    def give_up_clock(self, boot_id: str) -> None:
        self._note(f"give up {boot_id}")

    def _note(self, what: str) -> None:
        if self.broken:
            raise SpoolError("no room")
        self.told.append(what)


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A clock that is not set, just after boot."""
    made = Rig()
    made.clock.synced = ClockState.UNSYNCED
    yield made
    made.close()


def keeper(rig: Rig) -> Timekeeper:
    """As the bridge makes it."""
    return Timekeeper(rig.clock, "boot", WAIT_ns, rig.process.log)


def test_a_clock_that_is_set_is_marked_once(rig: Rig) -> None:
    """Nothing is written before it is set, and nothing after the mark."""
    notes, timekeeper = Notes(), keeper(rig)
    timekeeper.look(notes)
    rig.clock.synced = ClockState.SYNCED
    for _ in range(3):
        rig.clock.now_ns += NS_PER_S
        timekeeper.look(notes)
    assert notes.told == [f"mark {rig.clock.epoch_ns}"]
    assert len(rig.log("clock_set")) == 1


def test_a_clock_that_nobody_sets_is_given_up(rig: Rig) -> None:
    """Two minutes after the machine's start, once; and when it is set after all, that is marked."""
    notes, timekeeper = Notes(), keeper(rig)
    for _ in range(3):
        timekeeper.look(notes)
        rig.clock.now_ns += 70 * NS_PER_S
    timekeeper.look(notes)
    assert notes.told == ["give up boot"]
    rig.clock.synced = ClockState.SYNCED
    timekeeper.look(notes)
    assert [word.split()[0] for word in notes.told] == ["give", "mark"]


def test_a_machine_that_is_long_up_waits_for_nobody(rig: Rig) -> None:
    """On a box without a time server readings are held back after boot only, not whenever the gateway starts."""
    notes = Notes()
    rig.clock.now_ns = WAIT_ns
    keeper(rig).look(notes)
    assert notes.told == ["give up boot"]


def test_what_could_not_be_written_is_tried_again(rig: Rig) -> None:
    """A mark that never reached the disk is none."""
    notes, timekeeper = Notes(), keeper(rig)
    notes.broken, rig.clock.synced = True, ClockState.SYNCED
    with pytest.raises(SpoolError):
        timekeeper.look(notes)
    notes.broken = False
    timekeeper.look(notes)
    assert len(notes.told) == 1


@pytest.mark.parametrize("by_ns", [DAY_ns, -DAY_ns, 2 * NS_PER_S])
def test_a_jump_is_told_once(rig: Rig, by_ns: int) -> None:
    """By how much, and not again for the same one; what time servers slew is no jump."""
    notes, timekeeper = Notes(), keeper(rig)
    timekeeper.look(notes)
    rig.clock.epoch_ns += NS_PER_S // 1000
    timekeeper.look(notes)
    assert rig.log("clock_jumped") == []
    rig.clock.epoch_ns += by_ns
    timekeeper.look(notes)
    timekeeper.look(notes)
    assert [entry["by_s"] for entry in rig.log("clock_jumped")] == [round(by_ns / NS_PER_S, 1)]
