"""The files in shared memory: who may read them, what becomes of them when their writer dies, and what happens where there is no room."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import DeviceAbsent, DeviceError
from tests.services.base import SKIP, need
from tests.workers.ring_writer import ROOT, filled, memory, segments, showing, values
from workers.camera.share import barrier
from workers.camera.share.packing import Format, Packing
from workers.camera.share.ring import Reader, Writer
from workers.camera.share.segment import clear, living, made

USER = os.getuid()
STALE = f"edgegw-{USER}-eye-64x48-bgr-0000000000000001"
WHOLE = f"edgegw ring 1\n{STALE}\n".encode().ljust(4096 * 13)
OTHERS = {"empty": b"", "short": WHOLE[:-1], "as large": b"x" * len(WHOLE), "renamed": WHOLE.replace(b"-0", b"-1")}


@pytest.fixture
def shm() -> Iterator[Path]:
    with memory() as directory:
        yield directory


def test_a_segment_is_for_its_user_alone(shm: Path) -> None:
    """Mode 0600, whatever the umask; its name tells user, name, size, format and generation, and it has its whole room from the start."""
    before = os.umask(0)
    try:
        with Writer("the-eye_2", shm) as writer:
            writer.write(filled(1, (640, 360), Format.VIDEO), 1)
            (name,) = segments(shm)
            about = (shm / name).stat()
    finally:
        os.umask(before)
    assert about.st_mode & 0o777 == 0o600
    assert name.startswith(f"edgegw-{USER}-the-eye_2-640x360-yuv420-")
    assert 4 * 640 * 360 * 1.5 <= about.st_size <= about.st_blocks * 512


def test_generations_follow_one_another(shm: Path) -> None:
    """A segment made later has the later name, and is the one that is found."""
    packing = Packing(8, 6, Format.BGR)
    with made("eye", packing, shm) as first, made("eye", packing, shm) as second:
        assert segments(shm) == [first.path.name, second.path.name]
        found = living("eye", shm)
        assert found is not None
        with found:
            assert found.path == second.path


def test_what_a_killed_writer_leaves_is_seen_by_nobody_and_cleared_by_the_next(shm: Path) -> None:
    """Of whatever name; a stopped writer's and a living one's stay."""
    with showing(shm, "eye") as eye, showing(shm, "door") as door, Reader("eye", shm) as reader:
        eye.show(1)
        door.show(2)
        assert (reader.newest(), values(reader.picture())) == (1, {1})
        eye.kill()
        assert len(segments(shm)) == 2
        assert reader.newest() is None
        with pytest.raises(DeviceAbsent):
            reader.newest()
        for _ in range(2):
            with Writer("yard", shm):
                assert len(segments(shm)) == 1
                assert "-door-" in segments(shm)[0]
            door.popen.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, door.popen.pid, os.WSTOPPED | os.WNOWAIT)


@pytest.mark.parametrize("what", ["empty", "short", "as large", "renamed", "directory", "link", "dangling", "pipe", "open to all"])
def test_what_is_no_segment_is_left_alone(shm: Path, what: str) -> None:
    """Neither read nor removed, whatever has such a name; opening it does not wait."""
    path = shm / STALE
    if what == "directory":
        path.mkdir()
    elif what in {"link", "dangling"}:
        (shm / "target").write_bytes(WHOLE)
        (shm / "target").chmod(0o600)
        path.symlink_to("target" if what == "link" else "nowhere")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "open to all":
        path.write_bytes(WHOLE)
        path.chmod(0o644)
    else:
        path.write_bytes(OTHERS[what])
        path.chmod(0o600)
    assert clear(shm) == 0
    assert living("eye", shm) is None
    assert os.path.lexists(path)


def test_what_is_stale_is_removed(shm: Path) -> None:
    """The test before would pass if nothing were ever removed: the same file, complete and with the mode that it must have."""
    path = shm / STALE
    path.write_bytes(WHOLE)
    path.chmod(0o600)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert clear(shm) == 0
    assert clear(shm) == 1
    assert segments(shm) == []


@pytest.mark.parametrize("name", ["", "Eye", "../eye", "a b", "x" * 65, "eye\n"], ids=repr)
def test_a_name_that_is_none(shm: Path, name: str) -> None:
    """Nobody shares under it, and nobody looks."""
    for made_of in (Writer, Reader):
        with pytest.raises(DeviceError, match="a name has 1 to 64 of the characters a to z, 0 to 9, - and _"):
            made_of(name, shm)


def test_without_shared_memory(tmp_path: Path) -> None:
    """A sentence for who would share; nobody is there for who would look."""
    with pytest.raises(DeviceError, match=r"pictures cannot be shared as eye: .*/none: No such file or directory"):
        Writer("eye", tmp_path / "none")
    with Reader("eye", tmp_path / "none") as reader, pytest.raises(DeviceAbsent):
        reader.newest()


def test_without_a_barrier(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel or a sandbox that has none: no pictures rather than torn ones."""
    monkeypatch.setattr(barrier, "_NUMBERS", {})
    for made_of in (Writer, Reader):
        with pytest.raises(DeviceError, match=r"the system call membarrier is not to be had.*SystemCallFilter=membarrier"):
            made_of("eye", shm)


