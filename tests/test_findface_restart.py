"""What becomes of faces that one process has sent and another is given again: the journal, and what is in doubt without one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegw.bridge.bisect import isolate
from edgegw.errors import Unavailable
from edgegw.sinks.findface.journal import Journal, KEPT_lines, Mark
from edgegw.testing.findface import FakeFindFace, Fault
from tests.findface_bench import API_TOKEN, TOKENS, Bench, expected, leaves, sent
from tests.services.base import until

PATIENCE_s = 60.0
COUNT, LANES = 60, 3
# A process that sends faces, as the bridge does, until it is killed.
CHILD = """
import sys
from pathlib import Path
from edgegw.sinks.findface import FindFaceSink, Server
from tests.findface_bench import API_TOKEN, CAMERAS, leaves
sink = FindFaceSink(Server(url=sys.argv[1], cameras=CAMERAS, token=lambda: API_TOKEN, connections=int(sys.argv[3])), sent=Path(sys.argv[2]))
sink.open()
for first in range(0, int(sys.argv[4]), 10):
    sink.deliver([leaves([n]) for n in range(first, first + 10)])
"""


@pytest.fixture
def fake() -> Iterator[FakeFindFace]:
    with FakeFindFace(TOKENS, api_token=API_TOKEN) as server:
        yield server


@contextlib.contextmanager
def sink(fake: FakeFindFace, file: Path | None, **changes: bool) -> Iterator[Bench]:
    made = Bench(fake, file, **changes)
    with contextlib.closing(made.sink):
        made.sink.open()
        yield made


@pytest.mark.parametrize("look_up", [False, True])
def test_a_killed_process_doubles_no_more_than_it_had_under_way(fake: FakeFindFace, tmp_path: Path, look_up: bool) -> None:
    """SIGKILL in mid-delivery, and everything is given to the next process again: only what had no answer yet can be there twice."""
    file = tmp_path / "sent"
    fake.always, fake.slow_s = Fault.SLOW, 0.02
    child = subprocess.Popen([sys.executable, "-c", CHILD, fake.url, str(file), str(LANES), str(COUNT)], cwd=os.getcwd())
    try:
        until(lambda: len(fake.events) >= COUNT // 2, PATIENCE_s, "half of the faces to be there")
    finally:
        child.kill()
        child.wait()
    until(lambda: fake.idle, PATIENCE_s, "the server to be done with what was under way")
    fake.always = None
    with sink(fake, file, look_up=look_up) as made:
        for first in range(0, COUNT, 10):
            assert isolate([leaves([n], replay=True) for n in range(first, first + 10)], made.sink.deliver) == []
    assert set(sent(fake)) == set(expected(range(COUNT)))
    doubled = len(sent(fake)) - COUNT
    assert doubled <= made.sink.repeated <= (0 if look_up else LANES)
    assert len(made.journal.told) <= LANES


def test_without_a_journal_what_a_process_may_have_sent_is_in_doubt(fake: FakeFindFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reboot: with a look-up nothing is doubled, without one the first faces of the backlog are told as perhaps doubled."""
    monkeypatch.setattr("edgegw.sinks.findface.memory.INHERITED", 3)
    backlog = [leaves([n], replay=True) for n in range(5)]
    with sink(fake, None) as before:
        before.deliver(leaves([0]), leaves([1]))
        assert before.sink.repeated == 0
    with sink(fake, None, look_up=True) as made:
        made.deliver(*backlog)
        assert sorted(sent(fake)) == sorted(expected(range(5)))
    with sink(fake, None) as blind:
        blind.deliver(*backlog[:2])
        blind.deliver(*backlog[2:])
        assert blind.sink.repeated == 3
        assert {fields["why"] for fields in blind.journal.of("face_sent_again_and_may_be_there_twice")} == {"after a restart"}


def test_what_came_after_the_start_is_not_in_doubt(fake: FakeFindFace) -> None:
    """Not even where an outage makes a backlog of it: no other process can have sent it."""
    with sink(fake, None) as made:
        made.deliver(leaves([0]))
        made.deliver(*(leaves([n], replay=True) for n in range(1, 5)))
        assert made.journal.told == []
    assert sorted(sent(fake)) == sorted(expected(range(5)))


def test_what_the_journal_knows(fake: FakeFindFace, tmp_path: Path) -> None:
    """Taken: not sent again. Sent, without an answer: in doubt. Answered with no, or never sent: no doubt at all."""
    fake.faults = [Fault.SLOW, Fault.RESET, Fault.BUSY]
    with sink(fake, tmp_path / "sent") as before:
        before.deliver(leaves([0]))
        for n in (1, 2):
            with pytest.raises(Unavailable):
                before.deliver(leaves([n]))
    with sink(fake, tmp_path / "sent") as after:
        after.deliver(*(leaves([n], replay=True) for n in range(4)))
        assert [fields["track"] for _, fields in after.journal.told] == [1]
    assert sorted(sent(fake)) == sorted(expected(range(4)))
    assert (tmp_path / "sent").stat().st_mode & 0o777 == 0o600
    assert b"boundary" not in (tmp_path / "sent").read_bytes()


def test_a_journal_stays_small_and_keeps_the_newest(tmp_path: Path) -> None:
    """However many faces there were, the file holds the last ones, and no other file is left beside it."""
    journal = Journal(tmp_path / "sent")
    journal.load()
    for n in range(3 * KEPT_lines):
        journal.note(("run", n), Mark.TAKEN)
    journal.close()
    assert len((tmp_path / "sent").read_bytes().splitlines()) <= 2 * KEPT_lines
    assert os.listdir(tmp_path) == ["sent"]
    after = Journal(tmp_path / "sent")
    after.load()
    after.close()
    assert after.known
    assert [after.before(("run", 3 * KEPT_lines - back)) for back in (1, KEPT_lines)] == [Mark.TAKEN, Mark.TAKEN]
    assert after.before(("run", 0)) is None


def test_half_a_journal_is_taken_away(fake: FakeFindFace, tmp_path: Path) -> None:
    """Where it cannot be written the faces go out all the same, and nothing is left that the next process would believe."""
    folder = tmp_path / "gone"
    folder.mkdir()
    with sink(fake, folder / "sent") as made:
        made.deliver(leaves([0]))
        made.sink._journal.close()
        os.rename(folder, tmp_path / "moved")
        made.deliver(leaves([1]))
    assert sorted(sent(fake)) == sorted(expected([0, 1]))
    assert not folder.exists()
    after = Journal(folder / "sent")
    after.load()
    assert not after.known


def test_a_journal_on_a_full_disk_takes_itself_away(tmp_path: Path) -> None:
    """What is on disk by then would be believed by the next process, and does not have the whole of it."""
    journal = Journal(tmp_path / "sent")
    journal.load()
    journal.note(("run", 1), Mark.SENT)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    os.close(full)
    journal.note(("run", 1), Mark.TAKEN)
    journal.note(("run", 2), Mark.SENT)
    journal.close()
    assert os.listdir(tmp_path) == []


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"S run 5\n", b"T run 5\n", b"N run 5\n", b"T r"])).map(b"".join))
def test_any_bytes_are_a_journal(tmp_path: Path, content: bytes) -> None:
    """A damaged one is read as far as it makes sense."""
    (tmp_path / "sent").write_bytes(content)
    journal = Journal(tmp_path / "sent")
    journal.load()
    journal.note(("run", 6), Mark.SENT)
    journal.close()
    again = Journal(tmp_path / "sent")
    again.load()
    again.close()
    assert again.before(("run", 6)) is Mark.SENT
    assert again.before(("run", 5)) is journal.before(("run", 5))
