"""`edgegw audit`: closes the books, and says whether they balance and what is missing."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from edgegw.account import Account, Imbalance, Line, Loss, imbalances, losses
from edgegw.account.declared import summed
from edgegw.cli import books, show
from edgegw.cli.settings import NoSuchSensor, load
from edgegw.config import Settings
from edgegw.errors import Exit
from edgegw.paths import Paths

SHOWN = 20  # sentences of a kind; thousands would hide the verdict


class Wish(msgspec.Struct, frozen=True):
    """What to look at, and how to show it."""

    sensors: tuple[str, ...] = ()
    as_json: bool = False
    offline: bool = False  # ask no store
    runs: bool = False  # a row a run
    strict: bool = False  # a declared loss is a failure, too


class Finding(msgspec.Struct, frozen=True):
    """An account, and what is to be said of it."""

    account: Account
    wrong: list[Imbalance]
    lost: list[Loss]

    def exit_code(self, *, strict: bool) -> int:
        """As the shell is told: wrong books weigh more than a store that was not asked."""
        if self.wrong or (strict and self.lost):
            return Exit.FAILED
        return Exit.UNAVAILABLE if self.account.unasked else Exit.DONE


def run(file: Path | None, wish: Wish) -> int:
    """Print it; returns the exit code. Raises ConfigError, NoSuchSensor or SpoolError."""
    settings = load(file)
    if not settings.paths.spool.exists():
        sys.stdout.write('{"balanced":true,"runs":[]}\n' if wish.as_json else "there are no books: nothing was ever read here\n")
        return Exit.DONE
    account = books.accounts(settings, ask=not wish.offline, sensors=wish.sensors)
    _must_exist(wish.sensors, settings, account.lines)
    found = findings(account)
    if wish.as_json:
        sys.stdout.write(msgspec.json.encode(document(found)).decode() + "\n")
    else:
        tell(show.console(), found, settings.paths, wish)
    return found.exit_code(strict=wish.strict)


def findings(account: Account) -> Finding:
    """What is wrong, and what is missing."""
    wrong = [one for line in account.lines for one in imbalances(line)]
    return Finding(account, wrong, [one for line in account.lines for one in losses(line)])


def tell(console: Console, found: Finding, paths: Paths, wish: Wish) -> None:
    """For people."""
    account = found.account
    wrong = {one.run for one in found.wrong}
    for sink in account.sinks:
        console.print(books.table(account, sink, runs=wish.runs))
        if wrong and not wish.runs:
            of = msgspec.structs.replace(account, lines=tuple(line for line in account.lines if line.run in wrong)[:SHOWN])
            console.print(books.table(of, sink, runs=True))
        console.print()
    _outboxes(console, account)
    console.print(books.legend(account), style="dim")
    _list(console, "What is missing, and why:", [str(one) for one in summed(found.lost)])
    _list(console, "What was not asked:", [f"{sink}: {why}" for sink, why in account.unasked.items()])
    _list(console, "What does not add up:", [one.what for one in found.wrong])
    if found.wrong and (aside := sorted(paths.spool.parent.glob(f"{paths.spool.name}.damaged-*[0-9]"))):
        console.print(f"  The spool was replaced: {', '.join(map(str, aside))} may hold what is missing.", soft_wrap=True)
    console.print(f"\n{verdict(found)}", soft_wrap=True)


def verdict(found: Finding) -> str:
    """All of it in one line."""
    lines = found.account.lines
    readings = f"{sum(line.produced for line in lines)} readings in {len(lines)} run{'' if len(lines) == 1 else 's'}"
    if found.wrong:
        things = f"{len(found.wrong)} thing{' does' if len(found.wrong) == 1 else 's do'}"
        return f"NOT BALANCED: {things} not add up in the books of {readings}"
    missing = sum(one.count for one in found.lost)
    known = f"; {missing} of them are missing somewhere, as said above" if missing else "; none is lost"
    if not missing and found.lost:
        known = "; what is not counted is said above"
    unasked = f" (as far as can be told without {' and '.join(found.account.unasked)})" if found.account.unasked else ""
    return f"balanced: {readings}, and every one is accounted for{known}{unasked}"


def document(found: Finding) -> dict[str, Any]:
    """For programs."""
    account = found.account
    return {
        "balanced": not found.wrong,
        "sinks": {sink: {name.lower().replace(" ", "_"): n for name, n in books.totals(account, sink).items()} for sink in account.sinks},
        "runs": [_run(line) for line in account.lines],
        "lost": [msgspec.to_builtins(one) | {"what": str(one)} for one in found.lost],
        "imbalances": found.wrong,
        "unasked": account.unasked,
        "runs_unknown_here": account.strangers,
    }


def _run(line: Line) -> dict[str, Any]:
    derived = {"in_flight": line.in_flight, "lost": line.lost}
    of = {name: getattr(line, name) for name in ("sensor", "run", "ending", "closed", "produced", "filtered", "dropped", "refused", "kept")}
    sinks = {at.sink: msgspec.to_builtins(at.outcome) | {"stored": at.stored.count if at.stored else None} for at in line.sinks}
    return {**of, **derived, "lost_at_most": line.bound, "uncounted_at_most": line.uncounted, "sinks": sinks}


def _outboxes(console: Console, account: Account) -> None:
    for sink in account.outboxes:
        of = [at.outcome for line in account.lines for at in line.sinks if at.sink == sink]
        counts = (sum(at.delivered for at in of), sum(at.waiting for at in of), sum(at.dead for at in of))
        console.print(f"{sink} takes pictures only: {counts[0]} delivered, {counts[1]} waiting, {counts[2]} rejected\n")


def _list(console: Console, title: str, sentences: Sequence[str]) -> None:
    if not sentences:
        return
    console.print(f"\n{title}", style="bold")
    for sentence in sentences[:SHOWN]:
        console.print(f"  {sentence}", soft_wrap=True)
    if len(sentences) > SHOWN:
        console.print(f"  … and {len(sentences) - SHOWN} more; --json has them all")


def _must_exist(sensors: Collection[str], settings: Settings, lines: Collection[Line]) -> None:
    for name in sensors:
        if settings.sensor(name) is None and not any(line.sensor == name for line in lines):
            raise NoSuchSensor(f"there is no sensor {name!r}, and no book of one (there are {', '.join(s.name for s in settings.sensors)})")
