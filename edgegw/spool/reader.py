"""The reading side of the spool: records behind a cursor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgegw import clock, codec
from edgegw.errors import CodecError
from edgegw.reading import Record, Run
from edgegw.spool import attached, file, ledger, letters, marks, salvage
from edgegw.spool.letters import Choice, Group, Kept
from edgegw.spool.reach import Reach

_CACHED_RUNS = 1000
_LAST = (1 << 63) - 1
_PIECE = "SELECT position, run, payload, crc FROM record WHERE position BETWEEN ? AND ? ORDER BY position"
_ASIDE = "SELECT position FROM damaged WHERE position BETWEEN ? AND ?"
_ATTACHED = (
    "SELECT position, run, payload, crc FROM record WHERE position > ?1 AND position IN"
    " (SELECT position FROM attachment WHERE position > ?1) ORDER BY position"
)
_ASIDE_ATTACHED = "SELECT position FROM damaged WHERE position BETWEEN ? AND ? AND position IN (SELECT position FROM attachment)"
_UNDONE = (  # by the books: the totals of records would count what was given up between them
    "SELECT (SELECT count(*) FROM retry WHERE sink = ?1) +"
    " CASE WHEN EXISTS (SELECT 1 FROM record WHERE position > ?2) OR EXISTS (SELECT 1 FROM damaged WHERE position > ?2) THEN"
    " max(0, (SELECT coalesce(sum(kept), 0) FROM run) - (SELECT coalesce(sum(missed + delivered + dead + damaged + evicted + discarded), 0)"
    " FROM delivery WHERE sink = ?1)) ELSE 0 END"
)


class Outgoing(NamedTuple):
    """What a sink has to be given next."""

    records: list[Record]
    damaged: list[int]  # positions in the same range of what is damaged, also of what another sink has had set aside
    upto: int  # the position behind which nothing was looked at


class _Undated(Exception):
    """The clock of this record's boot is not set, or what it is a record of is not known, and may be soon."""


