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
from edgegw.spool import Closed, Commit, Reader, Spool, writer
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
    monkeypatch.setattr(writer, "_TRIM_records", 4)
    spool = Spool(path, ["mysql"])
    filled(spool, RUN, records=10)
    spool.commit(Commit(cursors={"mysql": 9}, damaged=[2]))
    left = []
    for _ in range(4):
        spool.commit(Commit(trim=True))
        left.append(len(held(spool.path)))
    spool.close()
    assert left == [5, 1, 1, 1]


def test_a_full_spool_says_so_and_can_be_drained(path: Path) -> None:
    """Appending fails with SpoolError and changes nothing; cursors, letters and closed books still get in, and room comes back."""
    spool, reader = _full(path)
    before = (spool.newest(), spool.bytes(), reader.waiting(0))
    with pytest.raises(SpoolError, match=r"cannot write to the spool .*spool\.db: database or disk is full"):
        spool.commit(Commit(handed=[handed(RUN, 999_999, 999_999, 50)]))
    assert (spool.newest(), spool.bytes(), reader.waiting(0)) == before
    assert before[1] <= 94 * 4096
    letters = [letter("mysql", RUN, seq) for seq in range(150)]
    spool.commit(Commit(cursors={"mysql": 5}, letters=letters, closed=[Closed(OTHER, Counts(1))], trim=True))
    while reader.waiting(0):
        at = min(spool.cursors().values()) + 5
        spool.commit(Commit(cursors={"mysql": at}, trim=True))
    assert spool.commit(Commit(handed=[handed(RUN, 999_999, 999_999, 50)])) == before[0] + 1
    spool.close()
    reader.close()


def _full(path: Path) -> tuple[Spool, Reader]:
    spool = Spool(path, ["mysql"], max_bytes=100 * 4096)
    with pytest.raises(SpoolError):
        for number in range(10_000):
            spool.commit(Commit(handed=[handed(RUN, number, number * 50, 50)]))
    return spool, Reader(path)


def test_room_that_came_back_is_given_to_the_file_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some commits after a backlog is gone the file is small again, but for the slack; a little room is kept for what comes next."""
    monkeypatch.setattr(writer, "_SLACK_pages", 8)
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
from edgegw.spool import Commit, Reader, Spool
from tests.records import a_run
from tests.spooling import handed
disk, run = Path(sys.argv[1]), a_run(1)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], check=True)
path = disk / "spool.db"
spool = Spool(path, ["mysql"])
reader = Reader(path)

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
waiting = reader.waiting(0)
said["kept"] = waiting == spool.newest() * 50
spool.close()
spool = Spool(path, ["mysql"])  # as the bridge does after a commit that failed
spool.commit(Commit(cursors={"mysql": 100}, trim=True))
said["drained"] = waiting - reader.waiting(0)
said["refused"] = append(1)[1]
while reader.waiting(0):
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
    assert said["full"][1].endswith("database or disk is full")
    assert said["drained"] == 100 * 50
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
