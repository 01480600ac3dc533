"""Counts that outlive their process: readable after SIGKILL, given out once, and only when the worker is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.codec import encode_run
from edgegw.reading import Counts
from edgegw.tally import Tally, counts, ended
from tests.records import a_run
from tests.services.base import end, until

ROOT = Path(__file__).parents[1]
RUN = a_run(1)

# Sets the three counts to one number, over and over; says that it has begun.
COUNT = """
import itertools, os, sys
from pathlib import Path
from edgegw.tally import Tally
from tests.records import a_run
tally = Tally(Path(sys.argv[1]), a_run(1))
for number in itertools.count(1):
    step = number << 31
    tally.set(step, step, step)
    if number == 1:
        os.write(1, b"counting\\n")
"""

# Closes the book of every tally that has ended, until stdin ends; says the id of each run whose book it closed.
CLOSE = """
import select, sys
from pathlib import Path
from edgegw.tally import ended
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for one in ended(Path(sys.argv[1])):
        with one:
            print(one.run.id, flush=True)
            one.forget()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tally"


@pytest.fixture
def counting(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = _python(COUNT, directory)
    assert child.stdout is not None
    assert child.stdout.readline() == b"counting\n"
    yield child
    child.stdout.close()
    end(child, signal.SIGKILL)


def found(directory: Path) -> list[tuple[str, Counts]]:
    return [(one.run.id, one.counts) for one in ended(directory)]


def test_a_run_is_not_over_while_its_process_lives(directory: Path) -> None:
    """Not even in the same process; when the worker closes its tally, the run and its last counts are there."""
    one = Tally(directory, RUN)
    one.set(12, 3, 4)
    assert found(directory) == []
    one.close()
    (over,) = ended(directory)
    assert (over.run, over.counts, over.path) == (RUN, Counts(12, 3, 4), one.path)


def test_counts_of_a_killed_process_are_whole(directory: Path, counting: subprocess.Popen[bytes]) -> None:
    """SIGKILL between two stores: the three counts are of one moment, and each word is one that was set."""
    assert found(directory) == []
    counting.kill()
    counting.wait()
    ((run, counts),) = found(directory)
    assert run == RUN.id
    assert counts.produced == counts.filtered == counts.dropped
    assert counts.produced % (1 << 31) == 0 < counts.produced


def test_counts_are_whole_at_every_store(directory: Path) -> None:
    """Cut short after each single store into memory, the file holds the counts of before or those of after."""
    one = Tally(directory, RUN)
    one.set(1, 2, 3)

    class Dies(Exception):
        """As the process would, in the middle."""

    class Words:
        """Memory that takes so many stores."""

        def __init__(self, left: int) -> None:
            self._left, self._words = left, words

        def __setitem__(self, at: int, word: int) -> None:
            if self._left == 0:
                raise Dies
            self._left -= 1
            self._words[at] = word

    words, seen = one._words, []
    for stores in range(6):
        one._words = Words(stores)  # type: ignore[assignment] # stands in for the map
        with contextlib.suppress(Dies):
            one.set(11, 12, 13)
        seen.append(counts(directory)[RUN.id].counts)
    one._words = words
    one.close()
    assert seen == [Counts(1, 2, 3)] * 5 + [Counts(11, 12, 13)]


def test_a_last_word_says_what_was_not_acknowledged(directory: Path) -> None:
    """Whoever leaves in order says so; whoever is killed has not, and a run that goes on has not either."""
    one = Tally(directory, RUN)
    one.set(12, 3, 4)
    assert counts(directory)[RUN.id].held == -1
    one.leave(0)
    one.close()
    (over,) = ended(directory)
    assert (over.counts, over.held) == (Counts(12, 3, 4), 0)


def test_whoever_looks_hinders_nobody(directory: Path, counting: subprocess.Popen[bytes]) -> None:
    """The counts of a living worker can be read, and that it lives; no lock is taken: the bridge gets its own meanwhile."""
    assert counts(directory)[RUN.id].living
    counting.kill()
    counting.wait()
    for _ in ended(directory):
        assert counts(directory)[RUN.id].living  # locked by whoever closes its book: that one will say more in a moment
    assert not counts(directory)[RUN.id].living


def test_a_stopped_process_is_not_over(directory: Path, counting: subprocess.Popen[bytes]) -> None:
    """SIGSTOP is no death: its lock holds."""
    counting.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, counting.pid, os.WSTOPPED | os.WNOWAIT)
    assert found(directory) == []


