"""docs/guarantees.md promises nothing that no test holds."""

from __future__ import annotations

import re

from tests import pages

PAGE = pages.page("guarantees.md")


def test_each_promise_has_a_number_and_a_test() -> None:
    """Three columns, none of them empty, and each row names a test of a file that has it."""
    promises = pages.rows(PAGE)
    assert len(promises) > 30
    for row in promises:
        promise, number, held = (cell.strip() for cell in row.strip("|").split("|"))
        assert promise, row
        assert number, row
        assert pages.named(held), row
    assert not pages.missing(PAGE)


def test_the_commands_of_the_page_are_there() -> None:
    """Whoever doubts can look; what is to be typed exists."""
    makefile = (pages.ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", PAGE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
