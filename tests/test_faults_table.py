"""docs/faults.md has a line for each of the fifty-one faults, and names no test and no command that is not there."""

from __future__ import annotations

import re

from tests import pages
from tests.chaos.every import FORMS

PAGE = pages.page("faults.md")
FAULTS, _, ELSEWHERE = PAGE.partition("## Cannot run here")


def cells(row: str) -> list[str]:
    """Of one line of a table."""
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_each_fault_has_a_line() -> None:
    """Fifty-one, in order, each once; none without a cell of words, and none without a test."""
    rows = [cells(row) for row in pages.rows(FAULTS)]
    assert [row[0] for row in rows] == [str(number) for number in range(1, 52)]
    for number, fault, answer, held in rows:
        assert fault, number
        assert answer, number
        assert pages.named(held), number


def test_each_named_test_is_there() -> None:
    """As a function of that file; a file alone would prove nothing."""
    assert pages.missing(PAGE) == []
    assert [file for file, test in pages.named(PAGE) if not test] == []


def test_each_command_is_there() -> None:
    """The targets are in the Makefile, and the long forms among those that `make chaos-all` knows."""
    makefile = (pages.ROOT / "Makefile").read_text()
    targets = re.findall(r"`make ([a-z-]+)", PAGE)
    assert len(targets) > 10
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert set(re.findall(r"ONLY=([a-z-]+)", PAGE)) <= set(FORMS)
    assert set(re.findall(r"PLAN=([a-z-]+)", PAGE)) <= {"walk", "kills", "servers"}


def test_what_cannot_run_here_has_a_reason() -> None:
    """Each line names the fault by its number, what is missing, and why."""
    rows = [cells(row) for row in pages.rows(ELSEWHERE)]
    assert len(rows) > 5
    for number, missing, why in rows:
        assert re.match(r"\d+", number), rows
        assert missing, number
        assert why, number
