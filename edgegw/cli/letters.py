"""What `edgegw dlq` does: looks at the dead letters in the spool, and has something done with them by whoever may write to it."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table

from edgegw import codec
from edgegw.cli import bridgecall
from edgegw.cli import show as screen
from edgegw.cli.settings import paths
from edgegw.codec import Lettered, Letters
from edgegw.errors import AlreadyRunning, EdgegwError, Exit
from edgegw.paths import Paths
from edgegw.spool import Choice, letters
from edgegw.spool.letters import Group
from edgegw.spool.reader import Reader
from edgegw.supervisor.place import claimed

NOTHING = "there is no dead letter"
_IN_VAIN = "nothing to do: they are to be given again already, or their sink is not configured, or was sent pictures, which are not kept"


class NotDone(EdgegwError):
    """The letters are as they were, as far as anybody knows."""

    exit_code = Exit.IO


class NotConfirmed(EdgegwError):
    """Nobody said yes."""


def show(file: Path | None, choice: Choice, *, as_json: bool) -> None:
    """`list`. Raises SpoolError."""
    found = _groups(paths(file), choice)
    if as_json:
        sys.stdout.write(msgspec.json.encode({"letters": sum(of.readings for of in found), "groups": found}).decode() + "\n")
    elif not found:
        click.echo(_nothing(choice))
    else:
        screen.console().print(_table(found))


def each(file: Path | None, choice: Choice, count: int) -> None:
    """`show`: one line a letter. Raises SpoolError."""
    where = paths(file)
    if where.spool.exists():
        with contextlib.closing(Reader(where.spool)) as reader:
            for letter in itertools.islice(reader.each_letter(choice), count):
                sys.stdout.write(msgspec.json.encode(letter).decode() + "\n")


def retry(file: Path | None, choice: Choice, *, as_json: bool) -> None:
    """`retry`. Raises NotDone or SpoolError."""
    where = paths(file)
    count, runs = _done(where, choice, drop=False)
    if not count and not as_json and _groups(where, choice):
        click.echo(_IN_VAIN)
        return
    when = "now" if runs else "when the gateway is started"
    _tell(count, f"{_letters(count)} will be given to {'its sink' if count == 1 else 'their sinks'} again {when}", choice, as_json=as_json)


def drop(file: Path | None, choice: Choice, *, yes: bool, as_json: bool) -> None:
    """`drop`. Raises NotConfirmed, NotDone or SpoolError."""
    where = paths(file)
    count = sum(of.readings for of in _groups(where, choice))
    if count and not yes and not click.confirm(f"{_letters(count)}{_which(choice)} will be gone for good. Give up?", err=True):
        raise NotConfirmed("nothing was given up")
    count, _ = _done(where, choice, drop=True) if count else (0, False)
    _tell(count, f"gave up {_letters(count)}; `edgegw audit` shows them as discarded", choice, as_json=as_json)


def _tell(count: int, sentence: str, choice: Choice, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"letters": count}).decode())
    else:
        click.echo(sentence if count else _nothing(choice))


def _groups(where: Paths, choice: Choice) -> list[Group]:
    if not where.spool.exists():
        return []
    with contextlib.closing(Reader(where.spool)) as reader:
        return reader.letters(choice)


def _done(where: Paths, choice: Choice, *, drop: bool) -> tuple[int, bool]:
    """How many, and whether a gateway did it; one that runs has to, for it alone may write to its spool."""
    if not where.spool.exists():
        return 0, False
    try:
        with claimed(where):
            return letters.in_file(where.spool, choice, drop_them=drop), False
    except AlreadyRunning:
        return _by_the_bridge(where, Letters(drop, choice.sink, choice.sensor, choice.run, choice.code)), True


def _by_the_bridge(where: Paths, wish: Letters) -> int:
    answer = bridgecall.ask(where, wish, Lettered)
    if answer is None:
        raise NotDone(f"the gateway gave no answer within {bridgecall.ANSWER_s:.0f} s: see `edgegw status`, and then `edgegw dlq list`")
    return answer.count


def _table(found: Sequence[Group]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SINK", "SENSOR", "CODE", "LETTERS", "OLDEST", "NEWEST"):
        grid.add_column(heading, justify="right" if heading == "LETTERS" else "left", no_wrap=True)
    grid.add_column("WHY, FOR EXAMPLE", overflow="fold")
    for (sink, sensor, code), of in sorted(_by_sensor(found).items()):
        times = [codec.rfc3339(ns)[:19] + "Z" for ns in (min(one.oldest_ns for one in of), max(one.newest_ns for one in of))]
        again = sum(one.again for one in of)
        why = of[0].example + (f" ({again} to be given again)" if again else "")
        grid.add_row(sink, sensor or "?", code, str(sum(one.readings for one in of)), *times, why)
    return grid


def _by_sensor(found: Iterable[Group]) -> dict[tuple[str, str, str], list[Group]]:
    rows: dict[tuple[str, str, str], list[Group]] = {}
    for one in found:
        rows.setdefault((one.sink, one.sensor, one.code), []).append(one)
    return rows


def _nothing(choice: Choice) -> str:
    return f"{NOTHING}{_which(choice)}"


def _which(choice: Choice) -> str:
    of = {name: value for name, value in msgspec.structs.asdict(choice).items() if value}
    return "".join(f" with {name} {value}" for name, value in of.items())


def _letters(count: int) -> str:
    return screen.many(count, "dead letter")
