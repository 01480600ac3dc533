"""Room kept back on the disk, so that a full one can be drained: letting go of records needs room in the WAL first.

Once a disk is full, SQLite can neither delete nor checkpoint. Then the ballast gives way, what the sinks have can be let go of,
and nothing new is taken in until the ballast is back; or the room it gave would be gone with the next readings.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SIZE_bytes = 4 << 20  # a WAL as long as it gets, and as much again for the database that it is written back to


class Ballast:
    """A file of nothing beside the spool."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = False
        with contextlib.suppress(OSError):
            self._held = path.stat().st_size >= SIZE_bytes  # a power cut may leave the name alone

    @property
    def held(self) -> bool:
        """Whether the room is kept back."""
        return self._held

    def take(self) -> bool:
        """Keep the room back, if it is not yet; False when the disk has not so much."""
        if self._held:
            return True
        if self._free_bytes() < 2 * SIZE_bytes:  # or it would take back at once the room it gave
            return False
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE_bytes)
            finally:
                os.close(file)
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        self._held = True
        return True

    def give_way(self) -> None:
        """Something could not be written: when that is for lack of room on the disk, here is some."""
        if self._held and self._free_bytes() < SIZE_bytes:
            with contextlib.suppress(OSError):  # a disk that became read-only has other troubles than its room
                self._path.unlink(missing_ok=True)
                self._held = False

    def spare_bytes(self) -> int:
        """What the disk has room for before it counts as full."""
        return max(0, self._free_bytes() - (0 if self._held else 2 * SIZE_bytes))

    def _free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:  # the directory is gone, or may not be entered: there is no room there, either
            return 0
        return disk.f_bavail * disk.f_frsize
