"""How the drill takes the room away that the spool needs: a small disk of its own that is filled, or where that cannot be, a quota."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from edgegw.cli.drill.servers import Server

SIZE_bytes = 64 << 20
FILLER = "filler"
QUOTA_bytes = 20_000  # a metronome fills it within some seconds

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000  # unshare(2)
_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 0x4000, 0x40000, 0x2, 0x4  # mount(2)
_MNT_DETACH = 2  # umount2(2)


class Room(Protocol):
    """What `full-disk` plays with; each step returns what was done, where it was anything."""

    @property
    def method(self) -> str: ...  # how, in a sentence
    @property
    def drains(self) -> bool: ...  # whether the sinks take what is in the spool, while it has no room

    def prepare(self) -> str: ...
    def fill(self) -> str: ...
    def free(self) -> str: ...
    def restore(self) -> str: ...
    def close(self) -> None: ...


class SmallDisk:
    """A tmpfs on `directory`, which only this process and its children see; it goes with them."""

    drains = True

    def __init__(self, directory: Path) -> None:
        """Raises OSError."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        _mount("drill", str(directory), "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={SIZE_bytes},mode=700")
        self.method = f"the state directory lies on a disk of its own, {SIZE_bytes >> 20} MiB of memory, which is filled to the last byte"

    def prepare(self) -> str:
        """Nothing: it is small already."""
        return ""

    restore = prepare

    def fill(self) -> str:
        """To the last byte."""
        file = os.open(self._directory / FILLER, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        written = 0
        try:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):  # ENOSPC ends it
                    while True:
                        written += os.write(file, bytes(size))
        finally:
            os.close(file)
        return f"a file of {written >> 20} MiB takes all that its disk has"

    def free(self) -> str:
        """As it was."""
        (self._directory / FILLER).unlink(missing_ok=True)
        return "the file is deleted"

    def close(self) -> None:
        """Unmount it; what lies there is gone."""
        _libc().umount2(str(self._directory).encode(), _MNT_DETACH)


class Quota:
    """No disk of our own here: a quota in the spool, that each metronome fills while nobody fetches anything from there."""

    drains = False

    def __init__(self, apply: Callable[[str], str], servers: Sequence[Server], why: str) -> None:
        """`apply` reloads with these lines for each metronome."""
        self._apply = apply
        self._servers = servers
        self.method = f"no disk can be mounted here ({why}), so a quota of {QUOTA_bytes} bytes a sensor takes its place"

    def prepare(self) -> str:
        """The quota."""
        return self._apply(f"spool_max_bytes = {QUOTA_bytes}")

    def fill(self) -> str:
        """Nobody fetches anything any more."""
        return self._servers[0].cut()

    def free(self) -> str:
        """Somebody does again."""
        return self._servers[0].mend()

    def restore(self) -> str:
        """No quota."""
        return self._apply("")

    def close(self) -> None:
        """Nothing is held."""


def alone() -> str:
    """Give this process mounts of its own; why that cannot be, or nothing. It may have no other thread yet.

    It works for root, and for everybody where the kernel lets users have namespaces. A child tries it first: some systems grant a
    namespace and refuse every mount in it, and there is no way back out of that.
    """
    child = os.fork()
    if child == 0:
        os._exit(_tried())
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        return os.strerror(abs(number)).lower()
    _separate()
    return ""


def _tried() -> int:
    """The errno that it ended with; 0: it works."""
    try:
        _separate()
        _mount("drill", tempfile.gettempdir(), "tmpfs", _MS_NOSUID | _MS_NODEV, "size=64k")
    except OSError as error:
        return error.errno or errno.EPERM
    return 0


def _separate() -> None:
    flags = _CLONE_NEWNS if os.geteuid() == 0 else _CLONE_NEWNS | _CLONE_NEWUSER
    uid, gid = os.geteuid(), os.getegid()
    _done(_libc().unshare(flags))
    if flags & _CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    _done(_libc().mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
