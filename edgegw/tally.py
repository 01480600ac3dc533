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

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Counts, Run

_MOST = (1 << 63) - 1  # that the spool can store
_HEAD = struct.Struct("=QQQQ")  # produced, filtered, dropped, length of the encoded run behind it


class Tally:
    """The counts of the run of this process; setting one costs a store into memory, no system call."""

    def __init__(self, directory: Path, run: Run) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = codec.encode_run(run)
        hidden, self.path = directory / f".{run.id}", directory / run.id
        self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, _HEAD.pack(0, 0, 0, len(body)) + body)
        hidden.rename(self.path)  # only now may the bridge see it: locked and whole
        self._map = mmap.mmap(self._file, _HEAD.size)
        self._words = memoryview(self._map).cast("Q")  # a word is stored whole or not at all, whenever SIGKILL comes

    def set(self, produced: int, filtered: int, dropped: int) -> None:
        """Take over the counts."""
        self._words[0] = produced
        self._words[1] = filtered
        self._words[2] = dropped

    def close(self) -> None:
        """Let go of the file; it stays for the bridge."""
        self._words.release()
        self._map.close()
        os.close(self._file)


class Ended(contextlib.AbstractContextManager["Ended"]):
    """A tally whose worker is gone; held locked until the block ends, so that nobody else closes the same book."""

    def __init__(self, path: Path, file: int, run: Run, counts: Counts) -> None:
        self.path = path
        self.run = run
        self.counts = counts
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
    for path in sorted(directory.glob("[!.]*")):
        if not path.is_file():
            continue
        file = _locked(path)
        if file is None:
            continue
        try:
            run, counts = _read(file)
        except (struct.error, CodecError):
            path.unlink(missing_ok=True)
            os.close(file)
            continue
        with Ended(path, file, run, counts) as tally:
            yield tally


def _read(file: int) -> tuple[Run, Counts]:
    produced, filtered, dropped, length = _HEAD.unpack(os.pread(file, _HEAD.size, 0))
    if max(produced, filtered, dropped) > _MOST:
        raise CodecError("the counts of the tally are beyond any that a worker reaches")
    return codec.decode_run(os.pread(file, min(length, codec.MAX_MESSAGE_bytes), _HEAD.size)), Counts(produced, filtered, dropped)


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
