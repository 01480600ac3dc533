"""The notify protocol against a plain datagram socket, and our own ear against everything that may reach it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.notify import Notifier, NotifySocket, extension_s, health, parse


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Somebody who listens as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[NotifySocket]:
    heard = NotifySocket(tmp_path / "ears")
    yield heard
    heard.close()


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    speaker = Notifier(systemd.getsockname())
    yield speaker
    speaker.close()


def test_words(systemd: socket.socket, notifier: Notifier) -> None:
    """Each call is one datagram in sd_notify's spelling."""
    notifier.ready()
    notifier.beat()
    notifier.beat('{"rate_hz":100}')
    notifier.status("8 of 8\nsensors running")
    notifier.extend(1.5)
    notifier.stopping()
    assert [systemd.recv(1000) for _ in range(6)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b'WATCHDOG=1\nX_EDGEGW={"rate_hz":100}',
        b"STATUS=8 of 8 sensors running",
        b"EXTEND_TIMEOUT_USEC=1500000",
        b"STOPPING=1",
    ]
    assert notifier.lost == 0


def test_abstract_address() -> None:
    """'@' stands for the zero byte of Linux's abstract sockets."""
    name = f"edgegw-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        notifier = Notifier(f"@{name}")
        notifier.ready()
        notifier.close()
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("usec", "pid", "expected_s"),
    [
        ("3000000", "", 1.5),
        ("3000000", "ours", 1.5),
        ("3000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("-5", "", None),
        ("soon", "", None),
        ("²", "", None),
        ("9" * 5000, "", None),
    ],
)
def test_environment(usec: str, pid: str, expected_s: float | None) -> None:
    """Half of WATCHDOG_USEC, if it is meant for this process; and nothing is left for our own children to inherit."""
    pid = pid.replace("ours", str(os.getpid()))  # not in the test's name, which has to be the same in every process that collects it
    environ = {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid, "HOME": "/"}
    notifier = Notifier.from_environment(environ)
    notifier.close()
    assert notifier.interval_s == expected_s
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1", "/" + "x" * 200])
def test_nobody_usable_listens(address: str) -> None:
    """Without an address that can be used, speaking is free and silent."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    notifier.ready()
    notifier.beat("{}")
    assert (notifier.interval_s, notifier.lost) == (None, 0)


def test_speaking_never_raises(tmp_path: Path) -> None:
    """A listener that is not there is counted; text that is no text is replaced; after close() nothing happens."""
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.ready()
    notifier.status("\udcff")
    assert notifier.lost == 2
    notifier.close()
    notifier.beat()
    notifier.close()
    assert notifier.lost == 2


def test_a_full_listener_is_never_waited_for_and_ready_is_not_lost(systemd: socket.socket, notifier: Notifier) -> None:
    """The kernel's queue is short: beats that find it full are counted, a READY comes with the next word that gets through."""
    while not notifier.lost:
        notifier.beat()
    notifier.ready()
    notifier.stopping()
    assert notifier.lost == 3
    systemd.setblocking(False)
    while True:
        try:
            assert systemd.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            break
    notifier.beat()
    notifier.beat()
    assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1\nWATCHDOG=1", b"WATCHDOG=1"]


def test_the_kernel_says_who_speaks(tmp_path: Path, ears: NotifySocket) -> None:
    """The pid is the sender's own, not one that it claims."""
    code = "import sys; from edgegw.notify import Notifier; n = Notifier(sys.argv[1]); n.ready(); n.close()"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "ears")])
    assert child.wait(60) == 0
    speaker = Notifier(str(tmp_path / "ears"))
    speaker.beat('{"a":1}')
    speaker.close()
    heard = ears.receive()
    assert heard == [(child.pid, {"READY": "1"}), (os.getpid(), {"WATCHDOG": "1", "X_EDGEGW": '{"a":1}'})]
    assert [health(fields) for _, fields in heard] == [None, '{"a":1}']
    assert ears.receive() == []


def test_malformed_datagrams_are_counted_and_skipped(tmp_path: Path, ears: NotifySocket) -> None:
    """Bytes that are no text, lines without '=', nothing at all, and more than a datagram may hold."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(str(tmp_path / "ears"))
        for datagram in (b"\xff\xfe", b"no equals sign", b"", b"=value", b"A=1\n" * 20_000):
            stranger.send(datagram)
        stranger.send(b"READY=1\n\n")
    assert [fields for _, fields in ears.receive()] == [{"READY": "1"}]
    assert ears.malformed == 5


def test_descriptors_that_come_along_are_not_kept(tmp_path: Path, ears: NotifySocket) -> None:
    """A sender cannot fill our table of descriptors."""
    before = set(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(str(tmp_path / "ears"))
        socket.send_fds(stranger, [b"FDSTORE=1"], [0, 1, 2])
    assert len(ears.receive()) == 1
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed gateway left in its place does not hinder the next."""
    path = tmp_path / "ears"
    NotifySocket(path).close()
    assert path.is_socket()
    ears = NotifySocket(path)
    speaker = Notifier(str(path))
    speaker.ready()
    speaker.close()
    assert [fields for _, fields in ears.receive()] == [{"READY": "1"}]
    ears.close()


@given(st.binary(max_size=300))
def test_parse_takes_any_bytes(data: bytes) -> None:
    """Never raises; what it returns are non-empty keys."""
    assert all(parse(data))


KEYS = st.from_regex(r"[A-Z_]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


@given(st.dictionaries(KEYS, VALUES))
def test_parse_reads_what_was_written(fields: dict[str, str]) -> None:
    """Keys and values come back as they were sent."""
    assert parse("\n".join(f"{key}={value}" for key, value in fields.items()).encode()) == fields


@pytest.mark.parametrize(("value", "expected_s"), [("2500000", 2.5), ("0", 0.0), ("x", 0.0), (None, 0.0)])
def test_extension(value: str | None, expected_s: float) -> None:
    """EXTEND_TIMEOUT_USEC in seconds, nonsense as nothing."""
    assert extension_s({} if value is None else {"EXTEND_TIMEOUT_USEC": value}) == expected_s
