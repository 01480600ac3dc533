"""Log lines to a file of one process, bounded and rotated; for a gateway in the background without journald."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from edgegw.log.entry import Entry, json_line
from edgegw.log.lines import Lines

MAX_FILE_bytes = 1 << 20
KEEP = 3


class FileSink:
    """JSON lines in `path`, older ones in `path`.1, `path`.2 …: `keep` files (2 or more) of `max_bytes` each at most.

    A line longer than that has a file of its own. Not fsynced: a power cut takes the last seconds of a log, an fsync per
    line would wear out the card. This is the one sink that a hung disk can block, as it does any write to a regular file.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_bytes, keep: int = KEEP) -> None:
        """Touches nothing yet: a directory that cannot be written is trouble counted later, no reason not to start."""
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd: int | None = None
        self._size_bytes = 0
        self._lines = Lines(self._send)

    @property
    def trouble(self) -> Counter[str]:
        """Errors met, by errno."""
        return self._lines.trouble

    def write(self, entry: Entry) -> bool:
        """Take the entry, or False: not now (the disk is full, the directory gone)."""
        if not self._lines.flush():  # before the turn of the file: what is begun ends in the same one
            return False
        line = json_line(entry)
        if self._fd is not None and (self._size_bytes + len(line) > self._max_bytes or os.fstat(self._fd).st_nlink == 0):
            self.close()  # full, or somebody has removed it: the next one is opened by its name
        return self._lines.write(line)

    def flush(self) -> bool:
        """Send on what waits of the last line; True when nothing does."""
        return self._lines.flush()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _send(self, data: bytes) -> int:
        if self._fd is None:
            self._open(len(data))
        assert self._fd is not None
        taken = os.write(self._fd, data)
        self._size_bytes += taken
        return taken

    def _open(self, wanted_bytes: int) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.is_file() and self._path.stat().st_size + wanted_bytes > self._max_bytes:
            self._rotate()
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        try:
            self._size_bytes = _end_torn_line(fd)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def _rotate(self) -> None:
        for number in range(self._keep - 2, -1, -1):
            old = numbered(self._path, number)
            if old.exists():
                old.replace(numbered(self._path, number + 1))


def _end_torn_line(fd: int) -> int:
    """Make sure that the file ends with a newline, which a crash may have kept it from; returns its size."""
    size_bytes = os.fstat(fd).st_size
    if size_bytes and os.pread(fd, 1, size_bytes - 1) != b"\n":
        size_bytes += os.write(fd, b"\n")
    return size_bytes


def numbered(path: Path, number: int) -> Path:
    """`path` as it is called after `number` rotations; 0 is the file being written."""
    return path.with_name(f"{path.name}.{number}") if number else path
