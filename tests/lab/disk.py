"""A disk that is told the system calls of a process, and knows at every moment what a power cut would leave of its files.

The rules are POSIX's, which promises less than any journaling file system does:
* fsync and fdatasync of a file make its bytes and its length durable, not its name; fsync of a directory makes the names in it durable.
* What was not synced may be there or not, in any choice: single sectors, whole pages, writes torn anywhere, lengths. Only names come
  and go in their order (or a file that was renamed could be gone under both names, and no program could guard against that). Of one
  sector the newest version that was chosen remains; where a file has grown and its bytes were not chosen, there are zeros.
* A sync that failed has written nothing, and no later sync makes up for it (as Linux does since 4.13: the pages count as clean, and
  whoever reads them goes on seeing what is not on the disk).
SQLite's -shm files are left out: nothing in them is meant to last, so after a cut they are missing, or full of garbage.
"""

from __future__ import annotations

import enum
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.lab.trace import Call, text

SECTOR_bytes, PAGE_bytes = 512, 4096
Image = Mapping[str, bytes | None]  # relative path → content; None where it is a directory


class Fate(enum.Enum):
    """What becomes of what was not synced."""

    NOTHING = "nothing of it is there"
    EVERYTHING = "all of it is there"
    SECTORS = "some sectors of it are there"
    PAGES = "some pages of it are there"
    TORN = "some of it is there, torn anywhere"


