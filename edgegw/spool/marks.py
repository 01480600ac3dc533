"""Time put right: what was read before the clock was set gets its time from the clock that counts from boot.

A board without a battery for its clock starts in the past. Its readings carry CLOCK_BOOTTIME as well, so one durable mark (at this
boot time it was that time of day) dates all of that boot. Until there is a mark, what was read unsynced is held back from the sinks:
the time is part of a row's key, and a reading that was shown with one time must never be shown with another. When the mark
does not come in time, the readings go out as unsynced, and only later ones are put right.
"""

from __future__ import annotations

import sqlite3

import msgspec

from edgegw.reading import Batch, ClockState, Reading
from edgegw.spool.attached import Moment


class Mark(msgspec.Struct, frozen=True):
    """What is known of one boot's clock."""

    shown: int  # its records up to this position had been given out as they were before the clock was set
    boot_ns: int
    wall_ns: int  # at boot_ns; 0: nobody knows, and nobody waits for it any more


def write(db: sqlite3.Connection, moment: Moment) -> None:
    """The clock is right: at `moment`. Only the first mark of a boot counts."""
    db.execute(
        "INSERT INTO mark (boot_id, boot_ns, wall_ns) VALUES (?,?,?) ON CONFLICT (boot_id) DO UPDATE SET"
        " position = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'record'), 0),"
        " boot_ns = excluded.boot_ns, wall_ns = excluded.wall_ns WHERE wall_ns = 0",
        moment,
    )


def give_up(db: sqlite3.Connection, boot_id: str) -> None:
    """Nobody waits for the clock of this boot any more: what was read goes out as it is, until a mark comes after all."""
    db.execute("INSERT OR IGNORE INTO mark (boot_id, given_up) VALUES (?, 1)", (boot_id,))


def forget(db: sqlite3.Connection, boot_id: str) -> None:
    """Marks of other boots than this one, once nothing of them can be left."""
    if not db.execute("SELECT 1 FROM record LIMIT 1").fetchone():
        db.execute("DELETE FROM mark WHERE boot_id != ?", (boot_id,))


def of_boot(db: sqlite3.Connection, boot_id: str) -> Mark | None:
    """None: there may be one to come."""
    row = db.execute("SELECT position, boot_ns, wall_ns FROM mark WHERE boot_id = ?", (boot_id,)).fetchone()
    return Mark(*row) if row else None


def timeless(batch: Batch) -> bool:
    """Whether there is a reading in it whose time is doubtful."""
    return any(reading.clock is ClockState.UNSYNCED for reading in batch.readings)


def dated(batch: Batch, position: int, mark: Mark) -> Batch:
    """`batch`, its doubtful times put right as far as `mark` can; pure, and the same whenever it is asked."""
    if not mark.wall_ns or position <= mark.shown:
        return batch
    ahead_ns = mark.wall_ns - mark.boot_ns
    return msgspec.structs.replace(batch, readings=tuple([_dated(reading, ahead_ns) for reading in batch.readings]))


def _dated(reading: Reading, ahead_ns: int) -> Reading:
    if reading.clock is not ClockState.UNSYNCED:
        return reading
    return msgspec.structs.replace(reading, time_ns=reading.boot_ns + ahead_ns, clock=ClockState.RESTAMPED)
