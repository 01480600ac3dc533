"""The log of a process: structlog → a bounded ring without a lock → one thread → journald, a terminal, a file or JSON lines.

Who logs never waits: not for a full pipe, not for a full disk, not for journald. What does not fit is dropped, the least
important first, counted by level, and told in one line when there is room again. No secret gets out.

    log = Log("front", destination("front", logs_dir), secrets=passwords)
    log.start()
    logger = log.logger(sensor="front")
    logger.warning("device lost", cause=str(error))
    log.stop()

A process that forks and so must not have threads calls log.drain() from its own loop instead of log.start().
"""

from edgegw.log.change import OnChange
from edgegw.log.destination import LogSink, destination
from edgegw.log.entry import Entry, render
from edgegw.log.file import FileSink
from edgegw.log.journal import JournalSink
from edgegw.log.pipeline import Log, Logger
from edgegw.log.reader import Wait, read
from edgegw.log.ring import LEVELS
from edgegw.log.stdlib import hear_libraries
from edgegw.log.stream import StreamSink

__all__ = [
    "LEVELS",
    "Entry",
    "FileSink",
    "JournalSink",
    "Log",
    "LogSink",
    "Logger",
    "OnChange",
    "StreamSink",
    "Wait",
    "destination",
    "hear_libraries",
    "read",
    "render",
]
