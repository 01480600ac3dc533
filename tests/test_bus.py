"""The bus over real ipc sockets: workers and bridges that come, go and die, and what is no message."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket as plain
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import zmq

from edgegw import codec
from edgegw.bus import BridgeEnd, WorkerEnd, endpoint
from edgegw.codec import MAX_MESSAGE_bytes
from edgegw.errors import CodecError
from tests.services.base import service_dir, until

ROOT = Path(__file__).parents[1]
PATIENCE_s = 30


@pytest.fixture
def place() -> Iterator[Path]:
    """Short enough for sockets."""
    directory = service_dir("bus")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def bridge(place: Path) -> Iterator[BridgeEnd]:
    bridge = BridgeEnd(place / "bus.sock", place / "tap.sock")
    yield bridge
    bridge.close()


@pytest.fixture
def worker(place: Path) -> Iterator[WorkerEnd]:
    worker = WorkerEnd(place / "bus.sock")
    yield worker
    worker.close()


@pytest.fixture
def raw(place: Path) -> Iterator[Callable[[int], zmq.Socket[bytes]]]:
    """Sockets of any type connected to the bus, as somebody may open them who is no worker."""
    context = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def connected(kind: int) -> zmq.Socket[bytes]:
        sockets.append(context.socket(kind))
        sockets[-1].connect(endpoint(place / "bus.sock"))
        return sockets[-1]

    yield connected
    for socket in sockets:
        socket.close(0)
    context.term()


def heard(bridge: BridgeEnd, count: int) -> list[tuple[bytes, bytes]]:
    """The next `count` messages."""
    got: list[tuple[bytes, bytes]] = []

    def more() -> bool:
        bridge.wait(0.1)
        got.extend(bridge.receive())
        return len(got) >= count

    until(more, PATIENCE_s, f"{count} messages")
    return got


def answered(worker: WorkerEnd, count: int) -> list[bytes]:
    got: list[bytes] = []

    def more() -> bool:
        worker.wait(0.1)
        got.extend(worker.receive())
        return len(got) >= count

    until(more, PATIENCE_s, f"{count} answers")
    return got


def test_messages_go_both_ways_in_order(bridge: BridgeEnd, worker: WorkerEnd) -> None:
    """Each once; the answer finds the one who asked."""
    assert all(worker.send(b"%d" % number) for number in range(100))
    got = heard(bridge, 100)
    assert [message for _, message in got] == [b"%d" % number for number in range(100)]
    (peer,) = {peer for peer, _ in got}
    for number in range(3):
        bridge.answer(peer, b"ack %d" % number)
    assert answered(worker, 3) == [b"ack 0", b"ack 1", b"ack 2"]
    assert list(worker.receive()) == []
    assert list(bridge.receive()) == []


def test_a_worker_may_come_before_its_bridge(place: Path, worker: WorkerEnd) -> None:
    """connect() and send() return at once; what was sent arrives when there is a bridge."""
    worker.connect()
    assert worker.send(b"early")
    worker.wait(0.01)
    bridge = BridgeEnd(place / "bus.sock", place / "tap.sock")
    assert [message for _, message in heard(bridge, 1)] == [b"early"]
    bridge.close()


def test_a_new_connection_is_a_new_peer_and_forgets(place: Path, worker: WorkerEnd) -> None:
    """What the old connection had not sent when it was closed never arrives; the bridge sees somebody else."""
    assert worker.send(b"forgotten")
    files = psutil.Process().num_fds()
    worker.connect()
    until(lambda: psutil.Process().num_fds() <= files, PATIENCE_s, "libzmq to have closed the old socket, which it does in a thread")
    assert worker.send(b"first")
    bridge = BridgeEnd(place / "bus.sock", place / "tap.sock")
    ((old, message),) = heard(bridge, 1)
    worker.connect()
    worker.send(b"second")
    ((new, other),) = heard(bridge, 1)
    assert (message, other) == (b"first", b"second")
    assert old != new
    bridge.answer(old, b"too late")
    bridge.answer(new, b"yes")
    assert answered(worker, 1) == [b"yes"]
    bridge.close()


def test_a_restarted_bridge_is_found_again(place: Path, worker: WorkerEnd) -> None:
    """On the same path, without a new connect(); the files are gone in between, and left behind ones are taken over."""
    for life in range(3):
        bridge = BridgeEnd(place / "bus.sock", place / "tap.sock")
        got: list[bytes] = []

        def spoke(bridge: BridgeEnd = bridge, got: list[bytes] = got, life: int = life) -> bool:
            worker.send(b"life %d" % life)
            bridge.wait(0.1)
            got.extend(message for _, message in bridge.receive())
            return b"life %d" % life in got

        until(spoke, PATIENCE_s, "the worker to be heard again")
        bridge.close()
        assert list(place.iterdir()) == []
        (place / "bus.sock").write_text("left behind") if life == 1 else None


def test_a_socket_file_of_a_killed_bridge_is_taken_over(place: Path, worker: WorkerEnd) -> None:
    """SIGKILL leaves the files; the next bridge binds all the same."""
    code = "import sys; from pathlib import Path; from edgegw.bus import BridgeEnd; p = Path(sys.argv[1])\n"
    code += "end = BridgeEnd(p / 'bus.sock', p / 'tap.sock'); print('bound', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(place)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"bound\n"
    child.kill()
    child.communicate()
    assert sorted(path.name for path in place.iterdir()) == ["bus.sock", "tap.sock"]
    bridge = BridgeEnd(place / "bus.sock", place / "tap.sock")
    worker.send(b"hello")
    assert [message for _, message in heard(bridge, 1)] == [b"hello"]
    bridge.close()


@pytest.mark.parametrize("frames", [[b"", b""], [b"a", b"b"], [b"x"] * 3, [b"x"] * 1000])
def test_what_has_not_one_frame_is_an_empty_message(
    bridge: BridgeEnd, worker: WorkerEnd, raw: Callable[[int], zmq.Socket[bytes]], frames: Sequence[bytes]
) -> None:
    """Which is no message of any version, so it is counted; and the next worker is heard."""
    stranger = raw(zmq.DEALER)
    stranger.send_multipart(frames)
    ((peer, message),) = heard(bridge, 1)
    assert message == b""
    bridge.answer(peer, b"?")
    worker.send(b"well formed")
    assert [message for _, message in heard(bridge, 1)] == [b"well formed"]


def test_one_empty_frame_is_an_empty_message(bridge: BridgeEnd, raw: Callable[[int], zmq.Socket[bytes]]) -> None:
    """The least that can be sent."""
    raw(zmq.DEALER).send(b"")
    assert [message for _, message in heard(bridge, 1)] == [b""]


def test_a_message_beyond_the_limit_costs_its_sender_the_connection(
    bridge: BridgeEnd, worker: WorkerEnd, raw: Callable[[int], zmq.Socket[bytes]]
) -> None:
    """It never reaches the bridge; one as long as the limit does; others are not disturbed."""
    stranger = raw(zmq.DEALER)
    events = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    stranger.send(b"x" * (MAX_MESSAGE_bytes + 1))
    assert events.poll(PATIENCE_s * 1000)
    stranger.disable_monitor()
    events.close()
    worker.send(b"y" * MAX_MESSAGE_bytes)
    assert [len(message) for _, message in heard(bridge, 1)] == [MAX_MESSAGE_bytes]


def test_noise_on_the_socket_disturbs_nobody(bridge: BridgeEnd, worker: WorkerEnd, place: Path) -> None:
    """Somebody who does not speak ZMTP: what libzmq makes of it, for it still knows a version 1.0 without any greeting, is no message."""
    rng = random.Random(7)
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, *(rng.randbytes(5000) for _ in range(20)), b""):
        with plain.socket(plain.AF_UNIX) as stranger:
            stranger.connect(str(place / "bus.sock"))
            stranger.sendall(noise)
            worker.send(codec.encode(codec.Again()))
            got: list[bytes] = []
            while codec.encode(codec.Again()) not in got:
                got += [message for _, message in heard(bridge, 1)]
            got.remove(codec.encode(codec.Again()))
            for message in got:
                with pytest.raises(CodecError):
                    codec.decode(message)


def test_an_answer_to_nobody_is_dropped(bridge: BridgeEnd, worker: WorkerEnd) -> None:
    """A peer that never was, one that has gone, and one that does not read: none stops the bridge."""
    bridge.answer(b"nobody", b"?")
    worker.send(b"hello")
    ((peer, _),) = heard(bridge, 1)
    for _ in range(5000):
        bridge.answer(peer, b"a" * 1000)
    worker.connect()
    bridge.answer(peer, b"gone")
    worker.send(b"again")
    assert [message for _, message in heard(bridge, 1)] == [b"again"]


def test_a_worker_without_a_bridge_is_told_when_the_socket_is_full(worker: WorkerEnd) -> None:
    """False, at once, and not a message more in memory."""
    sent = sum(1 for _ in itertools.takewhile(bool, (worker.send(b"x") for _ in range(10_000))))
    assert sent == 1000


def test_wait_returns_for_a_watched_file(bridge: BridgeEnd) -> None:
    """A note to stop wakes the bridge; unwatched it does not."""
    read, write = os.pipe()
    bridge.watch(read)
    os.write(write, b"!")
    before = time.monotonic()
    bridge.wait(PATIENCE_s)
    assert time.monotonic() - before < PATIENCE_s / 2
    bridge.unwatch(read)
    bridge.wait(0)
    os.close(read)
    os.close(write)


def test_closing_is_at_once_and_leaves_no_files(place: Path) -> None:
    """Whatever is still queued for a bridge that is not there, or for a worker that does not read."""
    worker = WorkerEnd(place / "bus.sock")
    for _ in range(500):
        worker.send(b"x" * 10_000)
    worker.close()
    bridge = BridgeEnd(place / "bus.sock", place / "tap.sock")
    bridge.close()
    assert list(place.iterdir()) == []
