"""The reading side of the spool: records behind a cursor, and the books."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Counts, Record, Run
from edgegw.spool import attached, file

_CACHED_RUNS = 1000
_UNREAD = (
    "SELECT run, sink, sum(count) FROM record JOIN cursor ON record.position > cursor.position"
    " WHERE sink NOT IN (SELECT sink FROM outbox) GROUP BY run, sink"
)
_UNSENT = (
    "SELECT run, sink, count(*) FROM attachment JOIN record USING (position) JOIN cursor ON record.position > cursor.position"
    " WHERE sink IN (SELECT sink FROM outbox) GROUP BY run, sink"
)
_ATTACHED = (
    "SELECT position, run, payload, crc FROM record WHERE position > ?1 AND position IN"
    " (SELECT position FROM attachment WHERE position > ?1) ORDER BY position"
)
_AFTER = "SELECT position, run, payload, crc FROM record WHERE position > ? ORDER BY position"
_WAITING = (  # one statement, so that both look-ups see the same moment
    "SELECT (SELECT total FROM record ORDER BY position DESC LIMIT 1)"
    " - (SELECT total - count FROM record WHERE position > ? ORDER BY position LIMIT 1)"
)


class Book(msgspec.Struct, frozen=True):
    """One run in the ledger. kept counts the readings that were ever committed here."""

    run: Run
    acked: int  # number of the last batch committed
    kept: int
    counts: Counts
    closed: bool
    waiting: Mapping[str, int]  # sink → readings it has not got yet; of an outbox, attachments
    dead: Mapping[str, int]  # sink → readings it rejected
    damaged: int  # readings in records whose checksum failed


class Outgoing(NamedTuple):
    """What an outbox has to be given."""

    records: list[Record]
    damaged: list[int]
    upto: int  # the position behind which nothing was looked at


class Reader:
    """A reader with a connection of its own, for one thread; works beside the writer, also from another process."""

    def __init__(self, path: Path) -> None:
        """Raises SpoolError when there is no spool at `path`."""
        self._path = path
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

    def after(self, position: int, readings: int) -> tuple[list[Record], list[int]]:
        """The records behind `position`, up to about `readings` readings, and the positions of damaged ones among them."""
        records: list[Record] = []
        damaged: list[int] = []
        with file.explained(self._path, "read"), contextlib.closing(self._db.execute(_AFTER, (position,))) as rows:
            for at, run, payload, crc in rows:
                try:
                    records.append(Record(at, self._run(run), codec.decode_batch(_intact(run, payload, crc))))
                    readings -= len(records[-1].batch.readings)
                except CodecError:
                    damaged.append(at)
                    readings -= 1
                if readings <= 0:
                    break
        return records, damaged

    def outgoing(self, position: int, bytes_: int) -> Outgoing:
        """The records behind `position` that something is attached to, with that, up to about so many bytes of it."""
        records: list[Record] = []
        damaged: list[int] = []
        with file.explained(self._path, "read"):
            newest = self.newest()  # before looking: what is appended in between must not be passed unseen
            with contextlib.closing(self._db.execute(_ATTACHED, (position,))) as rows:
                for at, run, payload, crc in rows:
                    try:
                        record = Record(at, self._run(run), codec.decode_batch(_intact(run, payload, crc)))
                    except CodecError:
                        damaged.append(at)
                        continue
                    records.append(msgspec.structs.replace(record, attachments=attached.of_record(self._db, at)))
                    bytes_ -= sum(len(one.data) for one in records[-1].attachments.values())
                    if bytes_ <= 0:
                        return Outgoing(records, damaged, at)
        return Outgoing(records, damaged, max([position, newest, *(record.position for record in records)]))

    def unsent(self, position: int) -> int:
        """How many attachments lie behind `position`."""
        with file.explained(self._path, "read"):
            return int(self._db.execute("SELECT count(*) FROM attachment WHERE position > ?", (position,)).fetchone()[0])

    def waiting(self, position: int) -> int:
        """How many readings lie behind `position` (records set aside as damaged still count until it has passed them)."""
        with file.explained(self._path, "read"):
            return int(self._db.execute(_WAITING, (position,)).fetchone()[0] or 0)

    def newest(self) -> int:
        """The last position that is in the spool; 0 when it is empty."""
        with file.explained(self._path, "read"):
            return int(self._db.execute("SELECT coalesce(max(position), 0) FROM record").fetchone()[0])

    def books(self) -> list[Book]:
        """Every run that the spool remembers, oldest first (a UUIDv7 sorts by time). Raises SpoolError, or CodecError for a damaged run."""
        with file.explained(self._path, "read"):
            self._db.execute("BEGIN")  # one snapshot for all the questions
            try:
                return self._books()
            finally:
                self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _books(self) -> list[Book]:
        waiting = self._by_run(_UNREAD)
        for run, sinks in self._by_run(_UNSENT).items():
            waiting.setdefault(run, {}).update(sinks)
        dead = self._by_run("SELECT run, sink, count(*) FROM dead_letter GROUP BY run, sink")
        damaged = dict(self._db.execute("SELECT run, sum(count) FROM damaged GROUP BY run"))
        rows = self._db.execute("SELECT id, acked, kept, produced, filtered, dropped, closed FROM run ORDER BY id").fetchall()
        return [
            Book(
                run=self._run(id_),
                acked=acked,
                kept=kept,
                counts=Counts(produced, filtered, dropped),
                closed=bool(closed),
                waiting=waiting.get(id_, {}),
                dead=dead.get(id_, {}),
                damaged=damaged.get(id_, 0),
            )
            for id_, acked, kept, produced, filtered, dropped, closed in rows
        ]

    def _by_run(self, question: str) -> dict[str, dict[str, int]]:
        answer: dict[str, dict[str, int]] = {}
        for run, sink, count in self._db.execute(question):
            answer.setdefault(run, {})[sink] = count
        return answer

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
