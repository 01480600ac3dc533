"""The room that the spool takes: what happens when it is full, how it is drained, when the file shrinks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgegw.errors import SpoolError
from edgegw.reading import Counts
from edgegw.spool import Closed, Commit, Spool, room
from tests.records import a_run
from tests.services.base import SKIP, need
from tests.spooling import filled, handed, held, letter

ROOT = Path(__file__).parents[1]
RUN, OTHER = a_run(1), a_run(2, sensor="imu")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def test_a_long_backlog_is_let_go_in_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One commit deletes a bounded number of records, gaps or not; the following ones delete the rest."""
    monkeypatch.setattr(room, "_TRIM_records", 4)
    spool = Spool(path, ["mysql"])
    filled(spool, RUN, records=10)
    spool.commit(Commit(cursors={"mysql": 9}, damaged=[("mysql", 2)]))
    left = []
    for _ in range(4):
        spool.commit(Commit(trim=True))
        left.append(len(held(spool.path, position=2)))  # behind the damaged one
    spool.close()
    assert left == [5, 1, 1, 1]


def test_a_full_spool_says_so_and_can_be_drained(path: Path) -> None:
    """Appending fails with SpoolError and changes nothing; cursors, letters and closed books still get in, and room comes back."""
    spool = _full(path)
    before = (spool.newest(), spool.bytes(), _readings(path))
    with pytest.raises(SpoolError, match=r"cannot write to the spool .*spool\.db: all that it may hold is used up"):
        spool.commit(Commit(handed=[handed(RUN, 999_999, 999_999, 50)]))
    assert (spool.newest(), spool.bytes(), _readings(path)) == before
    assert before[1] <= 94 * 4096
    letters = [letter("mysql", RUN, seq) for seq in range(150)]
    spool.commit(Commit(cursors={"mysql": 5}, letters=letters, closed=[Closed(OTHER, Counts(1))], trim=True))
    while _readings(path):
        at = min(spool.cursors().values()) + 5
        spool.commit(Commit(cursors={"mysql": at}, trim=True))
    assert spool.commit(Commit(handed=[handed(RUN, 999_999, 999_999, 50)])) == before[0] + 1
    spool.close()


def _readings(path: Path) -> int:
    return sum(len(one.readings) for one in held(path))


def _full(path: Path) -> Spool:
    spool = Spool(path, ["mysql"], max_bytes=100 * 4096)
    with pytest.raises(SpoolError):
        for number in range(10_000):
            spool.commit(Commit(handed=[handed(RUN, number, number * 50, 50)]))
    return spool


def test_room_that_came_back_is_given_to_the_file_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some commits after a backlog is gone the file is small again, but for the slack; a little room is kept for what comes next."""
    monkeypatch.setattr(room, "_SLACK_pages", 8)
    spool = Spool(path, ["mysql"])
    filled(spool, RUN, records=100, each=100)
    spool.commit(Commit(cursors={"mysql": 100}))
    full = spool.bytes()
    for _ in range(3):
        spool.commit(Commit(trim=True))
    spool.close()
    assert full > 100 * 4096
    assert path.stat().st_size < 24 * 4096


# Fills a disk of 16 MB with a spool and a file of somebody else's, then drains; says what happened.
FULL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
from edgegw.errors import SpoolError
from edgegw.spool import Commit, Reader, Share, Spool
from tests.records import a_run
from tests.spooling import handed
disk, run = Path(sys.argv[1]), a_run(1)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], check=True)
path = disk / "spool.db"
spool = Spool(path, ["mysql"])
reader = Reader(path)

def waiting_now():
    return sum(len(record.batch.readings) for record in reader.after(0, 10**7)[0])

def append(most):
    for done in range(most):
        try:
            number = spool.newest()
            spool.commit(Commit(handed=[handed(run, number, number * 50, 50)]))
        except SpoolError as error:
            return done, str(error)
    return most, ""

said = {"before": append(1500)[0]}
hog = os.open(disk / "hog", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(hog, b"x" * 1000)
except OSError as error:
    said["hog"] = error.errno
said["full"] = append(5000)
waiting = waiting_now()
said["kept"] = waiting == spool.newest() * 50
spool.close()
spool = Spool(path, ["mysql"])  # as the bridge does after a commit that failed
spool.commit(Commit(cursors={"mysql": 100}, trim=True))
said["drained"] = waiting - waiting_now()
said["refused"] = append(1)[1]
giving = Spool(path, ["mysql"], shares={"front": Share("drop_oldest")})
size = path.stat().st_size
turns = [giving.fit(Commit(handed=[handed(run, number, number * 50, 50)])) for number in range(90_000, 90_100)]
giving.close()
said["given_up"] = sum(each.readings for turn in turns for each in turn.given_up)
said["taken_while_full"] = sum(turn.kept for turn in turns)
said["grown"] = path.stat().st_size - size
while waiting_now():
    spool.commit(Commit(cursors={"mysql": min(spool.cursors()["mysql"] + 50, spool.newest())}, trim=True))
while path.stat().st_size > 2 << 20:
    spool.commit(Commit(trim=True))
said["after"] = append(20)
print(json.dumps(said))
"""


