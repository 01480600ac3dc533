"""The directories of a gateway: made, checked, and held by one gateway at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edgegw.errors import AlreadyRunning, EdgegwError, Exit
from edgegw.notify import SOCKET_PATH_bytes
from edgegw.paths import Paths

_UMASK = 0o077
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class PlaceError(EdgegwError):
    """A directory cannot be used."""

    exit_code = Exit.CANNOT_CREATE


@contextlib.contextmanager
def claimed(paths: Paths) -> Iterator[None]:
    """Both directories exist, are ours alone, and no other gateway uses them; umask 0077.

    Removes sockets that a killed gateway left, and its own at the end. Raises AlreadyRunning or PlaceError, having touched nothing.
    """
    umask = os.umask(_UMASK)
    try:
        _directory(paths.runtime, may_be_link=False)
        _directory(paths.state, may_be_link=True)
        _short_enough(paths)
        with _held(paths), _no_sockets(paths):
            yield
    finally:
        os.umask(umask)


def _directory(path: Path, *, may_be_link: bool) -> None:
    """A stranger who owns the directory, or may write into it, could put sockets of his own in the place of ours."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat() if may_be_link else path.lstat()
    except OSError as error:
        raise PlaceError(f"cannot create the directory {path}: {error.strerror}") from None
    if stat.S_ISLNK(found.st_mode):
        raise PlaceError(f"{path} is a symbolic link; for the sockets give the directory itself")
    if found.st_uid != os.geteuid():
        raise PlaceError(f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()} who runs this: start as its owner")
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise PlaceError(f"{path} is writable by others: chmod go-w {path}")


def _short_enough(paths: Paths) -> None:
    longest = max((paths.control, paths.notify, paths.bus, paths.tap), key=lambda path: len(os.fsencode(path)))
    excess = len(os.fsencode(longest)) - SOCKET_PATH_bytes
    if excess > 0:
        raise PlaceError(f"{longest} is {excess} bytes too long for a socket: choose a shorter runtime_dir")


@contextlib.contextmanager
def _held(paths: Paths) -> Iterator[None]:
    """flock on a file in the runtime directory and on the state directory itself: two gateways must not share either."""
    with (
        _locked(paths.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, f"runtime directory {paths.runtime}") as lock,
        _locked(paths.state, os.O_RDONLY | os.O_DIRECTORY, f"state directory {paths.state}"),
    ):
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())  # for people; nothing ever signals it
        yield


@contextlib.contextmanager
def _locked(path: Path, flags: int, what: str) -> Iterator[int]:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PlaceError(f"cannot open {path}: {error.strerror}") from None
    try:
        _lock(fd, what)
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int, what: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(f"a gateway{_holder(fd)} is already using the {what}; this one has touched nothing") from None


def _holder(fd: int) -> str:
    """Who holds the lock. The kernel knows; what stands in the file is of the one before, while the one that won is about to write."""
    pid = _locker(fd)
    if not pid:
        with contextlib.suppress(OSError, ValueError):
            pid = int(os.pread(fd, 32, 0))
    return f" (pid {pid})" if pid else ""


def _locker(fd: int) -> int:
    """The pid in /proc/locks; 0 where it cannot be told (a file system with device numbers of its own, another pid namespace)."""
    about = os.fstat(fd)
    file = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    with contextlib.suppress(OSError, ValueError), open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            words = line.split()
            if words[1] == "FLOCK" and words[5] == file:
                return max(0, int(words[4]))
    return 0


@contextlib.contextmanager
def _no_sockets(paths: Paths) -> Iterator[None]:
    _remove_sockets(paths)
    try:
        yield
    finally:
        _remove_sockets(paths)


def _remove_sockets(paths: Paths) -> None:
    for path in (paths.control, paths.notify, paths.bus, paths.tap):
        with contextlib.suppress(OSError):
            path.unlink()
