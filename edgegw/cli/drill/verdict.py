"""What the drill ends with: the books against the stores, and the sensors' own journals against both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec

from edgegw import history
from edgegw.cli import books
from edgegw.cli.audit import Finding, findings
from edgegw.cli.drill.stage import STORE, Stage
from edgegw.history import Books, Case, Observed
from edgegw.spool import Reader
from edgegw.testing import witness


class Closing(msgspec.Struct, frozen=True):
    """The state of the books, and what the checker found at each place."""

    audit: Finding
    verdicts: tuple[history.Verdict, ...]
    cases: tuple[Case, ...]

    @property
    def repeats(self) -> tuple[int, ...]:
        """How many readings more than once each place has, in the order of the verdicts; a broker may, a store may not."""
        return tuple(len(case.seen.rows) - len({row[:3] for row in case.seen.rows}) for case in self.cases)

    @property
    def ok(self) -> bool:
        """Every reading is where it should be, or is declared as missing; something was read at all, and every store was asked."""
        return not self.complaint

    @property
    def complaint(self) -> str:
        """What is wrong, in a line; nothing where nothing is."""
        proven = bool(self.verdicts) and all(verdict.ok and verdict.found for verdict in self.verdicts)
        wrong = ["THE BOOKS DO NOT BALANCE"] if self.audit.wrong else []
        wrong += ["NOT EVERY STORE COULD BE ASKED"] if self.audit.account.unasked else []
        return ", ".join([*wrong, *([] if proven else ["WHAT ARRIVED IS NOT WHAT THE SENSORS NOTED"])])


def close(stage: Stage) -> Closing:
    """Of a stage whose gateway has stopped. Raises SpoolError, Unavailable or OSError."""
    audit = findings(books.accounts(stage.settings))
    with contextlib.closing(Reader(stage.settings.paths.spool)) as reader:
        ledger = reader.books()
    lives = tuple(life for name in stage.metronomes for life in history.journals(stage.journals / name, name))
    cases = []
    for seen in _seen(stage):
        kept: list[Books] = history.from_books(ledger, seen.place, stage.metronomes)
        cases.append(Case(lives, tuple(kept), seen))
    return Closing(audit, tuple(history.check(*case.arguments()) for case in cases), tuple(cases))


def _seen(stage: Stage) -> Iterable[Observed]:
    yield history.from_table(STORE, witness.rows_of_file(stage.store, history.ROWS))
    for server in stage.servers:
        yield server.seen(stage.settings)
