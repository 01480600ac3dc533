"""The only place that forks: makes a child, makes it a process of its own, signals it and learns how it ended."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import gc
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self

from edgegw.errors import EdgegwError, Exit
from edgegw.signals import die_with_parent
from edgegw.supervisor.spec import ChildSpec

_PR_SET_NAME = 15  # prctl(2)
_NAME_bytes = 15
_STDERR = 2
_STANDARD_FDS = 3
_SHORT_OF: Mapping[int, str] = {  # what fork(2) and pidfd_open(2) want → what to look at
    errno.EAGAIN: "this user has as many processes as it may (ulimit -u, or TasksMax= of the unit)",
    errno.ENOMEM: "the machine is short of memory",
    errno.EMFILE: "the supervisor has as many files open as it may (ulimit -n, or LimitNOFILE= of the unit)",
    errno.ENFILE: "the machine has as many files open as it may (fs.file-max)",
}
_REASONS: Mapping[int, str] = {Exit.IO: "ended itself (exit code 74), for its device or disk to get a fresh process"}


class Process:
    """A child of ours, held by a pidfd, so that no signal ever hits a stranger with a recycled pid."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd

    def fileno(self) -> int:
        """Readable when the process has ended."""
        return self._pidfd

    def send(self, number: signal.Signals) -> None:
        """A process that has just ended takes it without complaint."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def reap(self) -> str | None:
        """How it ended, in plain words; None while it lives."""
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return "vanished; somebody else took its exit code"
        if result is None:
            return None
        if result.si_code == os.CLD_EXITED:
            return _REASONS.get(result.si_status, f"exited with code {result.si_status}")
        return f"was killed by {_signal_name(result.si_status)}"

    def close(self) -> None:
        """Give the pidfd back."""
        os.close(self._pidfd)


class Nursery:
    """Forks children off a process that has one thread. All share one lifeline: a pipe whose writing end is only here."""

    def __init__(self, notify: Path) -> None:
        self._notify = notify
        self._pid = os.getpid()
        self._libc = ctypes.CDLL(None)
        self._lifeline, self._writing_end = os.pipe()
        # Frozen objects are not touched by the collector, so their pages stay shared with the children.
        gc.collect()
        gc.freeze()

    def start(self, spec: ChildSpec) -> Process:
        """A new process that runs spec.body and never comes back. Raises OSError."""
        _flush()
        # Blocked until the child has its own handlers: a signal in between would be noted there and lost here, or the reverse.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._live(spec)
            return _held(pid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Let the lifeline go: children that are still there see the end of it."""
        os.close(self._writing_end)
        os.close(self._lifeline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _live(self, spec: ChildSpec) -> NoReturn:
        """Everything a child ever does. _exit, because what the parent registered to run at exit is the parent's."""
        code: int = Exit.INTERNAL
        try:
            self._become_own(spec)
            code = int(spec.body(self._lifeline))
        except EdgegwError as error:  # told and logged by whoever raised it
            code = error.exit_code
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else Exit.INTERNAL if error.code else Exit.DONE
        except BaseException:  # noqa: BLE001 - whatever it is, the child must not return into the code of its parent
            traceback.print_exc()
        finally:
            _flush()
            os._exit(code & 0xFF)

    def _become_own(self, spec: ChildSpec) -> None:
        die_with_parent(signal.SIGKILL)
        if os.getppid() != self._pid:  # it died before the line above
            os._exit(Exit.FAILED)
        _close_all_but(self._lifeline)
        _own_signals()
        self._libc.prctl(_PR_SET_NAME, f"edgegw:{spec.name}".encode()[:_NAME_bytes], 0, 0, 0)
        os.environ["NOTIFY_SOCKET"] = str(self._notify)
        os.environ["WATCHDOG_USEC"] = str(round(spec.watchdog_s * 1e6))
        os.environ["WATCHDOG_PID"] = str(os.getpid())
        faulthandler.enable(_STDERR)  # SIGABRT, sent to a child that hangs, shows where


def why_not(error: OSError) -> str:
    """Why a child could not be started, and what to look at."""
    found = _SHORT_OF.get(error.errno or 0)
    return f"could not be started: {error.strerror}{f': {found}' if found else ''}; it is tried again"


def _held(pid: int) -> Process:
    try:
        return Process(pid, os.pidfd_open(pid))
    except OSError:
        os.kill(pid, signal.SIGKILL)  # safe by pid: a child that nobody has waited for keeps its number
        os.waitpid(pid, 0)
        raise


def _close_all_but(lifeline: int) -> None:
    """The lock above all: a flock lives as long as any copy of its descriptor."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(_STANDARD_FDS, lifeline)
    os.closerange(lifeline + 1, max(limit, 65536))


def _own_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):  # the rest is as the interpreter wants it: SIGPIPE and SIGXFSZ ignored
            signal.signal(number, signal.SIG_DFL)
    # Ctrl-C and a closed terminal reach the whole foreground group; the supervisor alone decides who stops when.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
