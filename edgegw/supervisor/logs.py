"""What the supervisor needs of a log."""

from __future__ import annotations

from typing import Protocol


class Logger(Protocol):
    """As structlog's."""

    def info(self, event: str, **fields: object) -> object:
        """A state changed as it should."""

    def warning(self, event: str, **fields: object) -> object:
        """Something went wrong and is being dealt with."""

    def error(self, event: str, **fields: object) -> object:
        """Somebody should look."""


class Log(Protocol):
    """Where loggers come from; drain() moves on what they were given and never blocks."""

    def logger(self, **fields: object) -> Logger:
        """One that adds these fields to every line."""

    def drain(self) -> object:
        """Called once a turn, for there is no thread."""
