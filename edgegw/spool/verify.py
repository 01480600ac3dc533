"""Looks at everything in a spool's file, without touching it: is it as it was written, and does one part fit the other?

The records are looked at in pieces, each a snapshot of its own: one long look would keep the writer's WAL from going round.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Reading, Run
from edgegw.spool import file, salvage

PIECE_records = 256
SHOWN = 100  # sentences of a kind
_RECORDS = "SELECT position, run, count, total, crc, payload FROM record WHERE position > ? ORDER BY position LIMIT ?"
_ATTACHMENTS = (
    "SELECT a.rowid, position, seq, gone, about, crc, data, EXISTS (SELECT 1 FROM record WHERE record.position = a.position)"
    " OR EXISTS (SELECT 1 FROM damaged WHERE damaged.position = a.position) FROM attachment AS a WHERE a.rowid > ? ORDER BY a.rowid LIMIT ?"
)
_LETTERS = "SELECT sink, run, seq, kind, reading FROM dead_letter"
_SET_ASIDE = "its sinks pass it by, and the spool sets it aside and counts it"
_AS_SOON = "as soon as the gateway meets that, it sets the file aside and takes over all that can be read of it"


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it should be."""

    part: str  # structure, run, record, attachment, progress or letter
    where: str
    what: str  # a sentence: what, where, what follows, what to do


class Verified(msgspec.Struct):
    """What was looked at, and what is wrong with it."""

    records: int = 0
    readings: int = 0
    runs: int = 0
    attachments: int = 0
    letters: int = 0
    wrong: Counter[str] = msgspec.field(default_factory=Counter)  # part → how many faults
    faults: list[Fault] = msgspec.field(default_factory=list)  # no more than SHOWN of a part

    def note(self, part: str, where: str, what: str) -> None:
        """One more."""
        self.wrong[part] += 1
        if self.wrong[part] <= SHOWN:
            self.faults.append(Fault(part, where, what))


Seen = Callable[[str, int, int], None]  # what is being looked at, how much of it was, of how much (0: nobody knows)


def verify(path: Path, seen: Seen = lambda part, done, of: None) -> Verified:
    """Everything in the spool at `path`, also while a gateway writes to it. Raises SpoolError where there is no spool to look at."""
    found = Verified()
    with file.explained(path, "read"):
        try:
            with contextlib.closing(file.connect(path, "ro")) as db:
                db.text_factory = lambda text: text.decode(errors="replace")
                if (form := file.form(db)) < file.FORMAT:
                    raise file.Unfit(f"it has format {form}: start the gateway once" if form else "nothing was ever written to it")
                _look(db, found, seen)
        except sqlite3.DatabaseError as error:
            if not file.ruined(error):
                raise
            found.note("structure", str(path), f"{path} cannot be read to its end ({error}): {_AS_SOON}")
    return found


def _look(db: sqlite3.Connection, found: Verified, seen: Seen) -> None:
    seen("structure", 0, 0)
    for (message,) in db.execute("PRAGMA integrity_check(100)").fetchall():
        if message != "ok":
            found.note("structure", "file", f"the structure of the file is broken ({' '.join(message.split())}): {_AS_SOON}")
    with _snapshot(db):
        runs = dict(_runs(db, found))
        _progress(db, found)
        _letters(db, found, runs)
    _records(db, found, seen)
    _attachments(db, found, seen)


def _runs(db: sqlite3.Connection, found: Verified) -> Iterator[tuple[str, Run | None]]:
    """Run → what is known of it."""
    for id_, body, crc in db.execute("SELECT id, body, crc FROM run"):
        found.runs += 1
        run = _decoded_run(id_, body, crc)
        if run is None:
            cure = "its worker heals it with its next batch, or else they are set aside and counted"
            found.note("run", id_, f"run {id_}: what it is a run of is damaged, so its readings cannot be delivered: {cure}")
        yield id_, run


def _decoded_run(id_: str, body: Any, crc: Any) -> Run | None:
    try:
        return codec.decode_run(body) if crc == file.checksum(id_, body) else None
    except (CodecError, TypeError, AttributeError):  # a flipped bit may change the type of a column, too
        return None


def _progress(db: sqlite3.Connection, found: Verified) -> None:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
    newest = int(row[0]) if row else 0
    cursors = dict(db.execute("SELECT sink, position FROM cursor"))
    for sink, position in cursors.items():
        if not 0 <= position <= newest:
            lost = f"what comes until then would be passed over: stop the gateway, and set the cursor back to {newest} with sqlite3"
            found.note("progress", sink, f"{sink} is said to be at position {position}, and the newest is {newest}: {lost}")
    before: dict[str, int] = {}
    for sink, first, last in db.execute("SELECT sink, first, last FROM span ORDER BY sink, first"):
        if not before.get(sink, cursors.get(sink, 0)) < first <= last <= newest:
            cure = "readings may reach it twice or not at all: please report it, with the spool's file"
            found.note("progress", sink, f"{sink} is said to have positions {first} to {last}, which does not fit the rest: {cure}")
        before[sink] = last


