"""Signals to the supervisor as something its selector can wait for: handlers note, the loop acts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from types import FrameType
from typing import NamedTuple, Self

_LISTENED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Asked(NamedTuple):
    """What has been asked for since the last time."""

    stops: int = 0
    reload: bool = False


class Inbox:
    """Notes signals. Through the wake-up descriptor, because a Python handler alone may run only after the next wait.

    SIGHUP is two things: the kernel's word that the terminal is gone, which ends a program, and the operator's that a daemon
    should read its configuration again. Only a process with a controlling terminal can get the first, so there it means stop;
    under systemd, in the background or in a container without a terminal it means reload. To be decided at the start: by the time
    the signal is here, so is the end of the terminal.

    With a terminal SIGHUP, and always SIGINT, stay ignored where they were (nohup, a background job of a shell without job control).
    """

    def __init__(self, *, terminal: bool | None = None) -> None:
        """`terminal`: whether there is a controlling one; None: look."""
        self._terminal = _has_terminal() if terminal is None else terminal
        self._near, self._far = socket.socketpair()
        self._asked = 0
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._before_fd = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _note) for number in _LISTENED if self._wants(number)}
        # Were it ignored (that is inherited through exec), the kernel would reap our children and keep their exit codes.
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _LISTENED)

    def fileno(self) -> int:
        """For a selector."""
        return self._near.fileno()

    def asked(self) -> Asked:
        """What has come since the last call.

        Where SIGHUP means stop it is one only where there was none before: a terminal that closes sends it twice, which must not
        mean "now".
        """
        with contextlib.suppress(BlockingIOError):
            numbers = self._near.recv(4096)
            counted = sum(number in (signal.SIGTERM, signal.SIGINT) for number in numbers)
            hung_up = signal.SIGHUP in numbers
            counted += hung_up and self._terminal and not self._asked and not counted
            self._asked += counted
            return Asked(counted, hung_up and not self._terminal)
        return Asked()

    def _wants(self, number: signal.Signals) -> bool:
        if number == signal.SIGTERM or (number == signal.SIGHUP and not self._terminal):
            return True
        return signal.getsignal(number) is not signal.SIG_IGN

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        self._near.close()
        self._far.close()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _note(_number: int, _frame: FrameType | None) -> None:
    """The number has already been written to the wake-up descriptor."""
