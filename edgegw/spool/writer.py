"""The writing side of the spool: group commit, cursors, books, trimming."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgegw import codec
from edgegw.errors import SpoolError
from edgegw.reading import Attachment, Batch, Counts, Letter, Run
from edgegw.spool import attached, file
from edgegw.spool.attached import NEVER, Moment
from edgegw.spool.ballast import Ballast

_TRIM_records = 10_000  # in one commit, so that a long backlog is let go of in bounded steps
_VACUUM_pages = 256  # given back to the file system in one commit…
_SLACK_pages = 256  # …while more than these are free: pages moved to the front only to be written again soon would wear the card
_FRESH_positions = 1 << 40  # a spool that replaces a ruined one counts on from here, so that no cursor of the old one passes its records
# What every sink has that takes everything, and no outbox still waits for.
_TRIM = (
    "DELETE FROM record WHERE position IN (SELECT position FROM record"
    " WHERE position <= (SELECT min(position) FROM cursor WHERE sink NOT IN (SELECT sink FROM outbox))"
    " AND position NOT IN (SELECT position FROM attachment) ORDER BY position LIMIT ?)"
)
_KEPT_RUNS = 10_000  # when more books than this are closed, the older half is forgotten


class Handed(msgspec.Struct, frozen=True):
    """Batches of one run and kind that one commit takes in, joined; `number` is the last one's."""

    run: Run
    number: int
    batch: Batch
    attached: Mapping[int, Attachment] = {}


class Closed(msgspec.Struct, frozen=True):
    """The final counts of a run whose worker is gone."""

    run: Run
    counts: Counts


class Commit(msgspec.Struct, frozen=True):
    """What one transaction writes. Everything in it becomes durable together, or nothing does."""

    handed: Sequence[Handed] = ()
    cursors: Mapping[str, int] = {}
    letters: Sequence[Letter] = ()
    closed: Sequence[Closed] = ()
    damaged: Iterable[int] = ()
    trim: bool = False
    now: Moment = NEVER  # for what is attached