class Reader:
    """A reader with a connection of its own, for one thread; works beside the writer, also from another process."""

    def __init__(self, path: Path, boot_id: str = "") -> None:
        """`boot_id`: of this boot, if another than the machine's. Raises SpoolError when there is no spool at `path`."""
        self._path = path
        self._boot_id = boot_id or clock.boot_id()
        self._runs: dict[str, Run] = {}
        with file.explained(path, "read"):
            self._db = file.connect(path, "ro")
            try:
                self._db.text_factory = _lenient
                if (found := file.form(self._db)) < file.FORMAT:
                    raise file.Unfit(f"it has format {found}: start the gateway once" if found else "nothing was ever written to it")
            except BaseException:
                self._db.close()
                raise

    def piece(self, first: int, last: int | None, readings: int) -> Outgoing:
        """The records from position `first` to `last` (None: to the end), up to about so many readings."""
        records: list[Record] = []
        damaged: set[int] = set()
        end = last
        with file.explained(self._path, "read"):
            if first <= salvage.floor(self._db):
                return Outgoing([], [], first - 1)
            with contextlib.closing(self._db.execute(_PIECE, (first, _LAST if last is None else last))) as rows:
                for at, run, payload, crc in rows:
                    try:
                        records.append(self._record(at, run, payload, crc))
                        readings -= len(records[-1].batch.readings)
                    except CodecError:
                        damaged.add(at)
                        readings -= 1
                    except _Undated:
                        end = at - 1
                        break
                    if readings <= 0:
                        end = at
                        break
            damaged.update(at for (at,) in self._db.execute(_ASIDE, (first, _LAST if end is None else end)))
        found = [first - 1, *damaged, *(record.position for record in records)]
        return Outgoing(records, sorted(damaged), max(found) if end is None else end)

    def after(self, position: int, readings: int) -> tuple[list[Record], list[int]]:
        """The records behind `position`, up to about `readings` readings, and the positions of damaged ones among them."""
        records, damaged, _ = self.piece(position + 1, None, readings)
        return records, damaged

    def outgoing(self, position: int, bytes_: int) -> Outgoing:
        """The records behind `position` that something is attached to, with that, up to about so many bytes of it."""
        records: list[Record] = []
        damaged: set[int] = set()
        with file.explained(self._path, "read"):
            if position < salvage.floor(self._db):
                return Outgoing([], [], position)
            upto = max(position, self.newest())  # before looking: what is appended in between must not be passed unseen
            with contextlib.closing(self._db.execute(_ATTACHED, (position,))) as rows:
                for at, run, payload, crc in rows:
                    try:
                        record = self._record(at, run, payload, crc)
                    except CodecError:
                        damaged.add(at)
                        continue
                    except _Undated:
                        upto = at - 1
                        break
                    records.append(msgspec.structs.replace(record, attachments=attached.of_record(self._db, at)))
                    upto = max(upto, at)
                    bytes_ -= sum(len(one.data) for one in records[-1].attachments.values())
                    if bytes_ <= 0:
                        upto = at
                        break
            damaged.update(at for (at,) in self._db.execute(_ASIDE_ATTACHED, (position + 1, upto)))
        return Outgoing(records, sorted(damaged), upto)

    def reach(self, sink: str) -> Reach:
        """What `sink` is done with, as the last commit has it."""
        with file.explained(self._path, "read"):
            cursor = self._db.execute("SELECT position FROM cursor WHERE sink = ?", (sink,)).fetchone()
            ahead = self._db.execute("SELECT first, last FROM span WHERE sink = ? ORDER BY first", (sink,)).fetchall()
        return Reach(int(cursor[0]) if cursor else 0, tuple(ahead))

    def unsent(self, position: int) -> int:
        """How many attachments lie behind `position`."""
        with file.explained(self._path, "read"):
            return int(self._db.execute("SELECT count(*) FROM attachment WHERE position > ?", (position,)).fetchone()[0])

    def undone(self, sink: str) -> int:
        """How many readings `sink` is not done with, as the last commit has it; of an outbox this says nothing."""
        with file.explained(self._path, "read"):
            return int(self._db.execute(_UNDONE, (sink, self.reach(sink).cursor)).fetchone()[0])

    def floor(self) -> int:
        """The position up to which nothing is shown yet, because a file that was set aside is still being read; 0: all is."""
        with file.explained(self._path, "read"):
            return salvage.floor(self._db)

    def newest(self) -> int:
        """The last position that is in the spool; 0 when it is empty."""
        with file.explained(self._path, "read"):
            return int(self._db.execute("SELECT coalesce(max(position), 0) FROM record").fetchone()[0])

    def books(self) -> list[ledger.Book]:
        """Every run that the spool remembers, oldest first (a UUIDv7 sorts by time). Raises SpoolError, or CodecError for a damaged run."""
        with file.explained(self._path, "read"):
            self._db.execute("BEGIN")  # one snapshot for all the questions
            try:
                return ledger.books(self._db, self._run)
            finally:
                self._db.execute("COMMIT")

    def whole_ledger(self) -> ledger.Ledger:
        """All the books at one moment, also with damaged runs among them. Raises SpoolError."""
        with file.explained(self._path, "read"):
            self._db.execute("BEGIN")
            try:
                return ledger.ledger(self._db, self._run)
            finally:
                self._db.execute("COMMIT")

    def letters(self, choice: Choice) -> list[Group]:
        """The dead letters that are chosen, by sink, run and code. Raises SpoolError."""
        with file.explained(self._path, "read"):
            return letters.groups(self._db, choice, self._run)

    def each_letter(self, choice: Choice) -> Iterator[Kept]:
        """One dead letter after the other. Raises SpoolError."""
        with file.explained(self._path, "read"):
            yield from letters.each(self._db, choice, self._run)

    def dead(self, sink: str) -> int:
        """How many dead letters of `sink` are in its books. Raises SpoolError."""
        with file.explained(self._path, "read"):
            return int(self._db.execute("SELECT coalesce(sum(dead), 0) FROM delivery WHERE sink = ?", (sink,)).fetchone()[0])

    def again(self, sink: str, readings: int) -> list[Record]:
        """Dead letters that `sink` is to be given again, the first so many of them. Raises SpoolError."""
        with file.explained(self._path, "read"):
            return letters.marked(self._db, sink, readings, self._run)

    def unclosed(self) -> list[str]:
        """The ids of runs whose books are open. Raises SpoolError."""
        with file.explained(self._path, "read"):
            return ledger.unclosed(self._db)

    def run(self, id_: str) -> Run:
        """The run of that id. Raises SpoolError, or CodecError where it is damaged or not known."""
        with file.explained(self._path, "read"):
            return self._run(id_)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _record(self, at: int, run: str, payload: Any, crc: Any) -> Record:
        """With its times put right. Raises CodecError where it is damaged, _Undated where its boot's clock may still be set."""
        record = Record(at, self._expected(run), codec.decode_batch(_intact(run, payload, crc)))
        if not marks.timeless(record.batch):
            return record
        mark = marks.of_boot(self._db, record.run.boot_id)
        if mark is None:
            if record.run.boot_id == self._boot_id:
                raise _Undated
            return record  # nobody can tell any more
        return msgspec.structs.replace(record, batch=marks.dated(record.batch, at, mark))

    def _expected(self, run: str) -> Run:
        """Where a salvage found records but not their run, its worker tells with its next batch, or its tally when the book is closed."""
        try:
            return self._run(run)
        except CodecError:
            if self._db.execute("SELECT 1 FROM run WHERE id = ? AND body = x'' AND NOT closed", (run,)).fetchone():
                raise _Undated from None
            raise

    def _run(self, id_: str) -> Run:
        if id_ not in self._runs:
            row = self._db.execute("SELECT body, crc FROM run WHERE id = ?", (id_,)).fetchone()
            if row is None:
                raise CodecError(f"run {id_} is not known")
            if len(self._runs) >= _CACHED_RUNS:
                self._runs.clear()
            self._runs[id_] = codec.decode_run(_intact(id_, *row))
        return self._runs[id_]


def _intact(key: str, payload: Any, crc: Any) -> bytes:
    if not isinstance(payload, bytes) or crc != file.checksum(key, payload):  # a flipped bit may change the type of a column, too
        raise CodecError(f"the spool holds something of run {key} that is damaged")
    return payload


def _lenient(text: bytes) -> str:
    """A flipped bit may leave a text that is no UTF-8; it must lead to a damaged record, not to a query that fails for ever."""
    return text.decode(errors="replace")
