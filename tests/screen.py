"""A pty as the screen of a command: what a person would see, and nothing that a pipe would get."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from typing import Self

from tests.typed import REPOSITORY, environment


class Screen:
    """A terminal; what programs write to it is kept."""

    def __init__(self) -> None:
        self._master, self.terminal = pty.openpty()
        self._written = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)
        os.close(self.terminal)

    @contextlib.contextmanager
    def runs(self, *words: str, stdout: int, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program with the screen for its standard error, for the length of the block; where its output goes is for the caller to say."""
        env = environment(TERM="xterm", **more)
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=self.terminal, cwd=REPOSITORY, env=env) as process:
            try:
                yield process
            finally:
                process.kill()

    def seen(self) -> bytes:
        """All that was written until now."""
        while select.select([self._master], [], [], 0)[0]:
            self._written += os.read(self._master, 65536)
        return bytes(self._written)
