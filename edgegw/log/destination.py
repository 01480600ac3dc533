"""Where a process's log lines go: journald, a terminal, a file, or JSON on standard error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from edgegw.log.entry import Entry, json_line, render
from edgegw.log.file import FileSink
from edgegw.log.journal import JournalSink
from edgegw.log.stream import StreamSink


class LogSink(Protocol):
    """Takes entries without ever waiting or raising; used by one thread at a time."""

    @property
    def trouble(self) -> Mapping[str, int]:
        """Errors met so far: name of the errno → how often."""

    def write(self, entry: Entry) -> bool:
        """Take the entry, or False: not now, offer the same again later."""

    def flush(self) -> bool:
        """Send on what was taken and still waits; True when nothing does."""

    def close(self) -> None:
        """Let go of descriptors, without flushing; once only."""


def destination(process: str, logs_dir: Path | None = None, fd: int = 2, environ: Mapping[str, str] = os.environ) -> LogSink:
    """The sink for `process`: journald when `fd` leads there, else a file when a `logs_dir` is given, else `fd` itself.

    A `logs_dir` is for a gateway in the background: nobody reads its standard error.
    """
    if _is_journal(fd, environ.get("JOURNAL_STREAM", "")):
        return JournalSink()
    if logs_dir is not None:
        return FileSink(logs_dir / f"{process}.log")
    if os.isatty(fd):
        colour = not environ.get("NO_COLOR")
        return StreamSink(fd, lambda entry: (render(entry, colour) + "\n").encode())
    return StreamSink(fd, json_line)


def _is_journal(fd: int, journal_stream: str) -> bool:
    """Whether systemd's JOURNAL_STREAM names this very descriptor: it is inherited by shells that have redirected theirs."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"
