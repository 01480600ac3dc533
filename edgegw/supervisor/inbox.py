"""Signals to the supervisor as something its selector can wait for: handlers note, the loop acts."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import Self

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Inbox:
    """Counts requests to stop. Through the wake-up descriptor, because a Python handler alone may run only after the next wait.

    SIGINT and SIGHUP stay ignored where they were (nohup, a background job of a shell without job control).
    """

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._asked = 0
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._before_fd = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _note) for number in _STOP if number == signal.SIGTERM or _wanted(number)}
        # Were it ignored (that is inherited through exec), the kernel would reap our children and keep their exit codes.
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    def fileno(self) -> int:
        """For a selector."""
        return self._near.fileno()

    def stops(self) -> int:
        """How many requests to stop have come since the last call.

        SIGHUP is one only where there was none before: a terminal that closes sends it twice, which must not mean "now".
        """
        with contextlib.suppress(BlockingIOError):
            numbers = self._near.recv(4096)
            counted = sum(number in (signal.SIGTERM, signal.SIGINT) for number in numbers)
            counted += signal.SIGHUP in numbers and not self._asked and not counted
            self._asked += counted
            return counted
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        self._near.close()
        self._far.close()


def _wanted(number: signal.Signals) -> bool:
    return signal.getsignal(number) is not signal.SIG_IGN


def _note(_number: int, _frame: FrameType | None) -> None:
    """The number has already been written to the wake-up descriptor."""
