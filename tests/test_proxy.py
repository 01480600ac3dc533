"""The bad network of the tests does what it says: a fault that did nothing would make every test behind it worthless."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.services.base import until
from tests.services.proxy import Proxy

PATIENCE_s = 30
QUIET_s = 0.3  # long enough for what would have come over the loopback, short enough for a test


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_say_back, args=(client,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_s)


def _say_back(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        while data := client.recv(65536):
            client.sendall(data)


@contextlib.contextmanager
def client_of(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), PATIENCE_s) as client:
        yield client


def exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def silent(client: socket.socket) -> bool:
    client.settimeout(QUIET_s)
    try:
        return not client.recv(1) and False
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE_s)


def test_it_passes_everything_on_and_ends_with_its_ends(echo: int) -> None:
    """A megabyte there and back, then the end of the connection."""
    data = bytes(range(256)) * 4096
    with Proxy(echo) as proxy, client_of(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert exactly(client, len(data)) == data
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert (proxy.accepted, proxy.to_server_bytes, proxy.to_client_bytes) == (1, len(data), len(data))
        until(lambda: proxy.open == 0, PATIENCE_s, "the connection to be gone")


def test_latency_delays_and_does_not_throttle(echo: int) -> None:
    """Ten words sent at once come back together, one latency later."""
    with Proxy(echo) as proxy, client_of(proxy) as client:
        proxy.latency_s = 0.5
        begin = time.monotonic()
        for _ in range(10):
            client.sendall(b"word")
        assert exactly(client, 40) == b"word" * 10
        assert 0.5 <= time.monotonic() - begin < 10 * 0.5


def test_a_blackhole_swallows_nothing_but_time(echo: int) -> None:
    """Nothing passes while it lasts, nobody is told, and afterwards all arrives; new connections get no answer either."""
    with Proxy(echo) as proxy, client_of(proxy) as client:
        client.sendall(b"a")
        assert exactly(client, 1) == b"a"
        proxy.blackhole()
        client.sendall(b"b")
        with client_of(proxy) as late:
            late.sendall(b"c")
            assert silent(client)
            assert silent(late)
            proxy.blackhole(False)
            assert (exactly(client, 1), exactly(late, 1)) == (b"b", b"c")


def test_half_open_lets_the_server_hear_and_not_the_client(echo: int) -> None:
    """So many bytes still come back, then none, while the server is told everything; a reset ends it."""
    with Proxy(echo) as proxy:
        with client_of(proxy) as client:
            proxy.half_open(after_bytes=3)
            client.sendall(b"abcdef")
            assert exactly(client, 3) == b"abc"
            client.sendall(b"ghi")
            until(lambda: proxy.to_server_bytes == 9, PATIENCE_s, "the server to have heard it")
            assert silent(client)
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with client_of(proxy) as anew:
            anew.sendall(b"abc")
            assert exactly(anew, 3) == b"abc"


def test_down_refuses_and_up_lets_in(echo: int) -> None:
    """While it is down living connections break and new ones are refused; up, the same port takes them again."""
    with Proxy(echo) as proxy:
        with client_of(proxy) as client:
            client.sendall(b"a")
            assert exactly(client, 1) == b"a"
            proxy.down()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            with pytest.raises(ConnectionRefusedError), client_of(proxy):
                pass
        proxy.up()
        with client_of(proxy) as client:
            client.sendall(b"b")
            assert exactly(client, 1) == b"b"
        assert proxy.accepted == 2


def test_it_leaves_nothing(echo: int) -> None:
    """With a connection alive in a blackhole its end takes thread and sockets with it."""
    threads = set(threading.enumerate())
    with Proxy(echo) as proxy, client_of(proxy) as client:
        client.sendall(b"a")
        proxy.blackhole()
    assert "proxy" not in {thread.name for thread in set(threading.enumerate()) - threads}
