"""Every record that a spool's file holds, in order as long as the file can be followed, and page by page where that ends."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from edgegw import codec
from edgegw.errors import CodecError, SpoolError
from edgegw.reading import Letter, Reading, Record, Run
from edgegw.spool import file
from edgegw.spool.pages import INDEX, INNER_INDEX, TABLE, Pages, Row
from edgegw.spool.reader import Reader

ANY_BOOT = "none"  # no machine has a boot of that id: readings that wait for their clock are given as they are
_PIECE_readings = 5000
_LETTERS = "SELECT sink, run, seq, kind, reading, code, reason, time_ns FROM dead_letter ORDER BY sink, run, seq"
Seen = Callable[[str, int, int], None]  # what is being read, how much of it was, of how much


class Extract:
    """Of one file, which may be in use, or a copy, or damaged. Count of what was passed by is complete once all was read."""

    def __init__(self, path: Path, seen: Seen = lambda part, done, of: None) -> None:
        self._path = path
        self._seen = seen
        self.runs: dict[str, Run] = {}
        self.damaged = 0  # records or letters that were passed by
        self.broken = ""  # why the file had to be read page by page; "" where it had not
        self._runs()

    def records(self) -> Iterator[Record]:
        """All of them, with times put right where that can be done. Raises SpoolError where nothing can be read at all."""
        upto = 0
        try:
            with contextlib.closing(Reader(self._path, ANY_BOOT)) as reader:
                upto, newest = reader.floor(), reader.newest()
                while upto < newest:
                    found = reader.piece(upto + 1, newest, _PIECE_readings)
                    self.damaged += len(found.damaged)
                    for record in found.records:
                        if record.position > upto:  # of a page that lies where another should be, all of them come again
                            upto = record.position
                            yield record
                    upto = max(upto, found.upto)
                    self._seen("records", upto, newest)
        except SpoolError as error:
            self._break(error)
            yield from self._scanned(upto)

    def letters(self) -> Iterator[Letter]:
        """All dead letters. Raises SpoolError."""
        try:
            with file.explained(self._path, "read"), contextlib.closing(_opened(self._path)) as db:
                rows = [list(row) for row in db.execute(_LETTERS)]
        except SpoolError as error:
            self._break(error)
            rows = [row for _, _, row in self._pages(INDEX, INNER_INDEX) if _shape(row) == "ttitbtti"]
        for row in rows:
            letter = self._letter(row)
            if letter is None:
                self.damaged += 1
            else:
                yield letter

    def _break(self, error: SpoolError) -> None:
        if not file.met_ruin(error):
            raise error
        self.broken = self.broken or str(error.__cause__)

    def _runs(self) -> None:
        try:
            with file.explained(self._path, "read"), contextlib.closing(_opened(self._path)) as db:
                for id_, body, crc in db.execute("SELECT id, body, crc FROM run"):
                    self._note(id_, body, crc)
        except SpoolError as error:
            self._break(error)
            for _, _, row in self._pages(INDEX, INNER_INDEX):
                if _shape(row).startswith("tbi"):
                    self._note(*row[:3])

    def _note(self, id_: object, body: object, crc: object) -> None:
        if isinstance(id_, str) and isinstance(body, bytes) and crc == file.checksum(id_, body):
            with contextlib.suppress(CodecError):
                self.runs[id_] = codec.decode_run(body)

    def _scanned(self, after: int) -> Iterator[Record]:
        """Also what was deleted, and nothing has been written over yet: nobody can tell."""
        taken: set[int] = set()
        for _, position, row in self._pages(TABLE):
            match row:
                case [None, str() as run, int(), int(), int() as crc, bytes() as payload] if position > after and position not in taken:
                    record = self._record(position, run, crc, payload)
                    if record is None:
                        self.damaged += 1
                    else:
                        taken.add(position)
                        yield record

    def _record(self, position: int, run: str, crc: int, payload: bytes) -> Record | None:
        if run not in self.runs or crc != file.checksum(run, payload):
            return None
        with contextlib.suppress(CodecError):
            return Record(position, self.runs[run], codec.decode_batch(payload))
        return None

    def _letter(self, row: Row) -> Letter | None:
        match row:
            case [str() as sink, str() as run, int(), str() as kind, bytes() as body, str() as code, str() as reason, int() as time_ns]:
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, KeyError):
                    reading, of = msgspec.msgpack.decode(body, type=Reading), self.runs[run]
                    if len(reading.values) == len(of.fields[kind]):
                        return Letter(sink, of, kind, reading, code, reason, time_ns)
        return None

    def _pages(self, *kinds: int) -> Iterator[tuple[int, int, Row]]:
        with file.explained(self._path, "read"), contextlib.closing(Pages(self._path)) as pages:
            for number in range(1, pages.count + 1):
                yield from pages.rows(number, *kinds)
                self._seen("pages", number, pages.count)


def _opened(path: Path) -> sqlite3.Connection:
    db = file.connect(path, "ro")
    db.text_factory = lambda text: text.decode(errors="replace")
    return db


def _shape(row: Row) -> str:
    return "".join({str: "t", bytes: "b", int: "i"}.get(type(value), "?") for value in row)