class Spool:
    """The writer. Not for more than one thread, nor for more than one process."""

    def __init__(self, path: Path, sinks: Sequence[str], max_bytes: int = 1 << 30, outboxes: Sequence[str] = ()) -> None:
        """Open or create the spool of `sinks`, some of them outboxes; cursors of sinks that are gone are forgotten. Raises SpoolError."""
        self.path = path
        self._outboxes = outboxes
        self._max_bytes = max_bytes
        self.set_aside: Path | None = None
        with file.explained(path, "use"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._open(sinks, max_bytes)
            except sqlite3.Error as error:
                if not file.ruined(error):  # cannot be opened, locked, no room: the file itself may be sound
                    raise
                self.set_aside, number = file.set_aside(path)
                self._open(sinks, max_bytes, number * _FRESH_positions)
        self._ballast = Ballast(path.with_name(f"{path.name}.ballast"))
        self._ballast.take()

    def _open(self, sinks: Sequence[str], max_bytes: int, before: int = 0) -> None:
        self._db = file.connect(self.path)
        try:
            file.prepare(self._db, max_bytes)
            with self._transaction():
                self._forget_cursors_but(sinks)
                attached.serve(self._db, self._outboxes)
                self._db.execute("SELECT total FROM record ORDER BY position DESC LIMIT 1").fetchone()  # every commit begins there
                if before:
                    self._db.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (before,))
        except BaseException:
            self._db.close()
            raise

    def _forget_cursors_but(self, sinks: Sequence[str]) -> None:
        known = {sink for (sink,) in self._db.execute("SELECT sink FROM cursor")}
        self._db.executemany("DELETE FROM cursor WHERE sink = ?", [(sink,) for sink in known.difference(sinks)])
        self._db.executemany("INSERT OR IGNORE INTO cursor VALUES (?, 0)", [(sink,) for sink in sinks])

    def commit(self, work: Commit) -> int:
        """Write everything in `work` and return, once it is on disk, the newest position. Raises SpoolError; then nothing was written."""
        if work.handed and not self._ballast.take():
            raise SpoolError(f"cannot write to the spool {self.path}: its disk is full, so it takes nothing in until there is room again")
        try:
            with file.explained(self.path, "write to"), self._transaction():
                self._write(work)
        except SpoolError:
            self._ballast.give_way()
            raise
        if not self._ballast.held:  # only by a checkpoint does the file become shorter, and the WAL is not long enough to make one due
            with contextlib.suppress(SpoolError):  # what was committed is durable all the same
                self._asked("PRAGMA wal_checkpoint(PASSIVE)")
        return self.newest()

    def expire(self, before: Moment) -> int:
        """Erase the attachments taken in before then; how many there were. Raises SpoolError, as purge() does."""
        with file.explained(self.path, "write to"), self._transaction():
            return attached.expire(self._db, before)

    def purge(self) -> int:
        """Erase all attachments, also what the WAL still holds of them; how many there were."""
        with file.explained(self.path, "write to"):
            with self._transaction():
                count = attached.purge(self._db)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return count

    def newest(self) -> int:
        """The last position ever given; 0 in a new spool. Raises SpoolError, as all questions do when the file cannot be read."""
        row = self._asked("SELECT seq FROM sqlite_sequence WHERE name = 'record'")
        return int(row[0]) if row else 0

    def cursors(self) -> dict[str, int]:
        """Sink → position of the last record it has."""
        with file.explained(self.path, "read"):
            return dict(self._db.execute("SELECT sink, position FROM cursor"))

    def acked(self, run: str) -> int:
        """Number of the last batch of `run` on disk; -1 where there is none."""
        row = self._asked("SELECT acked FROM run WHERE id = ?", run)
        return int(row[0]) if row else -1

    def bytes(self) -> int:
        """Size of the database file in use, without free pages."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * file.PAGE_bytes

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _asked(self, question: str, *of: str) -> tuple[Any, ...] | None:
        with file.explained(self.path, "read"):
            row: tuple[Any, ...] | None = self._db.execute(question, of).fetchone()
            return row

    def _pragma(self, name: str) -> int:
        row = self._asked(f"PRAGMA {name}")
        return int(row[0]) if row else 0

    def _write(self, work: Commit) -> None:
        # A full spool must be able to take the letters and books of the sinks that drain it. So what frees room comes first, and
        # readings get only fifteen parts in sixteen of it.
        file.limit(self._db, self._max_bytes)
        self._db.executemany("UPDATE cursor SET position = max(position, ?) WHERE sink = ?", [(p, s) for s, p in work.cursors.items()])
        for position in work.damaged:
            self._quarantine(position)
        if work.trim:
            self._trim()
        self._db.executemany("INSERT OR IGNORE INTO dead_letter VALUES (?,?,?,?,?,?,?,?)", map(_letter_row, work.letters))
        for closed in work.closed:
            self._enrol(closed.run)
            self._count(closed.run.id, closed.counts, closed=True)
        if work.closed:
            self._forget_runs()
        file.limit(self._db, self._max_bytes - self._max_bytes // 16)
        for handed in work.handed:
            self._append(handed, work.now)

    def _append(self, handed: Handed, now: Moment) -> None:
        run, batch, payload = handed.run, handed.batch, codec.encode_batch(handed.batch)
        self._enrol(run)
        appended = self._db.execute(
            "INSERT INTO record (run, count, total, crc, payload)"
            " VALUES (?1, ?2, coalesce((SELECT total FROM record ORDER BY position DESC LIMIT 1), 0) + ?2, ?3, ?4)",
            (run.id, len(batch.readings), file.checksum(run.id, payload), payload),
        )
        attached.keep(self._db, appended.lastrowid or 0, handed.attached, now)
        self._db.execute("UPDATE run SET acked = max(acked, ?), kept = kept + ? WHERE id = ?", (handed.number, len(batch.readings), run.id))
        self._count(run.id, batch.counts, closed=False)

    def _enrol(self, run: Run) -> None:
        body = codec.encode_run(run)
        self._db.execute(  # a body that was damaged is put right: without it nothing of this run could be read
            "INSERT INTO run (id, body, crc) VALUES (?,?,?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body, crc = excluded.crc WHERE body != excluded.body OR crc != excluded.crc",
            (run.id, body, file.checksum(run.id, body)),
        )

    def _count(self, run: str, counts: Counts, *, closed: bool) -> None:
        self._db.execute(
            "UPDATE run SET produced = max(produced, ?), filtered = max(filtered, ?), dropped = max(dropped, ?), closed = max(closed, ?)"
            " WHERE id = ?",
            (counts.produced, counts.filtered, counts.dropped, closed, run),
        )

    def _quarantine(self, position: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO damaged SELECT * FROM record WHERE position = ?", (position,))
        self._db.execute("DELETE FROM record WHERE position = ?", (position,))

    def _trim(self) -> None:
        attached.forget(self._db)
        self._db.execute(_TRIM, (_TRIM_records,))
        if self._pragma("freelist_count") > _SLACK_pages:
            for _ in range(_VACUUM_pages):  # it gives back a page a step, and the sqlite3 module takes one step, whatever number it is told
                self._db.execute("PRAGMA incremental_vacuum(1)")

    def _forget_runs(self) -> None:
        if self._db.execute("SELECT count(*) FROM run").fetchone()[0] <= _KEPT_RUNS:
            return
        self._db.execute(
            "DELETE FROM run WHERE closed"
            " AND id NOT IN (SELECT run FROM record UNION SELECT run FROM dead_letter UNION SELECT run FROM damaged)"
            " AND id < (SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (_KEPT_RUNS // 2,),
        )


def _letter_row(letter: Letter) -> tuple[str, str, int, str, bytes, str, str, int]:
    body = msgspec.msgpack.encode(letter.reading)
    return (letter.sink, letter.run.id, letter.reading.seq, letter.kind, body, letter.code, letter.reason, letter.time_ns)
