"""The only file that imports zmq: worker → bridge over DEALER and ROUTER, and the tap over XPUB and SUB.

Only sockets and bytes here; what the bytes mean is codec's. Nothing waits except the two methods called wait().
"""

from __future__ import annotations

import contextlib
import errno
import select
from collections.abc import Iterator
from pathlib import Path

import zmq

from edgegw import failpoint
from edgegw.codec import MAX_MESSAGE_bytes

_BUS_HWM = 1000  # messages; workers bound their own windows far below
_TAP_HWM = 1000  # readings a slow subscriber may be behind before it loses some
_RECONNECT_ms = 100
_RECONNECT_MAX_ms = 1000
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def endpoint(path: Path) -> str:
    """The address that any ZeroMQ client connects to."""
    return f"ipc://{path}"


class WorkerEnd:
    """A worker's connection to the bridge. connect() begins anew and forgets what the old connection still held.

    libzmq closes the old one in a thread of its own: for a moment what it held may still slip out, to the bridge from another peer.
    """

    def __init__(self, path: Path) -> None:
        self._address = endpoint(path)
        self._context = zmq.Context(io_threads=1)
        self._socket: zmq.Socket[bytes] | None = None

    def connect(self) -> None:
        """A fresh connection, to the bridge a fresh peer; returns at once, whether the bridge is there or not.

        Without a descriptor or memory for one there is none: send() takes nothing, and whoever calls tries again.
        """
        self._drop()
        try:
            self._socket = self._context.socket(zmq.DEALER)
        except zmq.ZMQError as error:
            if error.errno in _SHORT:
                return
            raise
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, _BUS_HWM)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_ms)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_ms)
        self._socket.connect(self._address)

    def send(self, message: bytes) -> bool:
        """False when the socket takes no more now."""
        socket = self._connected()
        try:
            return socket is not None and socket.send(message, zmq.NOBLOCK) is None
        except zmq.Again:
            return False

    def receive(self) -> Iterator[bytes]:
        """What has arrived."""
        while (socket := self._connected()) is not None:
            try:
                yield socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return

    def wait(self, timeout_s: float) -> None:
        """Return when something has arrived, or after `timeout_s`."""
        if (socket := self._connected()) is not None:
            socket.poll(max(0, round(timeout_s * 1000)))
        else:
            select.select([], [], [], max(0.0, timeout_s))

    def close(self) -> None:
        """Close at once; what was not sent is dropped (whatever was not acknowledged is in the worker's window)."""
        self._drop()
        self._context.term()

    def _connected(self) -> zmq.Socket[bytes] | None:
        if self._socket is None:
            self.connect()
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None


class BridgeEnd:
    """The bridge's sockets: it hears workers, answers them, and offers readings to whoever taps."""

    def __init__(self, bus: Path, tap: Path) -> None:
        """Binding steals the address from a process that has it (libzmq #2059): the caller must hold the gateway's lock."""
        self._context = zmq.Context(io_threads=1)
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.RCVHWM, _BUS_HWM)
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_bytes)
        self._router.bind(endpoint(bus))
        self._tap = self._context.socket(zmq.XPUB)
        self._tap.setsockopt(zmq.LINGER, 0)
        self._tap.setsockopt(zmq.SNDHWM, _TAP_HWM)
        self._tap.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_bytes)
        self._tap.bind(endpoint(tap))
        self._hidden = tap.with_suffix(".shut")
        self._hidden.unlink(missing_ok=True)
        self._admits = True
        self._topics: set[bytes] = set()  # that somebody subscribes to; ZeroMQ tells of the first one to come and the last one to go
        self._poller = zmq.Poller()
        self._poller.register(self._router, zmq.POLLIN)
        self._bound = (bus, tap)

    def watch(self, file: int) -> None:
        """Let wait() return when `file` is readable, too."""
        self._poller.register(file, zmq.POLLIN)

    def unwatch(self, file: int) -> None:
        """No more of that."""
        self._poller.unregister(file)

    def wait(self, timeout_s: float) -> None:
        """Return when a worker has sent something or a watched file is readable, or after `timeout_s`."""
        self._poller.poll(max(0, round(timeout_s * 1000)))

    def receive(self) -> Iterator[tuple[bytes, bytes]]:
        """(peer, message) of what has arrived; anything but two frames is passed on as an empty message."""
        while True:
            failpoint.hit("bridge.before_take")
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield frames[0], frames[1] if len(frames) == 2 else b""

    def answer(self, peer: bytes, message: bytes) -> None:
        """Send to a worker; one that has gone, or does not listen, misses it and will ask again."""
        try:
            self._router.send_multipart((peer, message), zmq.NOBLOCK)
        except zmq.Again:
            return

    def tapped(self) -> bool:
        """Whether anybody listens to the tap, so that nothing is encoded for nobody."""
        while True:
            try:
                told = self._tap.recv(zmq.NOBLOCK)
            except zmq.Again:
                return bool(self._topics)
            if told[:1] == b"\x01":
                self._topics.add(told[1:])
            elif told[:1] == b"\x00":
                self._topics.discard(told[1:])

    def admit(self, *, others: bool) -> None:
        """Whether the tap takes further listeners. Those that it has stay; those that it has not find no socket, and go on trying.

        Its file is moved out of the way, for an unbind() would close every connection that came by it (libzmq 4.3.5: sessions belong
        to their listener).
        """
        if others is self._admits:
            return
        self._admits = others
        with contextlib.suppress(FileNotFoundError):  # somebody removed it: then nobody new gets in anyway
            self._hidden.rename(self._bound[1]) if others else self._bound[1].rename(self._hidden)

    def offer(self, topic: str, reading: bytes) -> None:
        """Publish; ZeroMQ drops it for a subscriber that is behind, and only for that one."""
        self._tap.send_multipart((topic.encode(), reading), zmq.NOBLOCK)

    def close(self) -> None:
        """Close the sockets and remove their files."""
        self._router.close(0)
        self._tap.close(0)
        self._context.term()
        for path in (*self._bound, self._hidden):
            path.unlink(missing_ok=True)


class TapEnd:
    """A subscriber to the tap."""

    def __init__(self, path: Path, topics: list[str]) -> None:
        """`topics` are prefixes of <kind>/<sensor>; "" is everything."""
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _TAP_HWM)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_ms)
        for topic in topics:
            self._socket.setsockopt_string(zmq.SUBSCRIBE, topic)
        self._socket.connect(endpoint(path))

    def receive(self, timeout_s: float) -> tuple[str, bytes] | None:
        """(topic, reading as JSON), or None when nothing came in time."""
        if not self._socket.poll(max(0, round(timeout_s * 1000))):
            return None
        topic, reading = self._socket.recv_multipart()
        return topic.decode(), reading

    def close(self) -> None:
        """Close at once."""
        self._socket.close(0)
        self._context.term()
