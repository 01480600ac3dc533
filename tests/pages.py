"""Pages of docs/ that name the tests which hold what they say."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def page(name: str) -> str:
    """Its text."""
    return (ROOT / "docs" / name).read_text()


def rows(text: str) -> list[str]:
    """The rows of all tables in it, without their heads."""
    lines = text.splitlines()
    return [line for line, below in zip(lines, [*lines[1:], ""], strict=True) if line.startswith("|") and not (_rule(line) or _rule(below))]


def _rule(line: str) -> bool:
    return line.startswith("|") and set(line) <= set("|-: ")


def named(text: str) -> list[tuple[str, str]]:
    """Every test that is named in it: file, function ("" for all of the file)."""
    return _NAMED.findall(text)


def missing(text: str) -> list[str]:
    """What is named and not there."""
    return [f"{file}::{test}".removesuffix("::") for file, test in named(text) if not _is_there(ROOT / file, test)]


def _is_there(file: Path, test: str) -> bool:
    return file.exists() and (not test or bool(re.search(rf"^(?:async )?def {test}\(", file.read_text(), re.MULTILINE)))
