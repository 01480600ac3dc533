"""Reads back what FileSinks of all processes have written, in order of time; can go on following it."""

from __future__ import annotations

import contextlib
import heapq
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from edgegw.log.entry import RESERVED, Entry
from edgegw.log.file import numbered
from edgegw.log.ring import LEVELS

Wait = Callable[[], bool]  # returns when it is worth looking again; False: no more

MISSING = "(lines may be missing here: files turned over, or were removed, before they were read)"

_NAME = re.compile(r"(?P<process>.+)\.log(?:\.(?P<number>\d+))?")
_decoder = msgspec.json.Decoder()


def read(logs_dir: Path, process: str | None = None, wait: Wait | None = None) -> Iterator[Entry]:
    """Entries of one process or of all, oldest first; with `wait` it then goes on with what comes, until wait() says False.

    A line that is not an entry (torn by a crash, or written by somebody else) comes as {"time", "process", "raw"}, with the
    time of the line before it. A directory that is not there is an empty one.
    Raises OSError where a file may not be read.
    """
    tails: dict[str, _Tail] = {}
    try:
        yield from _turn(logs_dir, process, tails, last=wait is None)
        while wait is not None and wait():
            yield from _turn(logs_dir, process, tails, last=False)
    finally:
        for tail in tails.values():
            tail.close()


def _turn(logs_dir: Path, process: str | None, tails: dict[str, _Tail], last: bool) -> Iterator[Entry]:
    for name in sorted(_processes(logs_dir)):
        if name not in tails and process in (None, name):
            tails[name] = _Tail(logs_dir / f"{name}.log", name)
    return heapq.merge(*(tail.entries(last) for tail in tails.values()), key=_time)


def _time(entry: Entry) -> str:
    return str(entry["time"])


def _processes(logs_dir: Path) -> set[str]:
    with contextlib.suppress(FileNotFoundError):
        return {found["process"] for path in logs_dir.iterdir() if (found := _NAME.fullmatch(path.name))}
    return set()


class _Tail:
    """The files of one process, read up to where we are, however often they are rotated meanwhile."""

    def __init__(self, path: Path, process: str) -> None:
        self._path = path
        self._process = process
        self._file: BinaryIO | None = None  # the one that we are in
        self._next: list[BinaryIO] = []
        self._outrun = False  # between our file and the next there was another
        self._torn = b""  # a line begun, without its newline yet
        self._time = ""

    def close(self) -> None:
        """Close every file."""
        for file in (self._file, *self._next):
            if file is not None:
                file.close()

    def entries(self, last: bool) -> Iterator[Entry]:
        """What is new; with `last` also a line that has no end yet."""
        self._next = self._newer()
        yield from self._rest()  # a file that newer ones have followed is complete
        if self._outrun:
            yield from self._end()
            yield {"time": self._time, "process": self._process, "raw": MISSING}
        while self._next:
            yield from self._end()
            if self._file is not None:
                self._file.close()
            self._file = self._next.pop(0)
            yield from self._rest()
        if last:
            yield from self._end()

    def _rest(self) -> Iterator[Entry]:
        for part in self._file or ():
            self._torn += part
            if part.endswith(b"\n"):
                yield from self._end()

    def _end(self) -> Iterator[Entry]:
        line, self._torn = self._torn, b""
        if line:
            yield self._entry(line)

    def _newer(self) -> list[BinaryIO]:
        """Opens the files that came after ours, oldest first.

        From the newest on, as a rotation moves files: one may be met twice then, but none is missed.
        """
        ours = _identity(self._file) if self._file is not None else None
        found: dict[tuple[int, int] | None, BinaryIO] = {}
        for number in range(_highest(self._path) + 2):  # one more than there is: the oldest may be moving
            with contextlib.suppress(FileNotFoundError):
                file = numbered(self._path, number).open("rb")
                if found.setdefault(_identity(file), file) is not file:
                    file.close()
            if ours in found:
                break
        met = found.pop(ours, None)
        if met is not None:
            met.close()
        self._outrun = bool(ours and found and met is None)
        return list(found.values())[::-1]

    def _entry(self, line: bytes) -> Entry:
        try:
            found = _decoder.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            found = None
        if isinstance(found, dict) and all(isinstance(found.get(name), str) for name in RESERVED) and found["level"] in LEVELS:
            self._time = found["time"]
            return found
        return {"time": self._time, "process": self._process, "raw": line.decode(errors="replace").rstrip("\r\n")}


def _highest(path: Path) -> int:
    """The highest number among the rotated files of `path`; 0: there is none."""
    with contextlib.suppress(FileNotFoundError):
        found = (_NAME.fullmatch(other.name) for other in path.parent.iterdir() if other.name.startswith(path.name))
        return max((int(match["number"] or 0) for match in found if match), default=0)
    return 0


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino
