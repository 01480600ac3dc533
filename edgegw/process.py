"""What every process of the gateway has from its first line to its last: log, clock, heartbeat, and the note that says stop."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgegw import failpoint
from edgegw.clock import Clock, SystemClock, precise_timers
from edgegw.config import Settings
from edgegw.errors import EdgegwError
from edgegw.log import Log, Logger, destination, hear_libraries
from edgegw.notify import Notifier
from edgegw.signals import Lifeline, StopNote


class Process(msgspec.Struct, frozen=True):
    """Handed to a body; everything in it may be a fake in a test."""

    clock: Clock
    log: Logger
    notifier: Notifier
    stop: StopNote
    lifeline: Lifeline


@contextlib.contextmanager
def entered(name: str, settings: Settings, logs: Path | None, lifeline: int) -> Iterator[Process]:
    """Set this process up as `name`; at the end its log is drained. `logs`: write there instead of to stderr."""
    faulthandler.enable()  # the supervisor ends a hung child by SIGABRT, and this says where it hung
    os.umask(0o077)  # readings and sockets are nobody else's business
    precise_timers()
    clock = SystemClock()
    log = Log(name, destination(name, logs), settings.gateway.log_level, secrets=settings.secrets(), clock=clock)
    stop = StopNote()
    stop.listen(signal.SIGTERM, signal.SIGINT) if lifeline < 0 else stop.listen(signal.SIGTERM)
    notifier = Notifier.from_environment(os.environ)
    try:
        log.start()
        hear_libraries(log.logger())
        if armed := failpoint.here(name):
            log.logger().warning("failpoints_armed", points=armed)
        yield Process(clock=clock, log=log.logger(), notifier=notifier, stop=stop, lifeline=Lifeline(lifeline))
    except EdgegwError as error:
        log.logger().critical("process_cannot_go_on", why=str(error))
        notifier.status(str(error))  # last words, for `edgegw status`
        raise
    except Exception as error:
        log.logger().critical("process_bug", exc_info=True)
        what = "short of files, memory or threads" if _short(error) else "a bug, of which the log has the details"
        notifier.status(f"{what}: {type(error).__name__}: {error}")
        raise
    finally:
        notifier.close()
        log.stop()
        stop.close()


def _short(error: Exception) -> bool:
    """Whether the machine, or a limit of this process, is to blame; Python has a RuntimeError for a thread that cannot be had."""
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return True
    return getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
