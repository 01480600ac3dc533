"""The line scanner, judged by tomllib: every value is the number of the line that its key stands in."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgegw.config.lines import KeyPath, locate

KEYS = st.sampled_from(["a", "b-1", "_", "1", '"a b"', '"#"', '"=\\""', "'[x]'", "'a.b'", '"\\u00e9"', '"]"', '\'"""\''])
BLANK = st.sampled_from(["", " ", "\t", "  "])
REMARK = st.sampled_from(["", " # remark", ' # "', " # '''", " # ] }"])
BREAK = st.sampled_from(["", "\n", "\n\n", " # ] , x = 1\n", '\n# """\n'])
# Text after the number of the line, in every kind of string, with all that could lead a scanner astray.
STRINGS = st.sampled_from(
    [
        '"{line} # = [ ] \\" \'"',
        "'{line} # = [ ] \" \\'",
        '"""{line}\n[not.a.section]\nx = 1 # \\"""\n\\\\"""',
        '"""{line} ""quotes at the end"""""',
        "'''{line}\n[[nor.this]]\n\\'''''",
        '"""{line}\\\n   joined"""',
    ]
)


class Text:
    """A TOML text that grows, and knows which line it is in."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def __str__(self) -> str:
        return "".join(self.parts)

    @property
    def line(self) -> int:
        return str(self).count("\n") + 1

    def add(self, part: str) -> None:
        self.parts.append(part)


def write_key(text: Text, draw: st.DrawFn) -> None:
    dot = draw(BLANK) + "." + draw(BLANK)
    text.add(dot.join(draw(st.lists(KEYS, min_size=1, max_size=3))))


def write_value(text: Text, draw: st.DrawFn, line: int, depth: int = 0) -> None:
    """A value that is, or is made of values that are, the line where its key or element stands."""
    kind = draw(st.sampled_from(["number", "number", "string"] + (["array", "table"] if depth < 3 else [])))
    if kind == "number":
        text.add(str(line))
    elif kind == "string":
        text.add(draw(STRINGS).replace("{line}", str(line)))
    elif kind == "array":
        text.add("[" + draw(BREAK))
        for _ in range(draw(st.integers(0, 3))):
            write_value(text, draw, text.line, depth + 1)
            text.add(draw(BREAK) + "," + draw(BREAK))
        text.add("]")
    else:
        text.add("{" + draw(BLANK))
        for number in range(draw(st.integers(0, 2))):
            text.add(", " if number else "")
            line = text.line
            write_key(text, draw)
            text.add(draw(BLANK) + "=" + draw(BLANK))
            write_value(text, draw, line, depth + 1)
        text.add(draw(BLANK) + "}")


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = Text()
    for _ in range(draw(st.integers(1, 8))):
        form = draw(st.sampled_from(["[", "[[", "=", "=", "=", ""]))
        text.add(draw(BLANK))
        line = text.line
        if form.startswith("["):
            text.add(form)
            write_key(text, draw)
            text.add("]" * len(form))
        elif form:
            write_key(text, draw)
            text.add(draw(BLANK) + "=" + draw(BLANK))
            write_value(text, draw, line)
        text.add(draw(REMARK) + "\n")
    return str(text)


def leaves(value: Any, path: KeyPath = ()) -> list[tuple[KeyPath, int]]:
    """Every leaf's path, and the line that it says it stands in."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*path, index))]
    return [(path, value if isinstance(value, int) else int(value.split()[0].removesuffix("joined")))]


@given(documents(), st.booleans())
def test_every_leaf_is_located_in_the_line_where_it_stands(text: str, windows: bool) -> None:
    """For any document that tomllib takes, the located line of every leaf is the one that its value was given for."""
    text = text.replace("\n", "\r\n") if windows else text
    try:
        told = leaves(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        assume(False)
    lines = locate(text)
    assert {path: lines.get(path) for path, _ in told} == dict(told)


def test_sections_and_repeated_sections_are_located() -> None:
    """A header has its own line, an implied parent that of its first child, an element of an array of tables that of its header."""
    text = "[a.b]\n\n[[c]]\nx = 1\n[[c]]\n[c.d]\ny = 2\n[a]\n'q.r'.s = 3\n"
    assert locate(text) == {
        ("a", "b"): 1,
        ("a",): 8,
        ("c",): 3,
        ("c", 0): 3,
        ("c", 0, "x"): 4,
        ("c", 1): 5,
        ("c", 1, "d"): 6,
        ("c", 1, "d", "y"): 7,
        ("a", "q.r"): 9,
        ("a", "q.r", "s"): 9,
    }


@pytest.mark.parametrize("value", ["1979-05-27 07:32:00", "1979-05-27T07:32:00-08:00", "07:32:00", "+1e-3", "0xdead_beef", "-inf", "true"])
def test_words_and_dates_end_where_they_end(value: str) -> None:
    """A bare value, even a date with a blank in it, does not swallow what follows it."""
    text = f"a = {value} # x = 1\nb = [{value},{value}]\nc = {{d = {value}, e = {value}}}\nf = {value}"
    lines = locate(text)
    assert [lines[path] for path in [("a",), ("b", 1), ("c", "e"), ("f",)]] == [1, 2, 3, 4]
    assert ("x",) not in lines
