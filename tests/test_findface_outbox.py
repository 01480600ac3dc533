"""Faces through a real spool and its forwarder to a fake FindFace: outages, a lost cursor, poison, and what stays in the spool."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.bridge import pace
from edgegw.bridge.forwarder import Forwarder
from edgegw.sinks.findface import FindFaceSink
from edgegw.spool import Commit, Handed, Reach, Spool
from edgegw.testing.findface import FakeFindFace, Fault
from tests.findface_bench import API_TOKEN, TOKENS, expected, leaves, sent, server_of
from tests.rig import Rig
from tests.services.base import until

PATIENCE_s = 60.0
COUNT = 120


class Outbox:
    """A spool with one outbox, and the forwarders that have served it, one after the other."""

    def __init__(self, directory: Path, fake: FakeFindFace) -> None:
        self.rig = Rig()
        self.fake = fake
        self.spool = Spool(directory / "spool.db", ["findface"], outboxes=["findface"])
        self.sent = directory / "findface.sent"
        self.forwarder = self.forward(0)
        self.made = 0

    def forward(self, position: int) -> Forwarder:
        """A new process, as far as the sink can tell: it goes on behind the last cursor that was committed."""
        sink = FindFaceSink(server_of(self.fake), self.rig.process.log, self.rig.clock, self.sent)
        self.forwarder = Forwarder(sink, self.spool.path, Reach(position), self.rig.process.log, self.rig.clock, lambda: 0.5)
        self.forwarder.start()
        return self.forwarder

    def fill(self, count: int) -> None:
        for number in range(self.made, self.made + count):
            record = leaves([number])
            self.spool.commit(Commit(handed=[Handed(record.run, number, record.batch, record.attachments)]))
        self.made += count
        self.forwarder.wake()

    def end(self) -> None:
        self.forwarder.stop_soon()
        assert self.forwarder.ended(PATIENCE_s)

    def repeated(self) -> int:
        return len(self.rig.log("face_sent_again_and_may_be_there_twice"))


@pytest.fixture
def fake() -> Iterator[FakeFindFace]:
    with FakeFindFace(TOKENS, api_token=API_TOKEN) as server:
        yield server


@pytest.fixture
def outbox(tmp_path: Path, fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    monkeypatch.setattr(pace, "pause_s", lambda *_: 0.01)
    made = Outbox(tmp_path, fake)
    try:
        yield made
    finally:
        made.end()
        made.spool.close()
        made.rig.close()


def delivered(fake: FakeFindFace, count: int) -> None:
    until(lambda: len(set(sent(fake))) >= count, PATIENCE_s, f"{count} faces to be there")


def test_all_arrive_across_outages_and_a_lost_cursor(outbox: Outbox, fake: FakeFindFace) -> None:
    """Two outages, answers lost, and a new process that begins at the very beginning: nothing is missing, every duplicate is told."""
    fake.always, fake.slow_s = Fault.SLOW, 0.005
    until(lambda: outbox.forwarder.up, PATIENCE_s, "the first process to find an empty spool")
    outbox.fill(COUNT // 3)
    delivered(fake, 10)
    fake.stop()
    outbox.fill(COUNT // 3)
    fake.faults = [Fault.RESET_AFTER_STORING, Fault.BUSY, Fault.GATEWAY]
    fake.start()
    delivered(fake, COUNT // 2)
    outbox.end()
    outbox.forward(0)
    outbox.fill(COUNT // 3)
    fake.stop()
    fake.start()
    until(lambda: outbox.forwarder.position == COUNT, PATIENCE_s, "the cursor to be at the end")
    assert set(sent(fake)) == set(expected(range(COUNT)))
    assert len(sent(fake)) - COUNT <= outbox.repeated() < COUNT // 4


def test_poison_becomes_a_letter_without_its_picture(outbox: Outbox, fake: FakeFindFace) -> None:
    """A face that FindFace does not find, and one that was purged, are set aside with their reasons; the rest arrives."""
    fake.stop()
    outbox.fill(1)
    with closing(sqlite3.connect(outbox.spool.path)) as db:
        assert db.execute("SELECT count(*) FROM attachment WHERE length(data) > 0").fetchone() == (1,)
    outbox.spool.purge()
    outbox.fill(8)
    fake.faults = [Fault.NO_FACE]
    fake.start()
    until(lambda: outbox.forwarder.position == 9, PATIENCE_s, "the cursor to be at the end")
    letters = [letter for step in outbox.forwarder.report.steps for letter in step.letters]
    assert sorted(letter.code for letter in letters) == ["NO_FACE", "purged"]
    assert len(sent(fake)) == len(set(sent(fake))) == 7
    assert "boundary" not in repr(letters)


def test_what_was_taken_leaves_the_spool(outbox: Outbox, fake: FakeFindFace) -> None:
    """With the cursor committed, no picture is left in any of the spool's pages."""
    outbox.fill(5)
    until(lambda: outbox.forwarder.position == 5, PATIENCE_s, "the cursor to be at the end")
    outbox.spool.commit(Commit(cursors={"findface": 5}, trim=True))
    with closing(sqlite3.connect(outbox.spool.path)) as db:
        assert db.execute("SELECT count(*) FROM attachment").fetchone() == (0,)
