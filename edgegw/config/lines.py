"""Where each key of a TOML text stands: tomllib forgets lines, so this walks the text again.

It trusts that tomllib has accepted the text, and so needs no error of its own: it only has to know where a key ends,
where a value ends, and which section it is in. Elements of arrays are in the path by index.
"""

from __future__ import annotations

import bisect
import re
import tomllib

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BASIC, _LITERAL = r'"(?:[^"\\\n]|\\.)*"', r"'[^'\n]*'"
_PART = re.compile(rf"[ \t]*([A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})[ \t]*")
# A multi-line string may end in one or two quotes of its own, hence the look-ahead.
_STRING = re.compile(rf'"""(?:[^\\]|\\.)*?"""(?!")|\'\'\'.*?\'\'\'(?!\')|{_BASIC}|{_LITERAL}', re.DOTALL)
_BARE = re.compile(r"[^,\]}#\n]+")  # numbers, words, dates: those may hold a blank


def locate(text: str) -> dict[KeyPath, int]:
    """Key path → 1-based line, for every key, section and array element in `text`, which must be valid TOML.

    Raises RecursionError where the text nests deeper than the interpreter's stack; tomllib does so on such text too.
    """
    return _Walk(text.replace("\r\n", "\n")).document()


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._last: dict[KeyPath, int] = {}  # array of tables → index of its newest element

    def document(self) -> dict[KeyPath, int]:
        section: KeyPath = ()
        self._blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                section = self._header()
            else:
                self._pair(section)
            self._blank()
        return self._lines

    def _header(self) -> KeyPath:
        start, many = self._at, self._text.startswith("[[", self._at)
        self._at += 1 + many
        parts = self._key()
        self._at += 1 + many
        path: KeyPath = ()
        for part in parts[:-1]:
            path = self._newest((*path, part))
        path = (*path, parts[-1])
        if many:
            self._last[path] = self._last.get(path, -1) + 1
        path = self._newest(path)
        self._note(path, start)
        return path

    def _pair(self, section: KeyPath) -> None:
        start = self._at
        path: KeyPath = (*section, *self._key())
        self._at += 1  # the equals sign
        self._blank()
        self._note(path, start)
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while found := _PART.match(self._text, self._at):
            parts.append(_unquoted(found[1]))
            self._at = found.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return parts

    def _value(self, path: KeyPath) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_BARE)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while not self._closed("]"):
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, bracket: str) -> bool:
        self._blank()
        if self._text.startswith(",", self._at):
            self._at += 1
            self._blank()
        if not self._text.startswith(bracket, self._at):
            return False
        self._at += 1
        return True

    def _newest(self, path: KeyPath) -> KeyPath:
        return (*path, self._last[path]) if path in self._last else path

    def _note(self, path: KeyPath, start: int) -> None:
        line = bisect.bisect_left(self._newlines, start) + 1
        self._lines[path] = line
        while path := path[:-1]:
            self._lines.setdefault(path, line)

    def _blank(self) -> None:
        self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is None:  # pragma: no cover - tomllib has accepted the text
            raise AssertionError(f"the line scanner lost its way at character {self._at}")
        self._at = found.end()


def _unquoted(part: str) -> str:
    """A key part without its quotes; escapes are tomllib's to read."""
    if part[0] == "'":
        return part[1:-1]
    return str(tomllib.loads(f"k = {part}")["k"]) if part[0] == '"' else part
