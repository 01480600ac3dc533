"""The file in shared memory that holds a ring: how it is named, made, found again, and cleared away when its writer is gone.

    edgegw-1000-eye-640x360-yuv420-0000a3f81c9d27e4
    user, name under which it is shown, size, format, generation: when it was made, so no two are alike and the newest is known

It begins with its own name; what does not is no segment. It gets that name only when it is whole and locked (O_TMPFILE, then
linkat), so nobody meets a half-made one, and none is left by whoever dies on the way. The writer's flock holds for as long as the
writer lives, and the kernel drops it at its death, however that came: a segment that anybody else can lock is stale.
Names alone would not do: numbers of processes are used again. Nor does multiprocessing.shared_memory: in Python 3.11 and 3.12
its resource tracker removes a segment as soon as any process that had opened it ends.

It is written to and read from with pwritev and preadv, never mapped: a mapped page that cannot be had is a bus error, which ends
the process; a read or write of it is an error, which has a sentence.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from edgegw.clock import SystemClock
from edgegw.errors import DeviceError
from workers.camera.share.packing import Format, Packing

SHM = Path("/dev/shm")  # noqa: S108 # it is the memory that is wanted, and what is made there nobody can have made before
SLOTS = 4
PAGE_bytes = 4096
_MAGIC = b"edgegw ring 1\n"
_NAME = re.compile(r"edgegw-(\d+)-([a-z0-9_-]{1,64})-(\d{1,5})x(\d{1,5})-(\w+)-([0-9a-f]{16})")
_SHARED = re.compile(r"[a-z0-9_-]{1,64}")


class Name(NamedTuple):
    """What the name of a segment tells."""

    user: int
    shown: str
    packing: Packing
    generation: int

    def __str__(self) -> str:
        width_px, height_px, form = self.packing
        return f"edgegw-{self.user}-{self.shown}-{width_px}x{height_px}-{form}-{self.generation:016x}"


class Segment:
    """An open one; the writer's holds the lock."""

    def __init__(self, name: Name, directory: Path, file: int) -> None:
        self.packing = name.packing
        self.slot_bytes = _whole_pages(name.packing.bytes)
        self.path = directory / str(name)
        self.file = file

    def ended(self) -> bool:
        """Whether its writer is gone, or has given it up: then anybody can lock it."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlink(self) -> None:
        """Remove its name; who reads it still can."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def checked(shown: str) -> str:
    """That name, if pictures can be shared under it. Raises DeviceError."""
    if not _SHARED.fullmatch(shown):
        raise DeviceError(f"pictures cannot be shared as {shown!r}: a name has 1 to 64 of the characters a to z, 0 to 9, - and _")
    return shown


def made(shown: str, packing: Packing, directory: Path) -> Segment:
    """A new one, with room for SLOTS pictures, which nobody can take away any more. Raises DeviceError."""
    name = Name(os.getuid(), shown, packing, SystemClock.boot_ns())
    total_bytes = _total(packing)
    try:
        _look_for_room(name, directory, total_bytes)
        file = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, total_bytes)  # what statvfs promises, somebody else may have by now
            os.pwrite(file, _head(name), 0)
            fcntl.flock(file, fcntl.LOCK_EX)
            _link(file, directory, str(name))
        except BaseException:
            os.close(file)
            raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _too_small(name, directory, total_bytes) from error
        raise DeviceError(f"pictures cannot be shared as {shown}: {directory}: {error.strerror}") from error
    return Segment(name, directory, file)


def living(shown: str, directory: Path) -> Segment | None:
    """The newest of that name whose writer lives."""
    found = None
    for name in sorted(_names(directory), key=lambda name: name.generation, reverse=True):
        segment = _opened(name, directory) if name.shown == shown and not found else None
        if segment and not segment.ended():
            found = segment
        elif segment:
            segment.close()
    return found


def clear(directory: Path) -> int:
    """Remove what dead writers of this user left behind; how many segments that were."""
    stale = 0
    for name in _names(directory):
        segment = _opened(name, directory)
        if segment is None:
            continue
        with segment:
            if segment.ended():
                segment.unlink()
                stale += 1
    return stale


def _names(directory: Path) -> Iterator[Name]:
    """Of this user's segments. Where nothing can be listed, there is nothing to find; who wants to make one is told why."""
    with contextlib.suppress(OSError):
        for text in os.listdir(directory):
            match = _NAME.fullmatch(text)
            if match and int(match[1]) == os.getuid() and match[5] in set(Format):
                packing = Packing(int(match[3]), int(match[4]), Format(match[5]))
                yield Name(int(match[1]), match[2], packing, int(match[6], 16))


def _opened(name: Name, directory: Path) -> Segment | None:
    """For reading; None where there is none, or something that is none. O_NONBLOCK: opening a pipe waits for its other end."""
    try:
        file = os.open(directory / str(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    about = os.fstat(file)
    ours = stat.S_ISREG(about.st_mode) and about.st_uid == os.getuid() and not stat.S_IMODE(about.st_mode) & 0o077
    if not ours or about.st_size != _total(name.packing) or os.pread(file, len(_head(name)), 0) != _head(name):
        os.close(file)
        return None
    return Segment(name, directory, file)


def _link(file: int, directory: Path, name: str) -> None:
    """As open(2) has it for O_TMPFILE; with a descriptor, since only then Python follows the link that stands for the file."""
    there = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{file}", name, dst_dir_fd=there, follow_symlinks=True)
    finally:
        os.close(there)


def _look_for_room(name: Name, directory: Path, needed_bytes: int) -> None:
    room = os.statvfs(directory)
    if room.f_blocks and room.f_bavail * room.f_frsize < needed_bytes:  # no blocks at all: a tmpfs without a limit
        raise _too_small(name, directory, needed_bytes)


def _too_small(name: Name, directory: Path, needed_bytes: int) -> DeviceError:
    room = os.statvfs(directory)
    size_mb = (room.f_blocks * room.f_frsize + needed_bytes) // 1_000_000 + 1
    return DeviceError(
        f"pictures cannot be shared as {name.shown}: {SLOTS} of {name.packing.width_px} × {name.packing.height_px} take "
        f"{needed_bytes / 1e6:.1f} MB in {directory}, and {room.f_bavail * room.f_frsize / 1e6:.1f} MB are free there: "
        f"enlarge it (mount -o remount,size={size_mb * 1_000_000} {directory}), or set a smaller width_px and height_px"
    )


def _total(packing: Packing) -> int:
    return PAGE_bytes + SLOTS * _whole_pages(packing.bytes)


def _whole_pages(count_bytes: int) -> int:
    return -(-count_bytes // PAGE_bytes) * PAGE_bytes


def _head(name: Name) -> bytes:
    return _MAGIC + str(name).encode() + b"\n"
