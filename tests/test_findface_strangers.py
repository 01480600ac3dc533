"""What answers where FindFace should, and is something else: each is a plain sentence, in time, and nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from edgegw.errors import SinkError, Unavailable
from edgegw.sinks.findface import FindFaceSink, Server
from edgegw.testing.findface import FakeFindFace
from tests.findface_bench import CAMERAS, TOKENS, Bench, expected, leaves, sent

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
ENOUGH_bytes = 64 << 20


class Stranger:
    """Says its pieces to everybody who connects, whatever they say; counts the bytes that were taken from it."""

    def __init__(self, pieces: Sequence[bytes], *, for_ever: bool) -> None:
        self.taken = 0
        self._pieces = pieces
        self._for_ever = for_ever
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(30)
                    self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in itertools.chain(self._pieces, itertools.repeat(self._pieces[-1]) if self._for_ever else ()):
            connection.sendall(piece)
            self.taken += len(piece)
            if self.taken > ENOUGH_bytes:
                return
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[Stranger]:
    pieces, for_ever = request.param
    with contextlib.closing(Stranger(pieces, for_ever=for_ever)) as made:
        yield made


@contextlib.contextmanager
def sink_to(url: str) -> Iterator[FindFaceSink]:
    with contextlib.closing(FindFaceSink(Server(url=url, cameras=CAMERAS, timeout_s=30))) as sink:
        yield sink


@pytest.mark.parametrize(
    "stranger",
    [
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], False),
        ([b""], False),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"], False),
        ([b"HTTP/1.1 OK\r\n\r\n"], False),
        ([b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1000], True),
        ([OK + b"Content-Length: 999999999999\r\n\r\n", bytes(65536)], True),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n"], False),
    ],
    ids=["ssh", "nothing", "short", "no-status", "endless-head", "endless-body", "bad-chunks"],
    indirect=True,
)
def test_what_is_not_findface_is_a_sentence(stranger: Stranger) -> None:
    """It is Unavailable with the address in it; an answer without an end is not read to its end; the face stays to be sent."""
    record = leaves([0])
    with sink_to(stranger.url) as sink:
        with pytest.raises(Unavailable, match=stranger.url.removeprefix("http://")) as caught:
            sink.deliver([record])
        assert "no answer within" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert stranger.taken < ENOUGH_bytes / 4
    with FakeFindFace(TOKENS) as fake, contextlib.closing(Bench(fake).sink) as right:
        right.deliver([record])
        assert sent(fake) == expected([0])


@pytest.mark.parametrize("stranger", [([b"SSH-2.0-OpenSSH_9.2\r\n"], False)], ids=["ssh"], indirect=True)
def test_a_probe_of_a_stranger_fails(stranger: Stranger) -> None:
    """`check --probe` shows it before the first face is there."""
    with sink_to(stranger.url) as sink, pytest.raises(SinkError, match=r"FindFace at 127.0.0.1"):
        sink.open()


def test_a_host_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that cannot be looked up is Unavailable, in the resolver's words: it may be the network."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with sink_to("http://findface.invalid") as sink, pytest.raises(Unavailable, match=r"FindFace at findface.invalid: Name or service not"):
        sink.open()
