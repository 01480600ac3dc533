"""`edgegw discover`: asks every bus of this machine at once what hangs on it; trouble with one holds up no other."""

from __future__ import annotations

import importlib
import pkgutil
import queue
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgegw.cli import sections, show
from edgegw.driver import Found
from edgegw.errors import EdgegwError

PACKAGE = "workers.finding"  # a module for each bus; by name, since edgegw knows no driver
ORDER = ("serial", "i2c", "ble", "camera")  # as they are shown; what is not among them comes after
GRACE_s = 5.0  # beyond the time that a bus was given: for opening it, waiting for its turn, and giving up

UNBOUNDED = 10_000  # columns


class Answer(msgspec.Struct):
    """What became of asking one bus; `found` grows while it is asked."""

    name: str
    title: str
    check: str  # what to look at when nothing was found
    found: list[Found] = []
    trouble: str = ""
    done: bool = False


def run(seconds: float, *, as_json: bool, as_toml: bool) -> None:
    """Ask, each bus for `seconds` at most, and print what there is. Nothing found is no failure."""
    answers = ask(finders(), seconds)
    found = [each for answer in answers for each in answer.found]
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    elif as_toml:
        sys.stdout.write(sections.of(found))
    if as_json or as_toml:
        sys.stderr.write("".join(f"{answer.title}: {line}\n" for answer in answers if (line := _remark(answer))))
    else:
        console = show.console()
        console.print(_everything(answers, console), crop=False)


def finders() -> list[ModuleType]:
    """The modules that look for something."""
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)]
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in sorted(names, key=lambda name: (*ORDER, name).index(name))]
    return [module for module in modules if hasattr(module, "find")]


def ask(modules: Sequence[Any], seconds: float, patience_s: float | None = None) -> list[Answer]:
    """All at once. Who has not answered within `patience_s` (else seconds and some) is left behind with what it found so far."""
    answers = [Answer(_name(module), module.TITLE, module.CHECK) for module in modules]
    ready: queue.SimpleQueue[None] = queue.SimpleQueue()
    for module, answer in zip(modules, answers, strict=True):
        # A daemon: a thread that hangs in a transfer cannot be ended, and must not hold up the end of the command.
        threading.Thread(target=_ask, args=(module, seconds, answer, ready), name=f"find {answer.name}", daemon=True).start()
    until = time.monotonic() + (patience_s if patience_s is not None else seconds + GRACE_s)
    with Console(stderr=True).status("") as progress:  # on a terminal only: rich sees to that
        while waiting := [answer for answer in answers if not answer.done]:
            progress.update(f"asking: {', '.join(answer.title for answer in waiting)}")
            try:
                ready.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
    return [_left_behind(answer, seconds) for answer in answers]


def _ask(module: Any, seconds: float, answer: Answer, ready: queue.SimpleQueue[None]) -> None:
    try:
        for found in module.find(seconds):
            answer.found.append(found)
    except (EdgegwError, OSError) as error:
        answer.trouble = str(error)
    except Exception as error:  # noqa: BLE001 # a bug in one must not hide what the others found
        answer.trouble = f"edgegw has a bug there ({type(error).__name__}: {error}); please report it"
    finally:
        answer.done = True
        ready.put(None)


def _left_behind(answer: Answer, seconds: float) -> Answer:
    """As it stands now; what its thread may still add goes nowhere."""
    trouble = answer.trouble if answer.done else f"no answer within {seconds:g} s"
    return msgspec.structs.replace(answer, found=list(answer.found), trouble=trouble)


def _name(module: Any) -> str:
    return str(module.__name__).rpartition(".")[2]


def _remark(answer: Answer) -> str:
    if answer.trouble:
        return sections.printable(answer.trouble)
    return "" if answer.found else f"nothing found; {answer.check}"


def _everything(answers: Iterable[Answer], console: Console) -> RenderableType:
    parts: list[RenderableType] = []
    for answer in answers:
        parts.append(Text(answer.title, "bold"))
        if answer.found:
            table = _table(answer.found)
            needed = console.measure(table, options=console.options.update(width=UNBOUNDED)).maximum
            parts.append(table if needed <= console.width else _stacked(answer.found))
        if remark := _remark(answer):
            parts.append(Text(f"  {remark}", "yellow" if answer.trouble else ""))
        parts.append(Text(""))
    parts.append(Text("`edgegw try DRIVER KEY=VALUE` reads one of them; `edgegw discover --toml` writes the sections for a configuration."))
    return Group(*parts)


def _table(found: Sequence[Found]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("  WHERE", "WHAT", "DETAIL", "DRIVER"):
        table.add_column(heading, no_wrap=True)
    for each in found:
        where, *others = _cells(each)
        table.add_row(Text(f"  {where}"), *others)
    return table


def _stacked(found: Sequence[Found]) -> RenderableType:
    """For a narrow terminal: where it is has a line of its own, whole, since a name that is broken in two cannot be copied."""
    lines: list[RenderableType] = []
    for each in found:
        where, what, detail, driver = _cells(each)
        more = ", ".join(filter(None, (str(what), str(detail), f"driver {driver}" if each.driver else "")))
        lines += [Text(f"  {where}", no_wrap=True, overflow="ignore"), Padding(Text(more, "dim"), (0, 0, 0, 4))]
    return Group(*lines)


def _cells(each: Found) -> list[Text]:
    """As text, not as rich's markup, which begins with a bracket."""
    return [Text(sections.printable(cell)) for cell in (each.where, each.what or "?", each.detail, each.driver or "-")]