class Content:
    """A file's bytes: as everybody sees them, as the disk has them, and the changes between the two."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.durable = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []  # offset and bytes; or the new length and None

    def change(self, offset: int, data: bytes | None) -> None:
        _put(self.seen, offset, data)
        self.pending.append((offset, data))

    def sync(self, *, worked: bool) -> None:
        for change in self.pending if worked else ():
            _put(self.durable, *change)
        self.pending.clear()

    def after_cut(self, fate: Fate, chance: float, rng: random.Random) -> bytes:
        left = bytearray(self.durable)
        for change in self.pending:
            for piece in _pieces(change, fate, rng):
                if rng.random() < chance:
                    _put(left, *piece)
        return bytes(left)


class Open:
    """An open file or directory."""

    def __init__(self, path: str, content: Content | None) -> None:
        self.path, self.content, self.position = path, content, 0


class Disk:
    """Everything below `root`."""

    def __init__(self, root: Path) -> None:
        """With what lies there now, all of it durable."""
        self._root = os.path.abspath(root)
        self._names: dict[str, Content | None] = {"": None}
        for path in sorted(root.rglob("*")):
            self._names[self._inside(str(path)) or ""] = Content(path.read_bytes()) if path.is_file() else None
        self._durable_names = dict(self._names)
        self._renamed: list[tuple[str, dict[str, Content | None], set[str]]] = []  # directory, names that came, names that went
        self._open: dict[str, Open] = {}

    def reboot(self) -> None:
        """Another process now: what the one before had open is closed."""
        self._open.clear()

    def apply(self, call: Call) -> None:
        """Something was done to the files, or something else, which is passed over."""
        if call.name in ("fsync", "fdatasync"):
            self._sync(call)
        elif call.result >= 0:
            getattr(self, f"_{call.name}", self._unknown)(call)

    def concerned(self, call: Call) -> bool:
        """Whether it names or has open something below the root; to be asked before the call is applied."""
        ours = "".join(f"\\x{byte:02x}" for byte in self._root.encode())
        return call.arguments[0] in self._open or any(ours in argument for argument in call.arguments)

    def is_of_directory(self, call: Call) -> bool:
        """Whether it opens a directory below the root, or uses an open one."""
        file = self._open.get(call.arguments[0])
        named = [path for path in self._paths(call) if path is not None] if call.name == "openat" else []
        return (file is not None and file.content is None) or any(path in self._names and self._names[path] is None for path in named)

    def seen(self) -> dict[str, bytes | None]:
        """What everybody sees now, were there no power cut."""
        return {name: None if content is None else bytes(content.seen) for name, content in self._names.items() if name}

    def cut(self, fate: Fate, rng: random.Random) -> dict[str, bytes | None]:
        """What a power cut leaves at this moment."""
        chance = {Fate.NOTHING: 0.0, Fate.EVERYTHING: 1.0}.get(fate, rng.choice([0.1, 0.5, 0.9]))
        names = dict(self._durable_names)
        for _, came, went in self._renamed:
            if rng.random() >= chance:
                break
            names = {name: content for name, content in names.items() if name not in went} | came
        there = [name for name in names if name and all(str(parent) in names for parent in _parents(name))]
        contents = [(name, names[name]) for name in there]
        return {name: None if content is None else content.after_cut(fate, chance, rng) for name, content in contents}

    def _inside(self, path: str) -> str | None:
        """Relative to the root; None for what is not our affair."""
        ours = path == self._root or path.startswith(f"{self._root}/")
        return None if not ours or path.endswith("-shm") else path[len(self._root) + 1 :]

    def _paths(self, call: Call) -> list[str | None]:
        return [self._inside(text(argument).decode()) for argument in call.arguments if argument.startswith('"')]

    def _note(self, came: dict[str, Content | None], went: set[str]) -> None:
        self._names = {name: content for name, content in self._names.items() if name not in went} | came
        self._renamed.append((os.path.dirname(next(iter([*came, *went]))), came, went))

    def _sync(self, call: Call) -> None:
        file = self._open.get(call.arguments[0])
        if file is None:
            return
        if file.content is not None:
            file.content.sync(worked=call.result == 0)
        elif call.result == 0:
            for directory, came, went in self._renamed:
                if directory == file.path:
                    self._durable_names = {n: c for n, c in self._durable_names.items() if n not in went} | came
            self._renamed = [each for each in self._renamed if each[0] != file.path]

    def _openat(self, call: Call) -> None:
        (path,), flags = self._paths(call), call.arguments[2].split("|")
        if path is None:
            self._open.pop(str(call.result), None)
            return
        if path not in self._names:
            self._note({path: Content()}, set())
        content = self._names[path]
        if content is not None and "O_TRUNC" in flags and content.seen:
            content.change(0, None)
        self._open[str(call.result)] = Open(path, content)

    def _close(self, call: Call) -> None:
        self._open.pop(call.arguments[0], None)

    def _pwrite64(self, call: Call) -> None:
        if content := self._content(call):
            content.change(int(call.arguments[3]), text(call.arguments[1])[: call.result])

    def _write(self, call: Call) -> None:
        if content := self._content(call):
            file = self._open[call.arguments[0]]
            content.change(file.position, text(call.arguments[1])[: call.result])
            file.position += call.result

    def _pread64(self, call: Call) -> None:
        pass

    def _lseek(self, call: Call) -> None:
        if self._content(call):
            self._open[call.arguments[0]].position = call.result

    def _ftruncate(self, call: Call) -> None:
        if content := self._content(call):
            content.change(int(call.arguments[1], 0), None)

    def _fallocate(self, call: Call) -> None:
        if content := self._content(call):
            assert call.arguments[1] == "0", "only a file's growth is known here"
            content.change(max(len(content.seen), int(call.arguments[2]) + int(call.arguments[3])), None)

    def _unlink(self, call: Call) -> None:
        (path,) = self._paths(call)
        if path:
            self._note({}, {path})

    def _rename(self, call: Call) -> None:
        old, new = self._paths(call)
        if old and new:
            assert os.path.dirname(old) == os.path.dirname(new), "only renaming within a directory is known here"
            content = self._names[old]
            if content is None or content is not self._names.get(new):  # of two names of one file, rename(2) leaves both
                self._note({new: content}, {old})

    def _link(self, call: Call) -> None:
        old, new = self._paths(call)
        if old and new:
            self._note({new: self._names[old]}, set())

    def _mkdir(self, call: Call) -> None:
        (path,) = self._paths(call)
        if path:
            self._note({path: None}, set())

    _unlinkat, _renameat, _renameat2, _mkdirat, _linkat = _unlink, _rename, _rename, _mkdir, _link

    def _mmap(self, call: Call) -> None:
        shared = "PROT_WRITE" in call.arguments[2] and "MAP_SHARED" in call.arguments[3]
        assert not (shared and self._content(call, 4)), "somebody writes to a file through its memory, which no system call shows"

    def _unknown(self, call: Call) -> None:
        assert not self.concerned(call), f"a change of a file that is not known here: {call.name}{call.arguments}"

    def _content(self, call: Call, at: int = 0) -> Content | None:
        file = self._open.get(call.arguments[at])
        return file.content if file else None


def lay(image: Image, root: Path) -> Path:
    """Make a directory of it."""
    root.mkdir(parents=True)
    for name, content in sorted(image.items()):
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
    return root


def _parents(name: str) -> list[str]:
    return [part for part in map(str, Path(name).parents) if part != "."]


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    content.extend(bytes(max(0, offset - len(content))))
    if data is not None:
        content[offset : offset + len(data)] = data


def _pieces(change: tuple[int, bytes | None], fate: Fate, rng: random.Random) -> Iterator[tuple[int, bytes | None]]:
    """One change in the units that a cut may separate."""
    offset, data = change
    if data is None or fate in (Fate.NOTHING, Fate.EVERYTHING):
        yield change
        return
    end = offset + len(data)
    if fate is Fate.TORN:
        edges = [rng.randrange(offset, end + 1)]
    else:
        unit = SECTOR_bytes if fate is Fate.SECTORS else PAGE_bytes
        edges = list(range(offset - offset % unit + unit, end, unit))
    for start, stop in zip([offset, *edges], [*edges, end], strict=True):
        yield start, data[start - offset : stop - offset]
