"""Room for readings: what every sink has is let go of, and pages that nobody needs go back to the file system."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from edgegw.spool import attached

_TRIM_records = 10_000  # in one commit, so that a long backlog is let go of in bounded steps
_VACUUM_pages = 256  # given back to the file system in one commit…
_SLACK_pages = 256  # …while more than these are free: pages moved to the front only to be written again soon would wear the card
# What every sink has that takes everything, and no outbox still waits for.
_TRIM = (
    "DELETE FROM record WHERE position IN (SELECT position FROM record"
    " WHERE position <= (SELECT min(position) FROM cursor WHERE sink NOT IN (SELECT sink FROM outbox))"
    " AND position NOT IN (SELECT position FROM attachment) ORDER BY position LIMIT ?)"
)


class Room(NamedTuple):
    """How full a spool is."""

    used_bytes: int
    quota_bytes: int  # that readings may fill
    disk_bytes: int  # that the disk has left for them

    @property
    def limit_bytes(self) -> int:
        """Up to which it can be filled, as things are now."""
        return min(self.quota_bytes, self.used_bytes + self.disk_bytes)


def trim(db: sqlite3.Connection) -> None:
    """Let go of some of what nobody waits for any more."""
    attached.forget(db)
    db.execute(_TRIM, (_TRIM_records,))
    if db.execute("PRAGMA freelist_count").fetchone()[0] > _SLACK_pages:
        for _ in range(_VACUUM_pages):  # it gives back a page a step, and the sqlite3 module takes one step, whatever number it is told
            db.execute("PRAGMA incremental_vacuum(1)")
