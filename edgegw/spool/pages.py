"""Rows as they stand in the pages of a database file, whatever has become of the structure that leads to them.

SQLite finds a record by way of the pages above it; where one of these is broken, all that lies below it is out of its reach. But
each page that holds rows can be read alone. What is found so may be an old page that nobody has written over yet, so the one who
asks has to know by a checksum or by the shape of a row what it is. The format: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgegw.spool.file import PAGE_bytes

TABLE, INDEX, INNER_INDEX = 0x0D, 0x0A, 0x02  # kinds of pages with rows; those of tables WITHOUT ROWID count as indices
Row = list[int | float | str | bytes | None]
_INTEGERS_bytes = (0, 1, 2, 3, 4, 6, 8)  # by the number of their type
_LEAST_bytes = (PAGE_bytes - 12) * 32 // 255 - 23  # of a row too long for its page that stay in it
_MOST_bytes = {TABLE: PAGE_bytes - 35, INDEX: (PAGE_bytes - 12) * 64 // 255 - 23, INNER_INDEX: (PAGE_bytes - 12) * 64 // 255 - 23}
_ROW_bytes = 1 << 26
_WAL_HEAD_bytes, _FRAME_HEAD_bytes = 32, 24


class Pages:
    """Of one file and its WAL, which nobody writes to."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        with contextlib.ExitStack() as opened:
            self._file = opened.enter_context(path.open("rb"))
            self._wal = None
            self._logged: dict[int, int] = {}
            with contextlib.suppress(FileNotFoundError):
                self._wal = opened.enter_context(path.with_name(f"{path.name}-wal").open("rb"))
                self._logged = self._committed()
            self._opened = opened.pop_all()
        self.count = max(path.stat().st_size // PAGE_bytes, *self._logged, 0, 0)

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def rows(self, number: int, *kinds: int) -> Iterator[tuple[int, int, Row]]:
        """(kind of page, rowid, columns) of what can be read in page `number`, counted from 1, if it is of one of these kinds."""
        page = self._page(number)
        start = 100 if number == 1 else 0
        if len(page) < PAGE_bytes or page[start] not in kinds:
            return
        kind = page[start]
        first = start + (12 if kind == INNER_INDEX else 8)
        for at in range(first, min(first + 2 * _integer(page, start + 3, 2), PAGE_bytes - 1), 2):
            with contextlib.suppress(IndexError, ValueError, OverflowError):  # this one is broken
                rowid, data = self._cell(page, kind, _integer(page, at, 2))
                yield kind, rowid, _columns(data)

    def _page(self, number: int) -> bytes:
        at = self._logged.get(number)
        source, where = (self._file, (number - 1) * PAGE_bytes) if at is None or self._wal is None else (self._wal, at)
        try:
            source.seek(where)
            return source.read(PAGE_bytes)
        except OSError:  # the card cannot read it any more
            return b""

    def _committed(self) -> dict[int, int]:
        """Page → where its newest version is in the WAL, up to the last commit of its present generation."""
        assert self._wal
        head, found, pending = self._wal.read(_WAL_HEAD_bytes), dict[int, int](), dict[int, int]()
        size = _FRAME_HEAD_bytes + PAGE_bytes
        while len(frame := self._wal.read(size)) == size and frame[8:16] == head[16:24]:
            pending[_integer(frame, 0, 4)] = self._wal.tell() - PAGE_bytes
            if _integer(frame, 4, 4):  # it ends a commit
                found |= pending
                pending.clear()
        return found

    def _cell(self, page: bytes, kind: int, at: int) -> tuple[int, bytes]:
        size, at = _varint(page, at + (4 if kind == INNER_INDEX else 0))
        rowid = 0
        if kind == TABLE:
            rowid, at = _varint(page, at)
        most = _MOST_bytes[kind]
        here = size
        if size > most:
            here = _LEAST_bytes + (size - _LEAST_bytes) % (PAGE_bytes - 4)
            here = here if here <= most else _LEAST_bytes
        if not 0 < size <= _ROW_bytes or at + here > PAGE_bytes:
            raise ValueError("no such row")
        data = page[at : at + here]
        return rowid, data if here == size else data + self._overflow(_integer(page, at + here, 4), size - here)

    def _overflow(self, number: int, size: int) -> bytes:
        found: list[bytes] = []
        for at in range(0, size, PAGE_bytes - 4):
            page = self._page(number) if 0 < number <= self.count else b""
            if len(page) < PAGE_bytes:
                raise ValueError("its rest is not there")
            found.append(page[4 : 4 + size - at])
            number = _integer(page, 0, 4)
        return b"".join(found)


def _columns(data: bytes) -> Row:
    head, at = _varint(data, 0)
    types: list[int] = []
    while at < head:
        of, at = _varint(data, at)
        types.append(of)
    values: Row = []
    for of in types:
        value, at = _column(data, at, of)
        values.append(value)
    return values


def _column(data: bytes, at: int, of: int) -> tuple[int | float | str | bytes | None, int]:
    if of < 7:
        end = at + _INTEGERS_bytes[of]
        return (int.from_bytes(data[at:end], signed=True) if of else None), end
    if of in (8, 9):
        return of - 8, at
    end = at + (8 if of == 7 else (of - 12) // 2)
    if of in (10, 11) or end > len(data):
        raise ValueError("no such column")
    if of == 7:
        return 0.0, end  # no table of ours has one
    return (data[at:end].decode() if of % 2 else data[at:end]), end


def _integer(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for end in range(at, at + 8):
        value = value << 7 | data[end] & 0x7F
        if data[end] < 0x80:
            return value, end + 1
    return value << 8 | data[at + 8], at + 9
