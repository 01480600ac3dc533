"""How a process learns that it is to stop: SIGTERM and SIGINT as a note that a loop reads (handlers note, loops act), and the lifeline."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
from types import FrameType

_PR_SET_PDEATHSIG = 1


class StopNote:
    """Counts requests to stop; fileno() becomes readable with the first, so a loop that polls wakes up."""

    def __init__(self) -> None:
        self.asked = 0
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self, *numbers: signal.Signals) -> None:
        """Note these signals; only from the main thread."""
        for number in numbers:
            signal.signal(number, self._note)

    def fileno(self) -> int:
        """For a poller."""
        return self._read

    def ask(self) -> None:
        """As a signal would."""
        self.asked += 1
        if self._write >= 0:  # a signal may come after close(), and the number may be another file's by then
            with contextlib.suppress(BlockingIOError):  # full: readable it is
                os.write(self._write, b"!")

    def close(self) -> None:
        """Give the pipe back; safe to call twice."""
        files, self._read, self._write = (self._read, self._write), -1, -1
        for file in files:
            if file >= 0:
                os.close(file)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.ask()


class Lifeline:
    """The read end of a pipe whose only writing end is the supervisor's: its end of file means that the supervisor is gone."""

    def __init__(self, file: int = -1) -> None:
        """-1: there is no supervisor."""
        self._file = file

    def cut(self) -> bool:
        """Whether the supervisor is gone."""
        if self._file < 0:
            return False
        return bool(select.select([self._file], [], [], 0)[0])


def leave_on(number: signal.Signals) -> None:
    """While there is nothing to stop yet: end at once, and as somebody who was told to, until somebody else listens."""
    signal.signal(number, lambda *_: os._exit(0))


def deaf_to(*numbers: signal.Signals) -> None:
    """From here on, to the end of the process, these change nothing any more, its exit code least of all."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Let the kernel send `number` to this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
