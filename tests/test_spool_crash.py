"""The spool under SIGKILL, beside other processes, and what reaches the disk before a commit returns."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edgegw.spool import Commit, Reader, Spool
from tests.records import a_run
from tests.services.base import end, need
from tests.spooling import ALL, handed, held

ROOT = Path(__file__).parents[1]
RUN = a_run(1)
KILLS = 10

# Appends batch after batch; says the number of each one on stdout, once commit() has returned.
APPEND = """
import os, sys
from pathlib import Path
from edgegw.spool import Commit, Spool
from tests.records import a_run
from tests.spooling import handed
spool, run = Spool(Path(sys.argv[1]), ["mysql"]), a_run(1)
first = spool.acked(run.id) + 1
for number in range(first, first + int(sys.argv[2])):
    spool.commit(Commit(handed=[handed(run, number, number * 3)]))
    os.write(1, b"%d\\n" % number)
"""

# Reads a spool that another process writes; says the first seq of every batch it meets.
READ = """
import sys
from pathlib import Path
from edgegw.spool import Reader
reader, at = Reader(Path(sys.argv[1])), 0
while at < int(sys.argv[2]):
    records, damaged = reader.after(at, 7)
    assert not damaged
    for record in records:
        at = record.position
        print(record.batch.first_seq, flush=True)
reader.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def test_what_a_killed_process_had_committed_is_there(path: Path) -> None:
    """SIGKILL at random moments, ten times on the same spool: every number that was said after a commit is kept, in order."""
    rng = random.Random()
    seed = rng.randrange(1 << 32)
    rng.seed(seed)
    said: list[int] = []
    for _ in range(KILLS):
        said += _append_and_kill(path, rng.randrange(1, 200))
        kept = [batch.first_seq // 3 for batch in held(path)]
        assert kept == list(range(len(kept))), f"seed {seed}"
        assert set(said) <= set(kept), f"seed {seed}"
        assert len(kept) - len(said) <= KILLS, f"seed {seed}"  # at most the one that was committed and not yet said, each time
    spool = Spool(path, ["mysql"])
    assert spool.acked(RUN.id) == len(held(path)) - 1
    assert spool.set_aside is None
    spool.close()


def _append_and_kill(path: Path, after_lines: int) -> list[int]:
    child = _python(APPEND, path, 1_000_000)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(after_lines)]
    child.kill()
    with child.stdout:
        lines += child.stdout.readlines()
    child.wait()
    return [int(line) for line in lines if line.endswith(b"\n")]


def test_a_reader_in_another_process_follows_the_writer(path: Path) -> None:
    """It reads each record once, in order, while this process appends; and SIGKILL of the reader disturbs nobody."""
    spool = Spool(path, ["mysql"])
    children = [_python(READ, path, 60), _python(READ, path, 1 << 62)]
    for number in range(60):
        spool.commit(Commit(handed=[handed(RUN, number, number * 3)]))
    said, _ = children[0].communicate(timeout=60)
    assert [int(line) for line in said.split()] == [number * 3 for number in range(60)]
    assert children[1].stdout is not None
    assert children[1].stdout.readline() == b"0\n"
    children[1].stdout.close()
    end(children[1])
    assert spool.commit(Commit(cursors={"mysql": 60}, trim=True)) == 60
    assert held(path) == []
    spool.close()


@pytest.fixture
def strace() -> str:
    return need("strace", "strace")


def test_nothing_is_said_before_it_is_synced(path: Path, tmp_path: Path, strace: str) -> None:
    """Seen from the kernel: between the last write to the WAL and the word that the commit has returned lies an fdatasync of it."""
    log = tmp_path / "trace"
    command = [strace, "-f", "-y", "-s", "16", "-e", "trace=fsync,fdatasync,write,pwrite64", "-o", str(log)]
    child = _python(APPEND, path, 40, before=command)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    assert said.split() == [b"%d" % number for number in range(40)]
    events = list(_events(log.read_text()))
    first = events.index("said")
    assert events[first - 2 : first] == ["written", "synced"]
    assert events[first + 1 : first + 1 + 3 * 39] == ["written", "synced", "said"] * 39


def _events(trace: str) -> Iterator[str]:
    """Writes to the WAL and its syncs, repeats joined; and each word on stdout."""
    last = ""
    for line in trace.splitlines():
        call = re.search(r"(\w+)\((\d+)<(.*?)>", line)
        event = _event(call) if call else ""
        if event and (event != last or event == "said"):
            yield event
            last = event


def _event(call: re.Match[str]) -> str:
    name, number, file = call.groups()
    if number == "1":
        return "said"
    if not file.endswith("spool.db-wal"):
        return ""
    return "synced" if name in ("fsync", "fdatasync") else "written"


def test_a_commit_whose_sync_fails_is_not_said(path: Path, strace: str) -> None:
    """EIO from the twentieth sync on: that commit raises, the ones before are kept, and opening the spool again heals it."""
    command = [strace, "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=20+"]
    child = _python(APPEND, path, 40, before=command, errors=subprocess.PIPE)
    said, complaint = child.communicate(timeout=120)
    assert child.returncode == 1
    assert b"SpoolError: cannot write to the spool" in complaint
    assert 0 < len(said.split()) < 20
    kept = [batch.first_seq // 3 for batch in held(path)]
    assert kept[: len(said.split())] == [int(number) for number in said.split()]
    spool = Spool(path, ["mysql"])
    assert spool.commit(Commit(handed=[handed(RUN, 99, 999)])) == len(kept) + 1
    spool.close()


def test_the_log_of_commits_stays_small(path: Path) -> None:
    """The WAL is checkpointed as it goes: deleting from a full disk needs room in it, so it must neither grow nor vanish."""
    spool, sizes = Spool(path, ["mysql"]), []
    reader = Reader(path)
    for number in range(60):
        spool.commit(Commit(handed=[handed(RUN, number, number * 2000, 2000)]))
        assert reader.after(number, ALL)[0][0].position == number + 1
        sizes.append(path.with_name("spool.db-wal").stat().st_size)
    for position in range(60):
        spool.commit(Commit(cursors={"mysql": position}, trim=True))
        sizes.append(path.with_name("spool.db-wal").stat().st_size)
    assert max(sizes) < 3 << 20 < path.stat().st_size
    reader.close()
    spool.close()


def _python(code: str, path: Path, count: int, before: Sequence[str] = (), errors: int | None = None) -> subprocess.Popen[bytes]:
    command = [*before, sys.executable, "-c", code, str(path), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
