"""What libraries say through the standard library's logging, into our ring: its own handlers would wait for a full pipe."""

from __future__ import annotations

import logging

from edgegw.log.pipeline import Logger
from edgegw.log.ring import LEVELS


class RingHandler(logging.Handler):
    """Hands each record to `logger`, with the library's name as the field `library`; takes no lock."""

    def __init__(self, logger: Logger, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._logger = logger

    def handle(self, record: logging.LogRecord) -> bool:
        """As the base class does it, but without its lock: a ring takes from any thread."""
        wanted = bool(self.filter(record))
        if wanted:
            self.emit(record)
        return wanted

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises; a record whose arguments do not fit its format is shown unformatted."""
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's bug in a log call must not end the process
            event = f"{record.msg} {record.args!r}"
        rank = min(max(record.levelno // 10, 1), len(LEVELS)) - 1  # logging counts in tens from DEBUG on
        self._logger.log(10 * (rank + 1), event, exc_info=record.exc_info, library=record.name)


def hear_libraries(logger: Logger) -> None:
    """Make the root logger speak to `logger` and to nobody else; once, at the start of a process body."""
    logging.root.handlers[:] = [RingHandler(logger)]
    logging.captureWarnings(True)
