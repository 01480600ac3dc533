"""A bad network between a client and a server: a TCP proxy in a thread, with faults that are switched on and off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType

HOST = "127.0.0.1"
PATIENCE_s = 30
CHUNK_bytes = 65536
HELD_chunks = 64  # of one direction, on their way; then the sender feels it, as on a real line
RESET = struct.pack("ii", 1, 0)  # SO_LINGER for zero seconds: close(2) sends a reset


class Proxy:
    """`with Proxy(server_port) as proxy:`, and the client connects to proxy.host and proxy.port. All may be changed at any time.

    latency_s: what the server says arrives so much later; nothing gets slower by it but the round trip.
    slice_bytes: all is handed on in pieces of at most so many; 0: as it comes.
    accepted: connections so far. open: those that live. to_server_bytes, to_client_bytes: passed on so far, over all connections.
    """

    def __init__(self, server_port: int, server_host: str = "127.0.0.1") -> None:
        self.host, self.port = HOST, _free_port()
        self.latency_s = 0.0
        self.slice_bytes = 0
        self.accepted = self.to_server_bytes = self.to_client_bytes = 0
        self._server = (server_host, server_port)
        self._deaf_at: int | None = None  # of to_client_bytes
        self._connections: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._passing, self._leave = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._passing.set()
        self._thread.start()
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(PATIENCE_s)

    @property
    def open(self) -> int:
        """Connections of clients that live now."""
        return len(self._connections)

    def blackhole(self, on: bool = True) -> None:
        """Nothing passes in either direction, not even the end of a connection. Off: what was held back arrives."""
        self._do(self._hold(on))

    def half_open(self, after_bytes: int = 0) -> None:
        """From `after_bytes` more on, clients hear nothing, while the server hears everything; ends with reset() or down()."""
        self._do(self._deafen(after_bytes))

    def reset(self) -> None:
        """Break every connection, both sides get a reset; new ones are welcome."""
        self._do(self._break())

    def down(self) -> None:
        """Break every connection and refuse new ones."""
        self._do(self._close())

    def up(self) -> None:
        """Take connections (again), at the same port."""
        self._do(self._listen())

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_s)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        await self._leave.wait()

    async def _hold(self, on: bool) -> None:
        (self._passing.clear if on else self._passing.set)()

    async def _deafen(self, after_bytes: int) -> None:
        self._deaf_at = self.to_client_bytes + after_bytes

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._connect, self.host, self.port)

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        await self._break()

    async def _break(self) -> None:
        self._deaf_at = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._connections.add(task)
        try:
            await self._passing.wait()
            await self._join(reader, writer)
        except* (OSError, asyncio.CancelledError):  # asyncio's streams would complain of a cancelled task
            pass  # either side broke it, or we did; the other hears of it
        finally:
            self._connections.discard(task)
            await _abort(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._server)
        try:
            async with asyncio.TaskGroup() as group:
                for source, target, counter in ((reader, far_writer, "to_server_bytes"), (far_reader, writer, "to_client_bytes")):
                    held: _Held = asyncio.Queue(HELD_chunks)
                    group.create_task(self._take(source, held, late=target is writer))
                    group.create_task(self._hand_on(held, target, counter))
            for one in (writer, far_writer):
                one.close()
                await one.wait_closed()
        finally:
            await _abort(far_writer)

    async def _take(self, source: asyncio.StreamReader, held: _Held, late: bool) -> None:
        data = b"?"
        while data:
            await self._passing.wait()
            data = await source.read(CHUNK_bytes)
            await held.put((self._loop.time() + self.latency_s * late, data))

    async def _hand_on(self, held: _Held, target: asyncio.StreamWriter, counter: str) -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._passing.wait()
            if counter == "to_client_bytes" and self._deaf_at is not None:
                data = data[: max(0, self._deaf_at - self.to_client_bytes)]
                if not data:
                    continue
            if not data:
                return target.write_eof()
            size = self.slice_bytes or len(data)
            for begin in range(0, len(data), size):
                piece = data[begin : begin + size]
                target.write(piece)
                await target.drain()
                setattr(self, counter, getattr(self, counter) + len(piece))


_Held = asyncio.Queue[tuple[float, bytes]]  # when it is due, what; nothing: the end


async def _abort(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _free_port() -> int:
    """Nobody listens there now; most likely nobody will in the moment until we do."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