def test_a_full_disk_can_be_drained(tmp_path: Path) -> None:
    """A real one, filled by somebody else: appending fails and says why, draining works, and with the room readings are taken in again."""
    unshare = [need("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{SKIP}user namespaces (the kernel or its policy forbids them)")
    command = [*unshare, sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["before"], said["hog"], said["kept"]) == (1500, errno.ENOSPC, True)
    assert "database or disk is full" in said["full"][1]
    assert said["drained"] == 100 * 50
    assert (said["taken_while_full"], said["grown"]) == (5000, 0)  # who gives up the oldest goes on reading, in the room that frees
    assert said["given_up"] > 0
    assert "its disk is full, so it takes nothing in until there is room again" in said["refused"]
    assert said["after"] == [20, ""]


def test_without_its_ballast_the_spool_only_drains(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the opening on, where there is no room for it; it is tried for again with every append."""

    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = Spool(path, ["mysql"])
    filled(spool, RUN, records=3)
    spool.close()
    ballast = path.with_name("spool.db.ballast")
    assert ballast.stat().st_blocks * 512 >= 4 << 20
    ballast.unlink()
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    spool = Spool(path, ["mysql"])
    with pytest.raises(SpoolError, match="its disk is full"):
        spool.commit(Commit(handed=[handed(RUN, 3, 9)]))
    assert not ballast.exists()
    spool.commit(Commit(cursors={"mysql": 2}, closed=[Closed(OTHER, Counts(1))], trim=True))
    monkeypatch.undo()
    assert spool.commit(Commit(handed=[handed(RUN, 3, 9)])) == 4
    assert ballast.exists()
    assert [b.first_seq for b in held(path)] == [6, 9]
    spool.close()


# A disk that becomes read-only under the spool and writable again; and a process that may write files of 6 MB only.
READ_ONLY = """
import json, subprocess, sys
from pathlib import Path
from edgegw.errors import SpoolError
from edgegw.spool import Commit, Spool
from tests.records import a_run
from tests.spooling import handed
disk, run, said = Path(sys.argv[1]), a_run(1), []
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], check=True)
spool = Spool(disk / "spool.db", ["mysql"])
spool.commit(Commit(handed=[handed(run, 0, 0)]))
spool.close()  # the kernel makes a disk with errors read-only under open files; nobody else may
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
for _ in range(2):
    try:
        Spool(disk / "spool.db", ["mysql"])  # as the bridge does after a commit that failed
    except SpoolError as error:
        said.append(str(error))
subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
spool = Spool(disk / "spool.db", ["mysql"])
said.append(spool.commit(Commit(handed=[handed(run, 1, 3)])))
spool.close()
print(json.dumps(said))
"""
FILE_LIMIT = """
import json, resource, sys
from pathlib import Path
from edgegw.spool import Commit, Spool
from tests.records import a_run
from tests.spooling import handed
resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, 6 << 20))
run, spool, number = a_run(1), Spool(Path(sys.argv[1]) / "spool.db", ["mysql"]), 0
while not spool.fit(Commit(handed=[handed(run, number, number * 100, 100)])).blocked:
    number += 1
spool.commit(Commit(cursors={"mysql": spool.newest()}, trim=True))
print(json.dumps([spool.max_bytes, number, spool.commit(Commit(handed=[handed(run, number, number * 100, 100)]))]))
spool.close()
"""


def _apart(script: str, directory: Path, *before: str) -> list[object]:
    command = [*before, sys.executable, "-c", script, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()
    said: list[object] = json.loads(done.stdout)
    return said


def test_a_disk_that_becomes_read_only_is_said_and_heals(tmp_path: Path) -> None:
    """Every try is an error that says what to do, none of them something else; and once it is writable, the next one succeeds."""
    unshare = [need("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{SKIP}user namespaces (the kernel or its policy forbids them)")
    *errors, newest = _apart(READ_ONLY, tmp_path, *unshare)
    assert newest == 2
    assert len(errors) == 2
    assert all("that the disk is not read-only" in str(error) for error in errors), errors


def test_a_limit_on_the_size_of_files_counts_as_quota(tmp_path: Path) -> None:
    """Beyond it writing fails like a broken disk, and nothing could be drained any more."""
    max_bytes, number, newest = _apart(FILE_LIMIT, tmp_path)
    assert max_bytes == 6 << 20
    assert int(str(number)) > 200
    assert newest == int(str(number)) + 1
