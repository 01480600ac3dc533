"""Keeps all that a failed proof needs to be looked into later, and reads it back to be judged again.

seed.txt has what to start the same walk with, verdict.txt what was found, history.json lives, books and rows as `check` was given
them; beside them lie copies of the directories that were named: journals, the state directory with the spool and its WAL, logs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edgegw.history.check import Books
from edgegw.history.journal import Life
from edgegw.history.observed import Observed
from edgegw.history.verdict import Verdict


class Case(msgspec.Struct, frozen=True):
    """What one check was given."""

    lives: tuple[Life, ...]
    books: tuple[Books, ...]
    seen: Observed

    def arguments(self) -> tuple[Sequence[Life], Sequence[Books], Observed]:
        """For check()."""
        return self.lives, self.books, self.seen


def keep(into: Path, seed: str, verdict: Verdict, cases: Sequence[Case], folders: Mapping[str, Path]) -> Path:
    """Write it all to a new directory `into`, which is returned; `folders`: name there → what to copy, but for sockets. Raises OSError."""
    into.mkdir(parents=True)
    (into / "seed.txt").write_text(f"{seed}\n")
    (into / "verdict.txt").write_text(f"{verdict.report()}\n")
    (into / "history.json").write_bytes(msgspec.json.encode(list(cases)))
    for name, folder in folders.items():
        shutil.copytree(folder, into / name, ignore=_no_files, ignore_dangling_symlinks=True)
    return into


def recall(directory: Path) -> list[Case]:
    """The cases in a directory that keep() has made. Raises OSError, or msgspec.DecodeError."""
    return msgspec.json.decode((directory / "history.json").read_bytes(), type=list[Case])


def _no_files(folder: str, names: list[str]) -> list[str]:
    """Sockets and pipes, which cannot be copied."""
    paths = {name: Path(folder, name) for name in names}
    return [name for name, path in paths.items() if path.exists() and not (path.is_file() or path.is_dir())]
