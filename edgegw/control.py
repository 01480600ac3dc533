"""The control socket: one JSON line asks, one JSON line answers; the supervisor's side and the client's."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgegw.errors import EdgegwError, Exit, NotRunning

REQUEST_bytes = 64 * 1024
ANSWER_bytes = 16 * 1024 * 1024
CLIENTS = 16
IDLE_s = 10.0  # for one request to be complete, and for its answer to be taken
_DEAF_s = 1.0  # after accept() failed for want of descriptors: a listener left in the selector would spin
_CHUNK_bytes = 64 * 1024
_SO_SNDTIMEO = 21  # the one that takes two longs, whatever the width of time_t
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

Answer = Callable[[str, Mapping[str, object]], Mapping[str, object]]


class Declined(EdgegwError):
    """The gateway understood and said no; exit_code is what a command should end with."""

    def __init__(self, sentence: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = code


class NoAnswer(EdgegwError):
    """The gateway is there but did not answer in time."""

    exit_code = Exit.UNAVAILABLE


def ask(path: Path, verb: str, timeout_s: float = 5.0, **arguments: object) -> dict[str, Any]:
    """The gateway's answer to `verb`. Raises NotRunning, NoAnswer, or Declined with the gateway's own sentence."""
    with _connected(path, timeout_s) as connection:
        return _exchange(connection, verb, arguments)


def stop_and_wait(path: Path, timeout_s: float) -> bool:
    """Ask the gateway to stop and wait for its process to end; False when it is still there after timeout_s.

    Raises NotRunning, NoAnswer or Declined. The process is held by a pidfd that is taken while it is connected, so that
    no stranger with a recycled pid is waited for.
    """
    with _connected(path, min(timeout_s, 5.0)) as connection:
        pidfd = _peer_pidfd(connection)
        try:
            _exchange(connection, "stop", {})
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            return bool(poller.poll(timeout_s * 1000))
        finally:
            os.close(pidfd)


@contextlib.contextmanager
def _connected(path: Path, timeout_s: float) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        # A socket with a timeout of Python's would not wait for room in a full backlog; one with the kernel's does.
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDTIMEO, struct.pack("ll", *divmod(round(timeout_s * 1e6), 1_000_000)))
        try:
            connection.connect(str(path))
            connection.settimeout(timeout_s)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NotRunning(f"no gateway is running here: nobody listens at {path}") from None
        except PermissionError:
            raise Declined(f"{path} belongs to another user: act as that user, or as root", Exit.NO_PERMISSION) from None
        except BlockingIOError:
            raise NoAnswer(f"the gateway at {path} accepted no connection within {timeout_s:g} s") from None
        yield connection


def _exchange(connection: socket.socket, verb: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    try:
        connection.sendall(msgspec.json.encode({**arguments, "verb": verb}) + b"\n")
        line = _line(connection)
        answer = msgspec.json.decode(line, type=dict[str, Any])
    except TimeoutError:
        raise NoAnswer(f"the gateway did not answer {verb!r} within {connection.gettimeout():g} s") from None
    except (OSError, msgspec.DecodeError) as error:
        raise NoAnswer(f"the gateway broke off while answering {verb!r}: {error}") from None
    if "error" in answer:
        raise Declined(str(answer["error"]), _known(answer.get("code")))
    return answer


def _line(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = connection.recv(_CHUNK_bytes)
        if not chunk or len(data) > ANSWER_bytes:
            raise OSError("the connection was closed before the answer was complete")
        data += chunk
    return bytes(data)


def _peer(connection: socket.socket) -> tuple[int, int]:
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid), int(uid)


def _peer_pidfd(connection: socket.socket) -> int:
    try:
        return os.pidfd_open(_peer(connection)[0])
    except OSError as error:
        raise NotRunning(f"the gateway ended just now ({error.strerror})") from None


class ControlServer:
    """The supervisor's side. Its fileno() is a selector of its own: readable when turn() has something to do.

    `answer(verb, arguments)` is called for each request; EdgegwError from it becomes an error answer with its exit code.
    The caller holds the lock of the directory: a stale socket is removed.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self.refused = 0  # connections ended for what they did: another user, too much, too slow
        self._answer = answer
        self._clients: dict[socket.socket, _Client] = {}
        self._deaf_until = 0.0
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._listener.bind(str(path))
            self._listener.listen(CLIENTS)
        except OSError:
            self._listener.close()
            raise
        self._selector = selectors.EpollSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """For the supervisor's selector: one epoll may watch another."""
        return self._selector.fileno()

    def turn(self, now: float) -> None:
        """Do what can be done without waiting; `now` is monotonic seconds. To be called now and then even when nothing is readable."""
        for key, _ in self._selector.select(0):
            if key.fileobj is self._listener:
                self._accept(now)
            elif isinstance(key.data, _Client) and key.data.socket in self._clients:
                self._serve(key.data, now)
        for client in [client for client in self._clients.values() if now >= client.due]:
            self._drop(client, refused=True)
        if self._deaf_until and now >= self._deaf_until:
            self._deaf_until = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)

    def close(self) -> None:
        """End every connection and stop listening; the socket's file stays for the caller to remove."""
        for client in list(self._clients.values()):
            self._drop(client, refused=False)
        self._selector.close()
        self._listener.close()

    def _accept(self, now: float) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._selector.unregister(self._listener)
            self._deaf_until = now + _DEAF_s
            return
        connection.setblocking(False)
        if _peer(connection)[1] not in (0, os.geteuid()):
            self.refused += 1
            connection.close()
            return
        if len(self._clients) >= CLIENTS:  # the operator gets in, whoever else sits there saying nothing
            self._drop(min(self._clients.values(), key=lambda client: client.due), refused=True)
        client = self._clients[connection] = _Client(connection, now + IDLE_s)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _serve(self, client: _Client, now: float) -> None:
        try:
            gone = not (client.write() if client.answer else client.read())
        except OSError:
            gone = True
        if gone:
            self._drop(client, refused=len(client.request) > REQUEST_bytes)
        elif not client.answer and (line := client.line()) is not None:
            # From here on nothing more is read: whoever does not take answers cannot pile up requests.
            client.answer += self._respond(line)
            client.due = now + IDLE_s
            self._selector.modify(client.socket, selectors.EVENT_WRITE, client)

    def _respond(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            verb = str(request.pop("verb", ""))
            return msgspec.json.encode(self._answer(verb, request)) + b"\n"
        except EdgegwError as error:
            return _error(str(error), error.exit_code)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return _error(f"not a request: {error}", Exit.USAGE)

    def _drop(self, client: _Client, *, refused: bool) -> None:
        self.refused += refused
        self._selector.unregister(client.socket)
        del self._clients[client.socket]
        client.socket.close()


class _Client:
    """One connection, which is for one request: it collects that, then owes the answer, and is done."""

    def __init__(self, connection: socket.socket, due: float) -> None:
        self.socket = connection
        self.due = due  # monotonic s, by which the present step must be done
        self.request = bytearray()
        self.answer = bytearray()

    def read(self) -> bool:
        """Take what is there; False at the end of it, or when it is too long for a request."""
        with contextlib.suppress(BlockingIOError):
            chunk = self.socket.recv(_CHUNK_bytes)
            self.request += chunk
            return bool(chunk) and len(self.request) <= REQUEST_bytes
        return True

    def write(self) -> bool:
        """Send what the other side takes now; False when it has everything."""
        with contextlib.suppress(BlockingIOError):
            del self.answer[: self.socket.send(self.answer)]
        return bool(self.answer)

    def line(self) -> bytes | None:
        """The request, once it is complete; what may stand behind it is ignored."""
        line, newline, _ = bytes(self.request).partition(b"\n")
        return line if newline else None


def _known(code: object) -> Exit:
    return next((exit_code for exit_code in Exit if exit_code == code), Exit.FAILED)


def _error(sentence: str, code: Exit) -> bytes:
    return msgspec.json.encode({"error": sentence, "code": int(code)}) + b"\n"
