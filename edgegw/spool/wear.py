"""What the spool costs its card: the bytes that the kernel was given to write, each day.

The kernel counts for each thread the pages that it made dirty. Every commit and every checkpoint is synced, so for the thread that
writes the spool these are the pages that go to the disk: of the WAL, and of the database again when the WAL is carried over.
What the file system adds for its own journal is not in it, nor the index of the WAL (32 KiB, written back when the kernel likes).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from edgegw.clock import NS_PER_S
from edgegw.spool.attached import Moment

DAY_ns = 86_400 * NS_PER_S
_NOTE_bytes = 4 << 20  # each note is itself a page in the WAL and one in the database
_ACCOUNT = Path("/proc/thread-self/io")  # a kernel without task accounting has no such file
_FIELD = b"\nwrite_bytes: "


class Wear:
    """Of the thread that made it, from then on."""

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open(_ACCOUNT, os.O_RDONLY | os.O_CLOEXEC)
        self._seen = 0
        self._seen = self._now()
        self._unnoted = 0
        self.bytes = 0  # 0 for ever where nobody counts them, or nothing goes to a disk

    def look(self) -> None:
        """Take over what has been written since the last look."""
        now = self._now()
        self.bytes += now - self._seen
        self._unnoted += now - self._seen
        self._seen = now

    def note(self, db: sqlite3.Connection, now: Moment) -> int:
        """From time to time put down what was written; the bytes in the note, for noted() once it is committed."""
        if self._unnoted < _NOTE_bytes:
            return 0
        day = now.wall_ns // DAY_ns  # 0: on days that nobody knows
        db.execute(
            "INSERT INTO written (day, bytes) VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET bytes = bytes + excluded.bytes",
            (day, self._unnoted),
        )
        return self._unnoted

    def noted(self, count: int) -> None:
        """The note is on disk."""
        self._unnoted -= count

    def close(self) -> None:
        """Stop; safe to call twice."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _now(self) -> int:
        if self._file is None:
            return self._seen
        try:
            text = os.pread(self._file, 512, 0)
        except OSError:  # not for who may not trace this process, which a sandbox may take from it at any time
            return self._seen
        at = text.find(_FIELD)
        return int(text[at + len(_FIELD) :].split(b"\n", 1)[0]) if at >= 0 else self._seen
