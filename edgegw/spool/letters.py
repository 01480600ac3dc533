"""Dead letters: readings that a sink rejected. They stay, with the reason, until somebody gives them to it again or gives them up.

A letter that is to be given again is named in `retry` and stays where it is; in the books it waits from then on. What became of it is
written in one transaction: it is gone and delivered, or it is a dead letter as before, with the newest reason. So a process that is
killed in the middle leaves it waiting, and it is given once more. A sink's count of dead letters never exceeds the letters there are;
it may be less, where a sink of that name was removed and came back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from edgegw import codec
from edgegw.errors import CodecError
from edgegw.reading import Batch, Counts, Letter, Reading, Record, Run, Value
from edgegw.spool import file

Key = tuple[str, int]  # run, seq
_GROUPS = (
    "SELECT sink, run, code, count(*), sum(EXISTS (SELECT 1 FROM retry AS r WHERE (r.sink, r.run, r.seq) = (d.sink, d.run, d.seq))),"
    " min(reason), min(time_ns), max(time_ns) FROM dead_letter AS d GROUP BY sink, run, code ORDER BY sink, run, code"
)
_THESE = "run = :run AND (:sink = '' OR sink = :sink) AND (:code = '' OR code = :code)"
_MARK = (  # an outbox's letters lack what was attached to them, and a sink that is gone takes nothing
    f"INSERT OR IGNORE INTO retry SELECT sink, run, seq FROM dead_letter WHERE {_THESE}"  # noqa: S608 - a constant of this file
    " AND sink IN (SELECT sink FROM cursor) AND sink NOT IN (SELECT sink FROM outbox)"
)
_MARKED = (
    "SELECT run, seq, kind, reading FROM retry JOIN dead_letter USING (sink, run, seq) WHERE sink = ?"
    " AND run IN (SELECT id FROM run) ORDER BY run, seq"
)
_SETTLE = (  # what the books called dead and is no letter any more has become something else
    "UPDATE delivery SET {column} = {column} + max(0, dead - ?1), dead = min(dead, ?1) WHERE sink = ?2 AND run = ?3"
)


class Choice(msgspec.Struct, frozen=True):
    """Which letters; "" is all."""

    sink: str = ""
    sensor: str = ""
    run: str = ""  # the beginning of its id will do
    code: str = ""


class Group(msgspec.Struct, frozen=True):
    """Letters of one run that a sink rejected with one code."""

    sink: str
    sensor: str  # "" where what the spool knows of the run is damaged
    run: str
    code: str
    readings: int
    again: int  # of these: to be given to the sink again
    example: str  # a reason given with it
    oldest_ns: int  # wall clock of the first rejection and of the last
    newest_ns: int


class Kept(msgspec.Struct, frozen=True):
    """One letter."""

    sink: str
    sensor: str
    run: str
    seq: int
    kind: str
    code: str
    reason: str
    rejected: str  # when
    time: str  # of the reading
    values: Mapping[str, Value] | None  # None where it is damaged


def bury(db: sqlite3.Connection, letters: Sequence[Letter]) -> None:
    """Keep these; they are counted elsewhere."""
    db.executemany("INSERT OR IGNORE INTO dead_letter VALUES (?,?,?,?,?,?,?,?)", map(_row, letters))


def groups(db: sqlite3.Connection, choice: Choice, run_of: Callable[[str], Run]) -> list[Group]:
    """What there is. `run_of` raises CodecError for a run that is damaged."""
    found = []
    for sink, run, *rest in db.execute(_GROUPS).fetchall():
        group = Group(sink, _sensor(run, run_of), run, *rest)
        if _chosen(choice, group.sensor, run) and choice.sink in ("", sink) and choice.code in ("", group.code):
            found.append(group)
    return found


def each(db: sqlite3.Connection, choice: Choice, run_of: Callable[[str], Run]) -> Iterator[Kept]:
    """The letters themselves, by run and number."""
    every = "SELECT sink, run, seq, kind, code, reason, time_ns, reading FROM dead_letter ORDER BY sink, run, seq"
    for sink, run, seq, kind, code, reason, time_ns, body in db.execute(every):
        sensor = _sensor(run, run_of)
        if _chosen(choice, sensor, run) and choice.sink in ("", sink) and choice.code in ("", code):
            time, values = _values(run, kind, body, run_of)
            yield Kept(sink, sensor, run, seq, kind, code, reason, codec.rfc3339(time_ns), time, values)


def retry(db: sqlite3.Connection, choice: Choice) -> int:
    """Let the sinks be given these again; how many that were not to be already."""
    values = {"sink": choice.sink, "code": choice.code}
    return sum(db.execute(_MARK, {**values, "run": run}).rowcount for run in _runs(db, choice))


def drop(db: sqlite3.Connection, choice: Choice) -> int:
    """Give these up; how many there were."""
    dropped = 0
    for run in _runs(db, choice):
        values = {"sink": choice.sink, "code": choice.code, "run": run}
        sinks = db.execute(f"SELECT sink, seq FROM dead_letter WHERE {_THESE}", values).fetchall()  # noqa: S608 - a constant of this file
        for sink in {sink for sink, _ in sinks}:
            _remove(db, sink, run, [seq for of, seq in sinks if of == sink])
            _settle(db, sink, run, "discarded")
        dropped += len(sinks)
    return dropped


def marked(db: sqlite3.Connection, sink: str, readings: int, run_of: Callable[[str], Run]) -> list[Record]:
    """The letters that `sink` is to be given again, the first so many, as records that come from nowhere in the spool."""
    found: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    with contextlib.closing(db.execute(_MARKED, (sink,))) as rows:
        for run, _, kind, body in rows:
            if readings <= 0:
                break
            with contextlib.suppress(CodecError, msgspec.DecodeError, TypeError):  # damaged: it waits until somebody gives it up
                run_of(run)
                found[run, kind].append(msgspec.msgpack.decode(body, type=Reading))
                readings -= 1
    return [Record(0, run_of(run), Batch(run, kind, Counts(), tuple(of)), replay=True) for (run, kind), of in found.items()]


def retried(db: sqlite3.Connection, keys: Mapping[str, Sequence[Key]], letters: Sequence[Letter]) -> None:
    """These were given to their sinks again; those in `letters` were rejected again. What was given up meanwhile stays so."""
    for sink, those in keys.items():
        again = {(letter.run.id, letter.reading.seq): letter for letter in letters if letter.sink == sink}
        taken: dict[str, list[int]] = defaultdict(list)
        for run, seq in those:
            if letter := again.get((run, seq)):
                db.execute("DELETE FROM retry WHERE sink = ? AND run = ? AND seq = ?", (sink, run, seq))
                values = (letter.code, letter.reason, letter.time_ns, sink, run, seq)
                db.execute("UPDATE dead_letter SET code = ?, reason = ?, time_ns = ? WHERE sink = ? AND run = ? AND seq = ?", values)
            else:
                taken[run].append(seq)
        for run, seqs in taken.items():
            _remove(db, sink, run, seqs)
            _settle(db, sink, run, "delivered")


def in_file(path: Path, choice: Choice, *, drop_them: bool) -> int:
    """drop() or retry() in a spool that nobody has open. Raises SpoolError."""
    with file.explained(path, "write to"), contextlib.closing(file.connect(path, "rw")) as db:
        if file.form(db) < file.FORMAT:
            raise file.Unfit("it is of an older version: start the gateway once")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        count = drop(db, choice) if drop_them else retry(db, choice)
        db.execute("COMMIT")
        return count


def _runs(db: sqlite3.Connection, choice: Choice) -> Iterator[str]:
    def known(id_: str) -> Run:
        (body,) = db.execute("SELECT body FROM run WHERE id = ?", (id_,)).fetchone() or (b"",)
        return codec.decode_run(body)

    for (run,) in db.execute("SELECT DISTINCT run FROM dead_letter ORDER BY run").fetchall():
        if _chosen(choice, _sensor(run, known), run):
            yield run


def _chosen(choice: Choice, sensor: str, run: str) -> bool:
    return choice.sensor in ("", sensor) and run.startswith(choice.run)


def _sensor(run: str, run_of: Callable[[str], Run]) -> str:
    try:
        return run_of(run).sensor
    except (CodecError, TypeError):  # a flipped bit may change the type of a column, too
        return ""


def _values(run: str, kind: str, body: bytes, run_of: Callable[[str], Run]) -> tuple[str, Mapping[str, Value] | None]:
    try:
        reading = msgspec.msgpack.decode(body, type=Reading)
        return codec.rfc3339(reading.time_ns), dict(zip(run_of(run).fields[kind], reading.values, strict=True))
    except (CodecError, msgspec.DecodeError, TypeError, KeyError, ValueError, OverflowError):
        return "", None


def _remove(db: sqlite3.Connection, sink: str, run: str, seqs: Sequence[int]) -> None:
    for table in ("retry", "dead_letter"):
        db.executemany(f"DELETE FROM {table} WHERE sink = ? AND run = ? AND seq = ?", [(sink, run, seq) for seq in seqs])  # noqa: S608 - of two


def _settle(db: sqlite3.Connection, sink: str, run: str, column: str) -> None:
    (left,) = db.execute("SELECT count(*) FROM dead_letter WHERE sink = ? AND run = ?", (sink, run)).fetchone()
    db.execute(_SETTLE.format(column=column), (left, sink, run))


def _row(letter: Letter) -> tuple[str, str, int, str, bytes, str, str, int]:
    body = msgspec.msgpack.encode(letter.reading)
    return (letter.sink, letter.run.id, letter.reading.seq, letter.kind, body, letter.code, letter.reason, letter.time_ns)
