"""A worker's counts, kept where they outlive it: one small memory-mapped file per run, in the runtime directory.

A worker that is killed takes its unacknowledged window with it. Its tally stays, so the bridge learns how many readings
the dead run had produced, and what is missing is declared instead of forgotten. The worker holds a flock on the file for
as long as it lives; the kernel drops that lock at death, however it came, and that is how the bridge knows.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Counts, Run

_MOST = (1 << 63) - 1  # that the spool can store
# Two sets of (produced, filtered, dropped, held + 1), before them which of the two counts, behind them the length of the encoded run.
_HEAD = struct.Struct("=Q4Q4QQ")
_SETS = (1, 5)  # words; where each set begins
_LOCKS = Path("/proc/locks")


class Tally:
    """The counts of the run of this process; setting them costs a few stores into memory, no system call."""

    def __init__(self, directory: Path, run: Run) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = codec.encode_run(run)
        hidden, self.path = directory / f".{run.id}", directory / run.id
        self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, _HEAD.pack(*[0] * 9, len(body)) + body)
        hidden.rename(self.path)  # only now may the bridge see it: locked and whole
        self._map = mmap.mmap(self._file, _HEAD.size)
        self._words = memoryview(self._map).cast("Q")  # a word is stored whole or not at all, whenever SIGKILL comes
        self._set = 0

    def set(self, produced: int, filtered: int, dropped: int, held: int = -1) -> None:
        """Take over the counts, all at once: SIGKILL in the middle leaves those of before."""
        after = 1 - self._set
        at = _SETS[after]
        self._words[at] = produced
        self._words[at + 1] = filtered
        self._words[at + 2] = dropped
        self._words[at + 3] = held + 1
        self._words[0] = self._set = after

    def leave(self, held: int) -> None:
        """The worker's last word: it ends in order, and `held` readings are not acknowledged."""
        at = _SETS[self._set]
        produced, filtered, dropped = self._words[at : at + 3]
        self.set(produced, filtered, dropped, held)

    def close(self) -> None:
        """Let go of the file; it stays for the bridge."""
        self._words.release()
        self._map.close()
        os.close(self._file)


class Count(msgspec.Struct, frozen=True):
    """What a tally says."""

    run: Run
    counts: Counts
    held: int  # readings not acknowledged when the worker left in order; -1: it has not said that it left
    living: bool = False  # its worker has it


class Ended(contextlib.AbstractContextManager["Ended"]):
    """A tally whose worker is gone; held locked until the block ends, so that nobody else closes the same book."""

    def __init__(self, path: Path, file: int, count: Count) -> None:
        self.path = path
        self.run = count.run
        self.counts = count.counts
        self.held = count.held
        self._file = file

    def __exit__(self, *_: object) -> None:
        file, self._file = self._file, -1
        if file >= 0:  # closed twice, the number might be another file's by then
            os.close(file)

    def forget(self) -> None:
        """Remove the file, once its counts are durable elsewhere."""
        self.path.unlink(missing_ok=True)


def ended(directory: Path) -> Iterator[Ended]:
    """The tallies of workers that are gone. A file that is none is removed: nothing else may lie there."""
    for path in _files(directory):
        file = _locked(path)
        if file is None:
            continue
        try:
            count = _read(file)
        except (struct.error, CodecError):
            path.unlink(missing_ok=True)
            os.close(file)
            continue
        with Ended(path, file, count) as tally:
            yield tally


def counts(directory: Path) -> dict[str, Count]:
    """Run → what its tally says now, of living workers too; takes no lock, so that nobody who does is kept from it."""
    held = _flocked()
    found: dict[str, Count] = {}
    for path in _files(directory):
        with contextlib.suppress(OSError, struct.error, CodecError):  # closed meanwhile, or none
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                found[path.name] = msgspec.structs.replace(_read(file), living=held is None or os.fstat(file).st_ino in held)
            finally:
                os.close(file)
    return found


def names(directory: Path) -> set[str]:
    """The runs that have a tally."""
    return {path.name for path in _files(directory)}


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.glob("[!.]*")) if path.is_file())


def _flocked() -> set[int] | None:
    """The inodes that somebody holds a flock on; None where the kernel does not say. To try each lock would hinder those who need it."""
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    words = (line.split() for line in lines)
    return {int(of[5].rpartition(":")[2]) for of in words if len(of) > 5 and of[1] == "FLOCK"}


def _read(file: int) -> Count:
    words = _HEAD.unpack(os.pread(file, _HEAD.size, 0))
    at = _SETS[words[0] & 1]
    produced, filtered, dropped, held = words[at : at + 4]
    if max(produced, filtered, dropped, held) > _MOST:
        raise CodecError("the counts of the tally are beyond any that a worker reaches")
    body = os.pread(file, min(words[-1], codec.MAX_MESSAGE_bytes), _HEAD.size)
    return Count(codec.decode_run(body), Counts(produced, filtered, dropped), held - 1)


def _locked(path: Path) -> int | None:
    """The file, opened and locked; None while its worker lives or somebody else closes its book, and when it is gone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    if os.fstat(file).st_nlink == 0:  # between our open and our lock, its book was closed and the file removed
        os.close(file)
        return None
    return file
