"""Attachments in the spool: written with their record, kept until every outbox has passed it, and then erased, not just unlinked.

They may be pictures of people, so three things end their stay: the sinks that asked for them have them, their time is over, or
somebody purges them. What ended otherwise than by delivery leaves its row behind, without the data, so that the outbox can say so.
Erasing writes zeros over the pages of the database (SQLite's secure_delete); old pages in the WAL are overwritten as it goes round.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from edgegw import codec
from edgegw.clock import Clock
from edgegw.errors import CodecError
from edgegw.reading import Attachment, ClockState
from edgegw.spool import file, remains

_PASSED = "position <= (SELECT min(position) FROM cursor WHERE sink IN (SELECT sink FROM outbox))"
_OLD = (  # of another boot, by the wall clock where it was right both times, or because this boot alone is longer than that
    "gone = '' AND CASE WHEN boot_id = :boot_id THEN boot_ns < :boot_ns ELSE :boot_ns > 0 OR (wall_ns > 0 AND wall_ns < :wall_ns) END"
)


class Moment(NamedTuple):
    """When something happened, by the clock that never jumps and by the one that people read."""

    boot_id: str
    boot_ns: int
    wall_ns: int  # 0 while that clock is not synchronised

    def before(self, age_ns: int) -> Moment:
        """So long ago."""
        return Moment(self.boot_id, self.boot_ns - age_ns, self.wall_ns - age_ns)


NEVER = Moment("", 0, 0)


def moment(clock: Clock, boot_id: str) -> Moment:
    """Now."""
    return Moment(boot_id, clock.boot_ns(), clock.wall_ns() if clock.state() is ClockState.SYNCED else 0)


def serve(db: sqlite3.Connection, outboxes: Sequence[str]) -> None:
    """From now on these sinks are the ones that take attachments; without any, none are kept."""
    db.execute("DELETE FROM outbox")
    db.executemany("INSERT INTO outbox VALUES (?)", [(sink,) for sink in outboxes])
    if not outboxes:
        _erase(db, "DELETE FROM attachment")


def keep(db: sqlite3.Connection, position: int, attached: Mapping[int, Attachment], now: Moment) -> None:
    """Those of the record at `position`, if anybody takes such."""
    if attached and db.execute("SELECT 1 FROM outbox").fetchone():
        rows = [(position, seq, *now, *_columns(one)) for seq, one in attached.items()]
        with zeroing(db):
            db.executemany("INSERT INTO attachment VALUES (?,?,?,?,?,?,?,?,?)", rows)


def forget(db: sqlite3.Connection) -> None:
    """Erase what every outbox has passed."""
    if db.execute(f"SELECT 1 FROM attachment WHERE {_PASSED}").fetchone():  # noqa: S608 - a constant of this file
        _erase(db, f"DELETE FROM attachment WHERE {_PASSED}")  # noqa: S608 - a constant of this file


def give_up(db: sqlite3.Connection, position: int) -> int:
    """Erase those of a record that gives way; how many there were."""
    count = int(db.execute("SELECT count(*) FROM attachment WHERE position = ?", (position,)).fetchone()[0])
    if count:
        _erase(db, "DELETE FROM attachment WHERE position = :position", {"position": position})
    return count


def expire(db: sqlite3.Connection, before: Moment) -> int:
    """Erase the data of what was taken in before then; how many there were. What nobody can date is kept."""
    return _bare(db, "expired", _OLD, before._asdict())


def purge(db: sqlite3.Connection) -> int:
    """Erase the data of all; how many there were."""
    return _bare(db, "purged", "gone = ''", {})


def purge_file(path: Path) -> int:
    """As purge(), and what the WAL holds of them, in a spool that nobody has open; how many there were. Raises SpoolError."""
    with file.explained(path, "write to"), contextlib.closing(file.connect(path, "rw")) as db:
        if file.form(db) < file.FORMAT:  # from before there were any
            return 0
        db.execute("BEGIN IMMEDIATE")
        count = purge(db)
        remains.forgo(db)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        remains.wipe(path)
        return count


def of_record(db: sqlite3.Connection, position: int) -> dict[int, Attachment]:
    """Those of the record at `position`, by seq."""
    rows = db.execute("SELECT seq, gone, about, crc, data FROM attachment WHERE position = ?", (position,))
    return {seq: _attachment(*columns) for seq, *columns in rows}


def _columns(attachment: Attachment) -> tuple[str, bytes, int, bytes]:
    about = codec.encode_attachment(msgspec.structs.replace(attachment, data=b"", gone=""))
    return attachment.gone, about, file.checksum("", about + attachment.data), attachment.data


def _attachment(gone: str, about: bytes, crc: int, data: bytes) -> Attachment:
    try:
        found = codec.decode_attachment(about)
        intact = bool(gone) or crc == file.checksum("", about + data)
    except (CodecError, TypeError):  # a flipped bit may change the type of a column, too
        found, intact = Attachment("", b""), False
    return msgspec.structs.replace(found, data=data if intact else b"", gone=gone if intact else "damaged")


def _bare(db: sqlite3.Connection, gone: str, which: str, values: Mapping[str, object]) -> int:
    """Rows without data in the place of these. A new row each: after an UPDATE the page still has the first bytes of the old one."""
    kept = "position, seq, boot_id, boot_ns, wall_ns, :gone, about, crc, x''"
    rows = db.execute(f"SELECT {kept} FROM attachment WHERE {which}", {**values, "gone": gone}).fetchall()  # noqa: S608 - constants of this file
    if rows:
        with zeroing(db):
            db.execute(f"DELETE FROM attachment WHERE {which}", values)  # noqa: S608 - a constant of this file
            db.executemany("INSERT INTO attachment VALUES (?,?,?,?,?,?,?,?,?)", rows)
    return len(rows)


def _erase(db: sqlite3.Connection, statement: str, values: Mapping[str, object] = MappingProxyType({})) -> None:
    with zeroing(db):
        db.execute(statement, dict(values))


@contextlib.contextmanager
def zeroing(db: sqlite3.Connection) -> Iterator[None]:
    """Room that becomes free is filled with zeros: also when a row comes, for a page that is split keeps what has moved away from it.

    Only for attachments: each page that trimming frees would be written once more, and a card has only so many writes.
    """
    db.execute("PRAGMA secure_delete=ON")
    try:
        yield
    finally:
        db.execute("PRAGMA secure_delete=OFF")
