"""The control socket: what it answers, and what abuse cannot do to it."""

from __future__ import annotations

import os
import resource
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from edgegw.control import CLIENTS, ControlServer, Declined, IDLE_s, NoAnswer, REQUEST_bytes, ask, stop_and_wait
from edgegw.errors import AlreadyRunning, EdgegwError, Exit, NotRunning

BIG = "x" * 4_000_000


def answer(verb: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
    """A gateway of few words."""
    match verb:
        case "status":
            return {"state": "running", **arguments}
        case "big":
            return {"big": BIG}
        case "refuse":
            raise Declined("there is no sensor 'x'", Exit.NO_SUCH_SENSOR)
        case "other":
            raise AlreadyRunning("somebody else holds it")
    raise EdgegwError("no such verb")


class Hand:
    """A server moved by hand, so that its clock is the test's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.server = ControlServer(path, answer)

    def client(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.path))
        connection.settimeout(10)
        self.turn()
        return connection

    def turn(self) -> None:
        self.server.turn(self.now)

    def request(self, connection: socket.socket, data: bytes) -> bytes:
        connection.sendall(data)
        self.turn()
        self.turn()
        return connection.recv(65536)


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    hand = Hand(tmp_path / "control.sock")
    yield hand
    hand.server.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A server that runs in a thread, waiting as the supervisor does: for its one descriptor."""
    path = tmp_path / "control.sock"
    server = ControlServer(path, answer)
    near, far = os.pipe()

    def serve() -> None:
        poller = select.poll()
        poller.register(server, select.POLLIN)
        poller.register(near, select.POLLIN)
        while near not in [fd for fd, _ in poller.poll()]:
            server.turn(0.0)

    thread = threading.Thread(target=serve)
    thread.start()
    yield path
    os.write(far, b"!")
    thread.join()
    server.close()
    os.close(near)
    os.close(far)


def closed(connection: socket.socket) -> bool:
    """The server has ended this connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_question_and_its_answer(served: Path) -> None:
    """A verb and arguments go in, a dictionary comes out."""
    assert ask(served, "status") == {"state": "running"}
    assert ask(served, "status", sensors=["front", "imu"]) == {"state": "running", "sensors": ["front", "imu"]}


def test_a_long_answer_arrives_whole(served: Path) -> None:
    """Longer than any socket buffer."""
    assert ask(served, "big") == {"big": BIG}


def test_a_no_arrives_as_a_sentence_with_its_exit_code(served: Path) -> None:
    """What the server raises, the client raises."""
    with pytest.raises(Declined, match=r"^there is no sensor 'x'$") as caught:
        ask(served, "refuse")
    assert caught.value.exit_code is Exit.NO_SUCH_SENSOR
    with pytest.raises(Declined) as caught:
        ask(served, "other")
    assert caught.value.exit_code is Exit.ALREADY_RUNNING


def test_nobody_there(tmp_path: Path) -> None:
    """No file, no directory, and a file that a killed gateway left: all mean that it is not running."""
    stale = tmp_path / "stale"
    ControlServer(stale, answer).close()
    for path in (tmp_path / "none", tmp_path / "no" / "directory", stale, stale / "below"):
        with pytest.raises(NotRunning, match="no gateway is running here"):
            ask(path, "status")


def test_no_answer_in_time(tmp_path: Path) -> None:
    """A gateway that is stopped (SIGSTOP) accepts in the kernel and says nothing: the client gives up when told to."""
    server = ControlServer(tmp_path / "control.sock", answer)
    with pytest.raises(NoAnswer, match=r"did not answer 'status' within 0\.1 s"):
        ask(tmp_path / "control.sock", "status", timeout_s=0.1)
    server.close()


def test_a_backlog_that_is_full(tmp_path: Path) -> None:
    """Nobody accepts and the kernel's queue is full: said when the time is over, not after a hang."""
    server = ControlServer(tmp_path / "control.sock", answer)
    waiting = []
    with pytest.raises(NoAnswer, match="accepted no connection within"):
        for _ in range(100):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            waiting.append(connection)
            connection.setblocking(False)
            try:
                connection.connect(str(tmp_path / "control.sock"))
            except BlockingIOError:
                ask(tmp_path / "control.sock", "status", timeout_s=0.2)
    server.close()
    for connection in waiting:
        connection.close()


@pytest.mark.parametrize(
    "request_line", [b"\n", b"{}\n", b"[]\n", b"5\n", b'{"verb":7}\n', b"\xff\xfe\n", b"GET / HTTP/1.1\r\n\r\n", b"[" * 60_000 + b"\n"]
)
def test_nonsense_gets_an_error(hand: Hand, request_line: bytes) -> None:
    """Whatever the line holds, the answer is an error and the server goes on."""
    with hand.client() as stranger, hand.client() as other:
        assert msgspec.json.decode(hand.request(stranger, request_line))["error"]
        assert msgspec.json.decode(hand.request(other, b'{"verb":"status"}\n')) == {"state": "running"}


def test_a_request_may_come_in_pieces(hand: Hand) -> None:
    """Byte by byte, with turns between."""
    with hand.client() as slow:
        for byte in b'{"verb":"status"}':
            slow.sendall(bytes([byte]))
            hand.turn()
        assert hand.request(slow, b"\n") == b'{"state":"running"}\n'
        assert closed(slow)


def test_silence_ends_after_its_time(hand: Hand) -> None:
    """Who connects and says nothing, or drips, is put out after IDLE_s; not before."""
    with hand.client() as silent:
        hand.now = IDLE_s - 0.1
        silent.sendall(b"{")
        hand.turn()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(1)
        hand.now = IDLE_s
        hand.turn()
        assert closed(silent)
    assert hand.server.refused == 1


def test_a_megabyte_without_a_newline_is_cut_off(hand: Hand) -> None:
    """The server keeps at most one request's worth, then ends the connection."""
    with hand.client() as babbler:
        babbler.setblocking(False)
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 1 << 20:
                sent += babbler.send(b"x" * 4096)
                hand.turn()
    assert sent < 4 * REQUEST_bytes
    assert hand.server.refused == 1


def test_who_takes_no_answer_is_dropped(hand: Hand) -> None:
    """An answer that is not read is kept for IDLE_s; others are served meanwhile, and nothing more is read from it."""
    with hand.client() as deaf, hand.client() as other:
        deaf.sendall(b'{"verb":"big"}\n')
        hand.turn()
        deaf.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                deaf.send(b'{"verb":"big"}\n' * 100)
                hand.turn()
        assert hand.request(other, b'{"verb":"status"}\n') == b'{"state":"running"}\n'
        hand.now = IDLE_s
        hand.turn()
        assert hand.server.refused == 1
        assert not select.select([hand.server], [], [], 0)[0]


def test_the_operator_gets_in_past_any_number_of_silent_clients(hand: Hand) -> None:
    """One more than allowed puts out the one that has been there longest."""
    crowd = []
    for number in range(CLIENTS):
        hand.now = number / 100
        crowd.append(hand.client())
    with hand.client() as operator:
        assert hand.request(operator, b'{"verb":"status"}\n') == b'{"state":"running"}\n'
    assert closed(crowd[0])
    for connection in crowd:
        connection.close()


def test_a_client_that_leaves_in_the_middle_costs_nothing(hand: Hand) -> None:
    """Its descriptor is given back, before and after its request, and the server has nothing left to do."""
    before = len(os.listdir("/proc/self/fd"))
    for words in (b"", b'{"verb":', b'{"verb":"big"}\n'):
        with hand.client() as hasty:
            hasty.sendall(words)
        hand.turn()
        hand.turn()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not select.select([hand.server], [], [], 0)[0]


def test_another_user_is_not_heard(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our uid nor root: the connection is ended before a byte is read."""
    monkeypatch.setattr("edgegw.control._peer", lambda _connection: (1, os.geteuid() + 1))
    with hand.client() as stranger:
        assert closed(stranger)
    assert hand.server.refused == 1


def test_without_descriptors_it_waits_instead_of_spinning(hand: Hand) -> None:
    """accept() that fails leaves the listener readable; it is looked at again a second later, not at once for ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiting:
        waiting.settimeout(10)
        waiting.connect(str(hand.path))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            hand.turn()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert not select.select([hand.server], [], [], 0)[0]
        hand.now = 1.0
        hand.turn()
        hand.turn()
        assert hand.request(waiting, b'{"verb":"status"}\n') == b'{"state":"running"}\n'


def test_stopping_waits_for_the_process_itself(tmp_path: Path) -> None:
    """True once the process behind the socket has ended; False while it is still there when the time is over."""
    code = (
        "import select, sys\nfrom pathlib import Path\nfrom edgegw.control import ControlServer\n"
        "asked = []\nserver = ControlServer(Path(sys.argv[1]), lambda verb, _: asked.append(verb) or {})\n"
        "print('up', flush=True)\n"
        "while len(asked) < 2 or server._clients:\n    select.select([server], [], [])\n    server.turn(0.0)\n"
    )
    path = tmp_path / "control.sock"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == b"up\n"
        assert stop_and_wait(path, 0.2) is False
        assert stop_and_wait(path, 30) is True
        assert gateway.wait(10) == 0
    with pytest.raises(NotRunning):
        stop_and_wait(path, 1)


def test_peer_credentials_have_the_layout_that_is_assumed(hand: Hand) -> None:
    """struct ucred is three ints; the kernel's answer for a connection to ourselves is ourselves."""
    with hand.client() as connection:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 64)
    assert struct.unpack("3i", raw) == (os.getpid(), os.geteuid(), os.getegid())
