"""What the spool says it writes, against what a block device was really given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgegw.reading import Counts
from edgegw.spool import Closed, Commit, Moment, Spool
from edgegw.spool.wear import DAY_ns
from tests.records import a_run
from tests.services.base import SKIP, need
from tests.spooling import handed

ROOT = Path(__file__).parents[1]
RUN = a_run(1)

# A file system of its own on a loop device, whose sectors the kernel counts; in a mount namespace, so that it goes with this process.
LOOP = """
import json, subprocess, sys
from pathlib import Path
from edgegw.spool import Commit, Spool
from tests.records import a_run
from tests.spooling import handed
image, disk = Path(sys.argv[1]), Path(sys.argv[2])
with image.open("wb") as file:
    file.truncate(64 << 20)
subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)
device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == str(disk))
counter = Path("/sys/block", Path(device).name, "stat")

def written():
    subprocess.run(["sync", "-f", str(disk)], check=True)
    return int(counter.read_text().split()[6]) * 512

spool = Spool(disk / "spool.db", ["mysql"])
runs = [a_run(number, sensor=f"s{number}") for number in range(8)]

def load(first, count):
    for number in range(first, first + count):
        spool.commit(Commit(handed=[handed(run, number, number * 10, 10) for run in runs], cursors={"mysql": spool.newest()}, trim=True))

load(0, 100)  # the first round of the WAL makes the file longer, later ones overwrite it
before, counted = written(), spool.written_bytes
load(100, 400)
print(json.dumps({"said": spool.written_bytes - counted, "given": written() - before}))
spool.close()
subprocess.run(["umount", str(disk)], check=True)
"""


def test_what_the_spool_says_it_writes_is_what_the_device_is_given(tmp_path: Path) -> None:
    """Within a fifth: what the file system adds for its journal, and what it need not write after all, come to about that."""
    if os.geteuid() or not Path("/dev/loop-control").exists():
        pytest.skip(f"{SKIP}root and a loop device")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [need("unshare", "util-linux"), "--mount", sys.executable, "-c", LOOP, str(tmp_path / "image"), str(disk)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert 0.8 < found["said"] / found["given"] < 1.2, found


def test_the_days_are_put_down_in_the_spool_itself(tmp_path: Path) -> None:
    """From time to time, in a commit that is written anyway, so that counting costs next to nothing; nothing is put down twice."""
    spool = Spool(tmp_path / "spool.db", ["mysql"])
    for number in range(300):
        moment = Moment("boot", number, DAY_ns * (20_000 + number // 150))
        spool.commit(Commit(handed=[handed(RUN, number, number * 100, 100)], now=moment))
    days = dict(spool._db.execute("SELECT day, bytes FROM written"))
    total = spool.written_bytes
    spool.commit(Commit(closed=[Closed(RUN, Counts(1))]))
    spool.close()
    if not total:
        pytest.skip(f"{SKIP}a kernel that counts what a thread writes, and a disk")
    assert set(days) <= {20_000, 20_001}
    assert total - (8 << 20) < sum(days.values()) <= total
