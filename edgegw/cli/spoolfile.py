"""The spool as a file, for `edgegw spool`: which one is meant, whether it may be read, and `verify`: whether it is sound."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edgegw.account import Taken, imbalances, lines
from edgegw.cli import show
from edgegw.cli.settings import paths
from edgegw.errors import EdgegwError, Exit
from edgegw.spool.reader import Reader
from edgegw.spool.verify import Verified, verify


class NoSpool(EdgegwError):
    """There is no file to look at."""

    exit_code = Exit.IO


class NotAllowed(EdgegwError):
    """There is one, and it is somebody else's."""

    exit_code = Exit.NO_PERMISSION


def spool_file(config: Path | None, given: Path | None) -> Path:
    """The file that is meant, which can be read. Raises NoSpool or NotAllowed."""
    path = given or paths(config).spool
    try:
        with path.open("rb"):
            return path
    except FileNotFoundError:
        hint = "" if given else ": nothing was ever read here, or -c names another gateway's configuration"
        raise NoSpool(f"there is no spool {path}{hint}") from None
    except IsADirectoryError:
        raise NoSpool(f"{path} is a directory: name the file itself, which is called spool.db") from None
    except PermissionError:
        raise NotAllowed(f"the spool {path} may not be read by this user: try again as the gateway's user, or with sudo") from None


class Bar:
    """How far a long look is, on stderr, and only where somebody sits before it."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        parts = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
        self._progress = Progress(*parts, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bar:
        if not self._progress.disable:  # or an older rich ends what it never showed with an empty line
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:
            self._progress.stop()

    def seen(self, part: str, done: int, of: int) -> None:
        """So much of `part`; of 0, where nobody knows how much there is."""
        if part not in self._tasks:
            self._tasks[part] = self._progress.add_task(part, total=of or None)
        self._progress.update(self._tasks[part], completed=done, total=of or None)


def check(config: Path | None, given: Path | None, *, as_json: bool) -> int:
    """`verify`; returns the exit code. Raises NoSpool, NotAllowed or SpoolError."""
    path = spool_file(config, given)
    began_s = time.monotonic()
    with Bar() as bar:
        found = verify(path, bar.seen)
    if not found.wrong["structure"]:
        for what in _books(path):
            found.note("books", "", what)
    if as_json:
        sys.stdout.write(msgspec.json.encode(_verdict(path, found)).decode() + "\n")
    else:
        _tell(path, found, time.monotonic() - began_s)
    return Exit.FAILED if found.wrong else Exit.DONE


def _books(path: Path) -> Iterator[str]:
    """What does not add up in them. Of a run that goes on they say less than `edgegw audit` does, which also asks its worker."""
    reader = Reader(path)
    try:
        ledger = reader.whole_ledger()
    finally:
        reader.close()
    for line in lines(Taken({}, {}), ledger, {}, {}):
        yield from (one.what for one in imbalances(line))


def _verdict(path: Path, found: Verified) -> dict[str, Any]:
    counts = {name: getattr(found, name) for name in ("records", "readings", "runs", "attachments", "letters")}
    return {"file": str(path), "sound": not found.wrong, **counts, "wrong": dict(found.wrong), "faults": found.faults}


def _tell(path: Path, found: Verified, took_s: float) -> None:
    for fault in found.faults:
        click.echo(fault.what)
    shown, wrong = len(found.faults), found.wrong.total()
    if wrong > shown:
        click.echo(f"… and {wrong - shown} more like these")
    looked = [show.many(found.records, "record"), show.many(found.readings, "reading"), show.many(found.runs, "run")]
    looked += [show.many(count, name) for count, name in ((found.attachments, "attachment"), (found.letters, "dead letter")) if count]
    verdict = f"NOT SOUND: {show.many(wrong, 'fault')} in" if wrong else "sound:"
    click.echo(f"{verdict} {path}, {', '.join(looked)}, looked at in {took_s:.1f} s")