def test_the_room_is_looked_at_before_it_is_taken(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is not even begun: taking all that is left, for a moment only, would fail somebody else."""
    taken: list[int] = []
    real = os.statvfs(shm)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:4], 5, *real[5:])))
    monkeypatch.setattr(os, "posix_fallocate", lambda *arguments: taken.append(arguments[-1]))
    with Writer("eye", shm) as writer:
        with pytest.raises(DeviceError, match=r"4 of 64 × 48 take 0\.1 MB .* and 0\.0 MB are free there"):
            writer.write(filled(1, (64, 48)), 1)
        assert taken == []
        writer.write(filled(1, (4, 4)), 1)
        assert taken == [5 * 4096]


SMALL = """
import json, os, subprocess, sys
from pathlib import Path
from edgegw.errors import DeviceError
from tests.workers.ring_writer import filled, segments, values
from workers.camera.share import segment
from workers.camera.share.ring import Reader, Writer

shm = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", shm], check=True)
said = {}

def shown(key, number, size):
    try:
        writer.write(filled(number, size), number)
        said[key] = ""
    except DeviceError as error:
        said[key] = str(error)
    said[key + " left"] = [name.split("-")[3] for name in segments(shm) if name != "hog"]

writer = Writer("eye", shm)
shown("fits", 1, (200, 200))
with Reader("eye", shm) as reader:
    said["seen"] = (reader.newest(), list(values(reader.picture())))
shown("too large", 2, (640, 360))
hog = shm / "hog"
hog.write_bytes(b"x" * 900_000)
look, segment._look_for_room = segment._look_for_room, lambda *_: None
shown("taken meanwhile", 3, (200, 200))
segment._look_for_room = look
hog.unlink()
shown("room again", 4, (200, 200))
try:
    hog.write_bytes(b"x" * 2_000_000)
except OSError as error:
    said["hog"] = error.errno
shown("full, but its own room it has", 5, (200, 200))
hog.unlink()
subprocess.run(["mount", "-o", "remount,size=" + said["too large"].partition("size=")[2].split()[0], "none", shm], check=True)
shown("enlarged as told", 6, (640, 360))
subprocess.run(["umount", "-l", shm], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=0", "none", shm], check=True)
writer.close()
writer = Writer("eye", shm)
shown("no limit", 7, (640, 360))
print(json.dumps(said))
"""


def test_shared_memory_that_is_too_small(tmp_path: Path) -> None:
    """A real one of 1 MB: refused with what is needed, what is free and what to do, which helps; and no bus error, whoever fills it."""
    unshare = [need("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{SKIP}user namespaces (the kernel or its policy forbids them)")
    command = [*unshare, sys.executable, "-c", SMALL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["fits"], said["fits left"], said["seen"]) == ("", ["200x200"], [1, [1]])
    assert said["too large"] == (
        f"pictures cannot be shared as eye: 4 of 640 × 360 take 2.8 MB in {tmp_path}, and 1.0 MB are free there: "
        f"enlarge it (mount -o remount,size=4000000 {tmp_path}), or set a smaller width_px and height_px"
    )
    assert "4 of 200 × 200 take 0.5 MB" in said["taken meanwhile"]
    assert said["too large left"] == said["taken meanwhile left"] == []
    assert (said["room again"], said["hog"], said["full, but its own room it has"]) == ("", 28, "")
    assert (said["enlarged as told"], said["enlarged as told left"]) == ("", ["640x360"])
    assert (said["no limit"], said["no limit left"]) == ("", ["640x360"])
