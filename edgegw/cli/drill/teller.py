"""How a drill is told: on a terminal, in plain lines, or not at all until its one JSON document."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from edgegw.cli import audit
from edgegw.cli.drill.scenario import Kind, Scenario, Step
from edgegw.cli.drill.verdict import Closing
from edgegw.paths import Paths

INDENT = 20  # columns before the text of a line


class Teller:
    """Says nothing: programs read the document at the end."""

    def opening(self, what: Sequence[str]) -> None: ...

    @contextlib.contextmanager
    def scenario(self, number: int, count: int, scenario: Scenario) -> Iterator[None]:
        yield

    def step(self, step: Step) -> None: ...
    def waiting(self, text: str, after_s: float, within_s: float) -> None: ...
    def left_out(self, why: str) -> None: ...
    def say(self, sentence: str) -> None: ...
    def closing(self, closing: Closing, paths: Paths) -> None: ...
    def end(self, *, ok: bool, sentence: str) -> None: ...


class Spoken(Teller):
    """For people; while it waits, the last line of a terminal says for what and for how long."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def opening(self, what: Sequence[str]) -> None:
        self._console.print(what[0], style="bold", soft_wrap=True)
        for line in what[1:]:
            self._console.print(Text(f"  {line}"), soft_wrap=True)
        self._console.print()

    @contextlib.contextmanager
    def scenario(self, number: int, count: int, scenario: Scenario) -> Iterator[None]:
        """For as long as it plays."""
        self._console.print(Text(f"\n{number}/{count}  {scenario.name}", "bold").append(f"   {scenario.title}", "not bold"))
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            try:
                yield
            finally:
                self._live = None

    def step(self, step: Step) -> None:
        """One line of it."""
        if self._live is not None:
            self._live.update(Text(""), refresh=True)
        if step.kind is Kind.DID:
            self._console.print(self._line(Text("→", "cyan"), "", Text(step.text)))
        else:
            text = Text(step.text, "" if step.ok else "bold red")
            if step.found:
                text.append(f"  ({step.found})", "dim" if step.ok else "red")
            self._console.print(self._line(_mark(step.ok), _times(step), text))

    def waiting(self, text: str, after_s: float, within_s: float) -> None:
        """Something is expected; only a terminal shows it before it is there."""
        if self._live is not None and self._console.is_terminal and after_s > 0.3:
            self._live.update(self._line(Text("…", "yellow"), _of(after_s, within_s), Text(text, "dim")), refresh=True)

    def left_out(self, why: str) -> None:
        """It is not played here."""
        self._console.print(self._line(Text("-", "yellow"), "", Text(f"left out: {why}", "yellow")))

    def say(self, sentence: str) -> None:
        """Beside the scenarios."""
        self._console.print(f"\n{sentence}")

    def closing(self, closing: Closing, paths: Paths) -> None:
        """The books, and what the journals say."""
        self._console.print()
        audit.tell(self._console, closing.audit, paths, audit.Wish())
        self._console.print("\nThe history checker: what the sensors noted themselves, against what arrived:", style="bold")
        for verdict, repeats in zip(closing.verdicts, closing.repeats, strict=True):
            good = verdict.ok and verdict.found > 0
            head, *rest = verdict.report().splitlines()
            head += f"; {repeats} of them came again, for a broker is sent once more what it may not have got" if repeats else ""
            self._console.print(self._line(_mark(good), "", Text(head, "" if good else "bold red")))
            for line in rest:
                self._console.print(self._line(Text(" "), "", Text(line, "dim" if good else "red")))

    def end(self, *, ok: bool, sentence: str) -> None:
        """The last line."""
        self._console.print(Text(f"\n{sentence}", "bold green" if ok else "bold red"), soft_wrap=True)

    def _line(self, mark: Text, time: str, text: Text) -> Text:
        """Mark, time, text; a long text continues below itself."""
        lines = text.wrap(self._console, max(20, self._console.width - INDENT - 1))
        first = Text("  ").append_text(mark).append(f"{time:>{INDENT - 4}} ", "dim")
        return Text("\n").join([first.append_text(lines[0]), *(Text(" " * INDENT).append_text(line) for line in lines[1:])])


def _times(step: Step) -> str:
    return "" if step.after_s is None or step.within_s is None else _of(step.after_s, step.within_s)


def _of(after_s: float, within_s: float) -> str:
    return f"{after_s:.1f} of {within_s:g} s"


def _mark(good: bool) -> Text:
    return Text("✓", "green") if good else Text("✗", "bold red")
