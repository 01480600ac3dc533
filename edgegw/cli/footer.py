"""A line that stays under what scrolls by, on a terminal; elsewhere it is not there at all."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

ERASE = "\r\x1b[K"


class Footer:
    """Writes to `terminal` while text goes to `under`; where both are one screen, the line makes way and comes back."""

    def __init__(self, terminal: TextIO, under: TextIO) -> None:
        self._terminal = terminal
        self._under = under
        self._alive = terminal.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shared = self._alive and under.isatty()
        self._shown = ""

    def above(self, text: str) -> None:
        """Print `text`, which ends in a newline, where it belongs."""
        if self._shared:
            self._erase()
        self._under.write(text)
        self._under.flush()

    def show(self, line: str) -> None:
        """The line as it is from now on; costs nothing when it stands there already."""
        if not self._alive:
            return
        line = line[: shutil.get_terminal_size().columns - 1]  # one that wraps could not be erased
        if line != self._shown:
            self._shown = line
            self._terminal.write(f"{ERASE}{self._shown}")
            self._terminal.flush()

    def close(self, last: str) -> None:
        """Erase the line; `last` is what remains in its place, on a terminal or not."""
        self._erase()
        self._terminal.write(last)
        self._terminal.flush()

    def _erase(self) -> None:
        if self._shown:
            self._terminal.write(ERASE)
            self._terminal.flush()
            self._shown = ""
