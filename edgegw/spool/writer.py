"""The writing side of the spool: one transaction a commit, and what must hold around it."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgegw import codec, failpoint
from edgegw.errors import SpoolError
from edgegw.spool import attached, books, file, gate, letters, marks, progress, remains, room, salvage, settle
from edgegw.spool.attached import Moment
from edgegw.spool.ballast import Ballast
from edgegw.spool.evict import Eldest
from edgegw.spool.gate import Gate, Packed, Verdict
from edgegw.spool.salvage import Salvaged, Salvor
from edgegw.spool.share import NO_ROOM, Share, Turn
from edgegw.spool.wear import Wear
from edgegw.spool.work import Commit

_PIECES_at_once = 2  # of a ruined file, while it is opened: a small one needs no more


class Spool:
    """The writer. Not for more than one thread, nor for more than one process."""

    def __init__(
        self,
        path: Path,
        sinks: Sequence[str],
        max_bytes: int = 1 << 30,
        outboxes: Sequence[str] = (),
        shares: Mapping[str, Share] = MappingProxyType({}),
    ) -> None:
        """Open or create the spool of `sinks`, some of them outboxes; cursors of sinks that are gone are forgotten. Raises SpoolError.

        `shares` are the sensors' own parts of the `max_bytes`, and what becomes of readings that have no room.
        """
        self.path = path
        self._outboxes = outboxes
        self._shares = shares
        # A larger file than the process may write fails as a broken disk does, and then nothing can be drained.
        limits = (max_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[0])
        self.max_bytes = min(each for each in limits if each != resource.RLIM_INFINITY)
        self.set_aside: Path | None = None
        with file.explained(path, "use"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._open(sinks)
            except sqlite3.Error as error:
                if not file.ruined(error):  # cannot be opened, locked, no room: the file itself may be sound
                    raise
                self.set_aside = file.set_aside(path)
                self._open(sinks)
        with file.explained(path, "use"):
            file.sync_place(path.parent)
        self._wear = Wear()
        self._ballast = Ballast(path.with_name(f"{path.name}.ballast"))
        self._ballast.take()

    def _open(self, sinks: Sequence[str]) -> None:
        self._db = file.connect(self.path)
        try:
            file.prepare(self._db, self.max_bytes)
            file.write_anew(self._db)
            self.inode = self.path.stat().st_ino
            with self._transaction():
                progress.serve(self._db, sinks)
                attached.serve(self._db, self._outboxes)
                self._db.execute("SELECT total FROM record ORDER BY position DESC LIMIT 1").fetchone()  # every commit begins there
                salvage.begin(self._db, self.path)
            self.salvor = Salvor(self._db, self.path)
            for _ in range(_PIECES_at_once):
                self.salvor.work(self._transaction, 2 * self.max_bytes)
            self._eldest = Eldest(self._db)
        except BaseException:
            self._db.close()
            raise

    def salvage(self) -> list[Salvaged]:
        """Take over the next piece of a ruined file that was set aside; the files that are done since this was asked. Raises SpoolError."""
        with file.explained(self.path, "write to"):
            if self.salvor.work(self._transaction, 2 * self.max_bytes):
                self._eldest = Eldest(self._db)
            return self.salvor.ended()

    def commit(self, work: Commit) -> int:
        """Write everything in `work` and return, once it is on disk, the newest position. Raises SpoolError; then nothing was written."""
        return self._commit(work, whole=True).newest

    def fit(self, work: Commit) -> Turn:
        """As commit(), but of what is handed over only what there is room for. Raises SpoolError; then nothing was written."""
        return self._commit(work, whole=False)

    def _commit(self, work: Commit, *, whole: bool) -> Turn:
        disk_full = bool(work.handed) and not self._ballast.take()
        try:
            with file.explained(self.path, "write to"):
                self._look()
                with self._transaction():
                    verdict = self._write(work, disk_full=disk_full)
                    if whole and verdict.blocked:
                        why = NO_ROOM[next(iter(verdict.blocked.values()))]
                        raise SpoolError(f"cannot write to the spool {self.path}: {why}")
                    noted = self._wear.note(self._db, work.now)
        except SpoolError:
            self._ballast.give_way()
            raise
        self._wear.noted(noted)
        if not self._ballast.held:  # only by a checkpoint does the file become shorter, and the WAL is not long enough to make one due
            with contextlib.suppress(SpoolError):  # what was committed is durable all the same
                self._asked("PRAGMA wal_checkpoint(PASSIVE)")
        self._wear.look()
        kept = sum(len(each.handed.batch.readings) for each in verdict.taken)
        return Turn(self.newest(), kept, verdict.blocked, verdict.given_up)

    def _look(self) -> None:
        """A file that was removed can be written to as if nothing had happened, until it is closed; then all of it is gone."""
        if self.path.stat().st_ino != self.inode:
            raise file.Unfit("it was replaced by another file while it was in use")

    def expire(self, before: Moment) -> int:
        """Erase the attachments taken in before then; how many there were. Raises SpoolError, as purge() does."""
        with file.explained(self.path, "write to"):
            with self._transaction():
                count = attached.expire(self._db, before)
            remains.sweep(self._db, self.path, before.wall_ns)
            return count

    def purge(self) -> int:
        """Erase all attachments, also what the WAL still holds of them; how many there were."""
        with file.explained(self.path, "write to"):
            with self._transaction():
                count = attached.purge(self._db)
                remains.forgo(self._db)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            remains.wipe(self.path)
            return count

    def letters(self, choice: letters.Choice, *, drop: bool) -> int:
        """Let the sinks be given these dead letters again, or give them up; how many there were. Raises SpoolError."""
        with file.explained(self.path, "write to"), self._transaction():
            return letters.drop(self._db, choice) if drop else letters.retry(self._db, choice)

    def mark(self, moment: Moment) -> None:
        """The wall clock is right, at `moment`. Raises SpoolError, as give_up_clock() does."""
        with file.explained(self.path, "write to"), self._transaction():
            marks.write(self._db, moment)
            marks.forget(self._db, moment.boot_id)

    def give_up_clock(self, boot_id: str) -> None:
        """Nobody waits any more for the wall clock of this boot to be set."""
        with file.explained(self.path, "write to"), self._transaction():
            marks.give_up(self._db, boot_id)

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

    def count_on(self, position: int) -> None:
        """Positions given from now on lie behind this one, as in the file that this one has taken the place of. Raises SpoolError."""
        if self.newest() < position:
            with file.explained(self.path, "write to"), self._transaction():
                self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'record'")
                self._db.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (position,))

    @property
    def written_bytes(self) -> int:
        """What it has cost its disk since it was opened; 0 where the kernel does not count that."""
        return self._wear.bytes

    def filling(self) -> room.Room:
        """How full it is. Raises SpoolError."""
        return room.Room(self.bytes(), self.max_bytes - self.max_bytes // 16, self._ballast.spare_bytes())

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._db.close()
        self._wear.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            failpoint.hit("spool.before_commit")
            self._db.execute("COMMIT")
            failpoint.hit("spool.after_commit")
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

    def _write(self, work: Commit, *, disk_full: bool) -> Verdict:
        """A full spool must be able to take the letters and books of the sinks that drain it. So what frees room comes first."""
        file.limit(self._db, self.max_bytes)
        failpoint.hit("spool.before_mark")
        progress.write(self._db, work)
        failpoint.hit("spool.after_mark")
        if work.trim:
            failpoint.hit("spool.before_trim")
            room.trim(self._db)
            failpoint.hit("spool.after_trim")
        for closed in work.closed:
            books.close(self._db, closed)
        if work.closed:
            books.forget(self._db)
        if not work.handed:
            return Verdict()
        packed = [Packed(handed, codec.encode_batch(handed.batch)) for handed in work.handed]
        bound = gate.limit(self._db, self.max_bytes, self._shares, disk_full=disk_full)
        verdict = Gate(self._db, self._eldest, self._shares, bound, work.in_hand).admit(packed)
        settle.begun_before(self._db, [each.handed for each in verdict.taken])
        for each in verdict.taken:
            self._append(each, work.now)
        for each in verdict.refused:
            books.refuse(self._db, each.handed)
        return verdict

    def _append(self, packed: Packed, now: Moment) -> None:
        run, count, payload = packed.handed.run, len(packed.handed.batch.readings), packed.payload
        books.enrol(self._db, run)
        appended = self._db.execute(
            "INSERT INTO record (run, count, total, crc, payload)"
            " VALUES (?1, ?2, coalesce((SELECT total FROM record ORDER BY position DESC LIMIT 1), 0) + ?2, ?3, ?4)",
            (run.id, count, file.checksum(run.id, payload), payload),
        )
        attached.keep(self._db, appended.lastrowid or 0, packed.handed.attached, now)
        books.note(self._db, packed.handed)
