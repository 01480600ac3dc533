"""Log lines to standard error, or whatever stands there, without ever waiting for who reads it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from edgegw.log.entry import Entry
from edgegw.log.lines import Lines


class _Channel(Protocol):
    def send(self, data: bytes, /) -> int: ...

    def close(self) -> None: ...


class StreamSink:
    """Writes entries, made text by `form`, to a copy of a file descriptor; the original is left as it is.

    Several processes may share the descriptor: a line of up to PIPE_BUF (4096) bytes stays whole in a pipe, a longer one may
    be torn by another process's.
    """

    def __init__(self, fd: int, form: Callable[[Entry], bytes]) -> None:
        self._form = form
        self._channel = _channel(fd)
        self._lines = Lines(self._channel.send)

    @property
    def trouble(self) -> Counter[str]:
        """Errors met, by errno."""
        return self._lines.trouble

    def write(self, entry: Entry) -> bool:
        """Take the entry, or False: not now."""
        return self._lines.write(self._form(entry))

    def flush(self) -> bool:
        """Send on what waits of the last line; True when nothing does."""
        return self._lines.flush()

    def close(self) -> None:
        """Let go of the descriptor."""
        self._channel.close()


class _Opened:
    """A file description of our own, opened without blocking; setting O_NONBLOCK on the shared one would break its other users."""

    def __init__(self, fd: int) -> None:
        # O_NOCTTY: a session leader that opens a terminal would otherwise get it as its controlling one.
        self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC)

    def send(self, data: bytes) -> int:
        return os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


class _Polled:
    """A copy of a descriptor that cannot be opened again: asks whether PIPE_BUF bytes would go in, and writes no more than that."""

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def send(self, data: bytes) -> int:
        return os.write(self._fd, data[: select.PIPE_BUF]) if self._poll.poll(0) else 0

    def close(self) -> None:
        os.close(self._fd)


class _Socket:
    """A copy of a descriptor that is a socket, as under inetd or some container runtimes."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))

    def send(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        self._socket.close()


def _channel(fd: int) -> _Channel:
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        return _Socket(fd)
    if stat.S_ISREG(mode):  # never blocks anyway, and a description of our own would have its own offset: lines overwrite each other
        return _Polled(fd)
    with contextlib.suppress(OSError):  # EACCES: the terminal of another user, or opened before root was given up
        return _Opened(fd)
    return _Polled(fd)
