"""Files that were set aside: a picture does not outlive its time because the file that it is in is broken.

Pictures may lie anywhere in a ruined file, also where nothing points to. So all of it is overwritten: when somebody purges, and where
there is an outbox as soon as the last picture in it would be too old. What was still to be read of it is read first, without pictures.
The name stays, with nothing behind it: the next ruined file must not get the same number.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from edgegw.spool import file

_CHUNK_bytes = 1 << 20
_PURGED = "SELECT number FROM salvaged WHERE purged AND done"


def mark_of(aside: Path) -> Path:
    """The file beside it that says that all of it was taken over; its time is when."""
    return aside.with_name(f"{aside.name}.salvaged")


def forgo(db: sqlite3.Connection) -> None:
    """Take over no more pictures of files that are being read; when all else of one is here, the next sweep() overwrites it."""
    db.execute("UPDATE salvaged SET purged = 1 WHERE NOT done")


def wipe(path: Path) -> None:
    """Overwrite every file of which there is nothing left to read. Raises OSError."""
    for _, aside in _asides(path):
        if mark_of(aside).exists():
            _overwrite(aside)


def sweep(db: sqlite3.Connection, path: Path, before_ns: int) -> None:
    """Overwrite what somebody has purged meanwhile, and what was done with before then (wall clock). Raises OSError."""
    purged = {number for (number,) in db.execute(_PURGED)}
    outbox = db.execute("SELECT 1 FROM outbox").fetchone() is not None
    for number, aside in _asides(path):
        if number in purged or (outbox and _older(mark_of(aside), before_ns)):
            _overwrite(aside)


def _asides(path: Path) -> Iterator[tuple[int, Path]]:
    numbers = ((number, file.aside_name(path, number)) for number in itertools.count(1))
    return itertools.takewhile(lambda each: each[1].exists(), numbers)


def _older(mark: Path, before_ns: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return mark.stat().st_mtime_ns < before_ns
    return False


def _overwrite(aside: Path) -> None:
    """It and its WAL, with zeros, on the disk; then there is nothing behind the names. Does nothing the second time."""
    for path in (aside, aside.with_name(f"{aside.name}-wal")):
        with contextlib.suppress(FileNotFoundError), path.open("r+b", buffering=0) as held:
            _zero(held)


def _zero(held: FileIO) -> None:
    left = os.fstat(held.fileno()).st_size
    while left:
        left -= held.write(bytes(min(left, _CHUNK_bytes)))
    os.fsync(held.fileno())
    held.truncate(0)
    os.fsync(held.fileno())