def _letters(db: sqlite3.Connection, found: Verified, runs: dict[str, Run | None]) -> None:
    for sink, run, seq, kind, body in db.execute(_LETTERS):
        found.letters += 1
        known = runs.get(run)
        try:
            reading = msgspec.msgpack.decode(body, type=Reading)
            fits = known is not None and len(reading.values) == len(known.fields[kind])
        except (msgspec.DecodeError, TypeError, KeyError, UnicodeDecodeError):
            fits = False
        if not fits:
            what = f"the dead letter of {sink} for reading {seq} of run {run} is damaged: it stays counted, and cannot be exported"
            found.note("letter", f"{sink}/{run}/{seq}", what)


def _records(db: sqlite3.Connection, found: Verified, seen: Seen) -> None:
    first, last = db.execute("SELECT coalesce(min(position), 0), coalesce(max(position), -1) FROM record").fetchone()
    at, at_file, total, unknown = first - 1, 0, -1, set[str]()
    while at < last:
        with _snapshot(db):
            rows = db.execute(_RECORDS, (at, PIECE_records)).fetchall()
            runs = {id_: _run_of(db, id_) for id_ in {row[1] for row in rows}}
        for position, id_, count, up_to, crc, payload in rows:
            found.records += 1
            why = _wrong_record(runs[id_], id_, count, crc, payload)
            if runs[id_] is None and not why:
                unknown.add(id_)
            if position >> salvage.FRESH_bits != at_file:  # taken over from another file, which counted for itself
                at_file, total = position >> salvage.FRESH_bits, -1
            if not why and up_to < total + count:
                why = f"its running total is {up_to}, and the record before ends at {total}"
            if why:
                found.note("record", str(position), f"record {position} (run {id_}) is damaged, {why}: {_SET_ASIDE}")
            else:
                found.readings, total = found.readings + count, up_to
        if not rows:
            break
        at = rows[-1][0]
        seen("records", at - first + 1, last - first + 1)
    for id_ in sorted(unknown - {fault.where for fault in found.faults if fault.part == "run"}):
        what = "has records, and nothing says what it is a run of: they cannot be delivered, and will be set aside"
        found.note("run", id_, f"run {id_} {what}")


def _run_of(db: sqlite3.Connection, id_: str) -> Run | None:
    row = db.execute("SELECT body, crc FROM run WHERE id = ?", (id_,)).fetchone()
    return _decoded_run(id_, *row) if row else None


def _wrong_record(run: Run | None, id_: Any, count: Any, crc: Any, payload: Any) -> str:
    """"" where all is well with it."""
    if not isinstance(payload, bytes) or crc != file.checksum(str(id_), payload):
        return "its checksum does not hold"
    try:
        batch = codec.decode_batch(payload)
    except CodecError as error:
        return f"its checksum holds, but it is {error}"
    if batch.run != id_ or len(batch.readings) != count:
        return f"it says {count} readings and holds {len(batch.readings)} of run {batch.run}"
    width = len(run.fields.get(batch.kind, ())) if run else None
    if width is not None and any(len(reading.values) != width for reading in batch.readings):
        return f"its readings do not have the {width} fields of {batch.kind}"
    return ""


def _attachments(db: sqlite3.Connection, found: Verified, seen: Seen) -> None:
    of, at = db.execute("SELECT count(*), coalesce(min(rowid), 0) - 1 FROM attachment").fetchone()
    while rows := db.execute(_ATTACHMENTS, (at, 16)).fetchall():
        for at, position, seq, gone, about, crc, data, has_record in rows:  # noqa: B007 - the last is where the next piece begins
            found.attachments += 1
            if not has_record:
                what = "belongs to no record: it will not be delivered, and is erased when its time is over"
            elif not gone and not _intact(about, crc, data):
                what = "is damaged: its outbox is told so, and gets the event without it"
            else:
                continue
            found.note("attachment", f"{position}/{seq}", f"what is attached to reading {seq} of record {position} {what}")
        seen("attachments", found.attachments, of)


def _intact(about: Any, crc: Any, data: Any) -> bool:
    try:
        codec.decode_attachment(about)
        return bool(crc == file.checksum("", about + data))
    except (CodecError, TypeError):
        return False


@contextlib.contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("COMMIT")
