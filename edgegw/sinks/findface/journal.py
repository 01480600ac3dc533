"""What was sent, for the process after this one: a few bytes a face in the runtime directory, so that a crash doubles nothing.

The bridge commits its cursors about once a second; what was taken since the last time is given to the next process again. This file
says which faces those are. It holds numbers, no pictures. A SIGKILL ends the process but not what it wrote; a reboot takes the file
along, and then what the other process may have sent is in doubt.
"""

from __future__ import annotations

import contextlib
import enum
import os
import re
from collections import deque
from pathlib import Path

from edgegw.sinks.findface.event import Key

KEPT_lines = 2000  # of the newest; two or three a face, and a second sees a hundred faces at most
_LINE = re.compile(rb"([STN]) (\S{1,64}) (\d{1,19})\n")


class Mark(enum.Enum):
    """What the journal says of a face."""

    SENT = b"S"  # written before the first byte goes out
    TAKEN = b"T"
    NOT_THERE = b"N"  # the server has said that it did not take it


class Journal:
    """Never raises: where it cannot write it takes itself away, for half a journal would be believed."""

    def __init__(self, path: Path | None) -> None:
        """`path`: the file; None: nothing is known, and nothing kept. Nothing is touched before load()."""
        self.known = False  # whether the process before this one has left us its journal
        self._path = path
        self._before: dict[Key, Mark] = {}
        self._lines: deque[bytes] = deque(maxlen=KEPT_lines)
        self._written = 0
        self._file = -1

    def load(self) -> None:
        """Read what the process before this one has written, and go on behind it."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            for found in _LINE.finditer(self._path.read_bytes()):
                self._before[(found[2].decode(errors="replace"), int(found[3]))] = Mark(found[1])
                self._lines.append(found[0])
            self.known = True
        self._begin()

    def before(self, key: Key) -> Mark | None:
        """What the process before this one has written of a face."""
        return self._before.get(key)

    def note(self, key: Key, mark: Mark) -> None:
        """Write it down, before anything else happens."""
        if self._path is None:
            return
        line = b"%s %s %d\n" % (mark.value, key[0].encode(), key[1])
        self._lines.append(line)
        self._written += 1
        if self._file < 0 or self._written > KEPT_lines:
            self._begin()
        else:
            self._write(line)

    def close(self) -> None:
        """Let go of the file, which stays."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _begin(self) -> None:
        """A file with the newest lines in the place of the old one."""
        self.close()
        self._written = 0
        if self._path is None:
            return
        new = self._path.with_suffix(".new")
        try:
            self._file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.write(self._file, b"".join(self._lines))
            os.replace(new, self._path)
        except OSError:
            self._give_up()

    def _write(self, line: bytes) -> None:
        try:
            os.write(self._file, line)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        path, self._path = self._path, None
        self.close()
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
