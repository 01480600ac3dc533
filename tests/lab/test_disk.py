"""The laboratory's disk: what it forgets in a power cut, and what it must not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.disk import Disk, Fate, SECTOR_bytes, lay
from tests.lab.place import workplace
from tests.lab.trace import recorded

WRITES = """
import os, sys
root = sys.argv[1]
def write(name, content, *, synced):
    file = os.open(f"{root}/{name}", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, content, 0)
    if synced:
        os.fsync(file)
    return file
def sync_names():
    directory = os.open(root, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
both = write("both", b"a" * 4096, synced=True)
write("bytes", b"a" * 4096, synced=False)
sync_names()
write("name", b"a" * 4096, synced=True)
os.pwrite(both, b"b" * 4096, 0)
os.rename(f"{root}/old", f"{root}/new")
os.unlink(f"{root}/gone")
os.ftruncate(both, 6000)
"""

SYNCS_TWICE = """
import contextlib, os, sys
file = os.open(sys.argv[1] + "/old", os.O_RDWR)
os.write(file, b"new")
for _ in range(2):
    with contextlib.suppress(OSError):
        os.fsync(file)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with workplace() as made:
        yield made


@pytest.fixture
def disk(directory: Path) -> Disk:
    root = lay({"old": b"x", "gone": b"y"}, directory / "root")
    disk = Disk(root)
    calls, code, error = recorded(["-c", WRITES, str(root)], directory / "log")
    assert code == 0, error
    for call in calls:
        disk.apply(call)
    assert disk.seen() == {path.name: path.read_bytes() for path in root.iterdir()}
    return disk


def test_only_what_was_synced_is_sure(disk: Disk) -> None:
    """Bytes by fsync of the file, names by fsync of the directory; nothing else."""
    left = disk.cut(Fate.NOTHING, random.Random(1))
    assert left == {"both": b"a" * 4096, "bytes": b"", "old": b"x", "gone": b"y"}


def test_what_was_not_synced_may_be_there_as_well(disk: Disk) -> None:
    """As if there had been no cut, but a crash."""
    left = disk.cut(Fate.EVERYTHING, random.Random(1))
    assert left == disk.seen()
    assert left["both"] == b"b" * 4096 + bytes(6000 - 4096)


@pytest.mark.parametrize(("fate", "unit_bytes"), [(Fate.SECTORS, SECTOR_bytes), (Fate.PAGES, 4096), (Fate.TORN, 1)])
def test_any_part_of_it_may_be_there(disk: Disk, fate: Fate, unit_bytes: int) -> None:
    """Each unit is the old one or the new one, and in two hundred cuts both occur; so do all names."""
    rng = random.Random(1)
    lefts = [disk.cut(fate, rng) for _ in range(200)]
    contents = [left["both"] or b"" for left in lefts]
    assert {len(content) for content in contents} == {4096, 6000}
    units = {content[at : at + unit_bytes] for content in contents for at in range(0, 4096, unit_bytes)}
    assert units == {b"a" * unit_bytes, b"b" * unit_bytes}
    assert fate is Fate.PAGES or any(b"a" in content and b"b" in content for content in contents)
    assert {name for left in lefts for name in left} == {"both", "bytes", "name", "old", "new", "gone"}


def test_no_later_sync_makes_up_for_one_that_failed(directory: Path) -> None:
    """The bytes can be read all the same, as those of Linux can; that is what makes it dangerous."""
    root = lay({"old": b"x"}, directory / "root")
    disk = Disk(root)
    calls, code, _ = recorded(["-c", SYNCS_TWICE, str(root)], directory / "log", "fsync:error=EIO:when=1")
    assert code == 0
    for call in calls:
        disk.apply(call)
    assert disk.seen() == {"old": b"new"}
    assert disk.cut(Fate.EVERYTHING, random.Random(1)) == {"old": b"x"}