def test_a_tally_stays_until_it_is_forgotten(directory: Path) -> None:
    """Its counts must be durable first; and forgetting twice is harmless."""
    Tally(directory, RUN).close()
    assert len(found(directory)) == len(found(directory)) == 1
    for one in ended(directory):
        one.forget()
        one.forget()
    assert found(directory) == []
    assert list(directory.iterdir()) == []


def test_a_book_is_closed_by_one_only(directory: Path) -> None:
    """While one process has an ended tally in hand, no other gets it; after it was forgotten neither."""
    Tally(directory, RUN).close()
    for one in ended(directory):
        assert found(directory) == []
        one.forget()
    assert found(directory) == []


def test_a_file_forgotten_between_opening_and_locking_is_not_given_out(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race of two closers: the second one's lock comes only when the first has removed the file that both have open."""
    Tally(directory, RUN).close()
    flock = fcntl.flock

    def late(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        for one in ended(directory):
            one.forget()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert found(directory) == []


def test_two_processes_close_each_book_once(directory: Path) -> None:
    """Two closers at work while fifty workers come and go: every run is given to exactly one of them."""
    closers = [_python(CLOSE, directory, subprocess.PIPE) for _ in range(2)]
    try:
        for closer in closers:
            assert closer.stdout is not None
            assert closer.stdout.readline() == b"ready\n"
        runs = [a_run(number) for number in range(50)]
        for run in runs:
            Tally(directory, run).close()
        until(lambda: not list(directory.iterdir()), 60, "all books to be closed")
    finally:
        said = [closer.communicate(b"", timeout=60)[0].decode().split() for closer in closers]
    assert sorted(said[0] + said[1]) == [run.id for run in runs]
    assert [closer.returncode for closer in closers] == [0, 0]


HEAD = struct.Struct("=Q4Q4QQ")
SET = (0, 1, 2, 3, 0, 0, 0, 0, 0)  # which set counts, and both
BODY = encode_run(RUN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        bytes(HEAD.size),
        HEAD.pack(*SET, len(BODY)) + BODY[:-1],
        HEAD.pack(*SET, 1 << 63) + b"\xc1" * 100,
        HEAD.pack(0, 1 << 63, 2, 3, *[0] * 5, len(BODY)) + BODY,
        HEAD.pack(*SET, len(BODY)) + BODY.replace(b"front", b"\xff" * 5),
    ],
    ids=["empty", "short", "zeros", "cut", "lying length", "impossible count", "no text"],
)
def test_a_file_that_is_no_tally_is_removed(directory: Path, content: bytes) -> None:
    """It would be met again every two seconds for ever; the tally beside it is found all the same."""
    Tally(directory, RUN).close()
    (directory / "0-garbage").write_bytes(content)
    assert [run for run, _ in found(directory)] == [RUN.id]
    assert [path.name for path in directory.iterdir()] == [RUN.id]


def test_what_is_not_a_file_disturbs_nobody(directory: Path) -> None:
    """A directory, a pipe, a dangling link: left where they are."""
    Tally(directory, RUN).close()
    (directory / "0").mkdir()
    os.mkfifo(directory / "1")
    (directory / "2").symlink_to("nowhere")
    assert [run for run, _ in found(directory)] == [RUN.id]


def test_a_directory_that_is_not_there_holds_no_tallies(directory: Path) -> None:
    """No worker has started yet."""
    assert found(directory) == []


def test_tallies_are_private_and_a_run_has_one(directory: Path) -> None:
    """Mode 0600 in a directory of 0700; the same run twice is a bug that shows."""
    one = Tally(directory, RUN)
    assert (one.path.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)
    one.close()


def _python(code: str, directory: Path, stdin: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, str(directory)], cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE)
