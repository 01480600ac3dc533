"""The tap over a real ipc socket: readings for any ZeroMQ subscriber, nothing encoded for nobody, nobody slowed by a slow one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from edgegw import codec
from edgegw.bus import BridgeEnd, TapEnd, endpoint
from tests.records import a_reading, a_run
from tests.services.base import service_dir, until

PATIENCE_s = 30
READING = codec.reading_json(a_run(), "lidar", a_reading(1, (1.0, 2, 3.0)))

# What anybody would write who never heard of edgegw; prints what comes.
SUBSCRIBE = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
socket.setsockopt_string(zmq.SUBSCRIBE, sys.argv[2])
while True:
    topic, reading = socket.recv_multipart()
    print(topic.decode(), reading.decode(), flush=True)
"""


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
def subscriber(place: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []

    def started(topic: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SUBSCRIBE, endpoint(place / "tap.sock"), topic]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield started
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context = zmq.Context()
    yield context
    context.term()


def tapped(bridge: BridgeEnd, wanted: bool = True) -> None:
    until(lambda: bridge.tapped() is wanted, PATIENCE_s, f"tapped() to be {wanted}")


def subscribed(bridge: BridgeEnd, *topics: bytes) -> None:
    until(lambda: bridge.tapped() and bridge._topics == set(topics), PATIENCE_s, f"subscriptions to {topics}")


def test_a_plain_subscriber_prints_live_readings(bridge: BridgeEnd, subscriber: Callable[[str], subprocess.Popen[str]]) -> None:
    """Any ZeroMQ client, in a few lines: topic and JSON; only what it asked for."""
    child = subscriber("lidar/")
    assert bridge.tapped() is False
    tapped(bridge)
    bridge.offer("imu/back", b"{}")
    bridge.offer("lidar/front", READING)
    assert child.stdout is not None
    topic, reading = child.stdout.readline().split(maxsplit=1)
    assert topic == "lidar/front"
    assert json.loads(reading) == json.loads(READING)


def test_our_own_subscriber_gets_what_it_asked_for(bridge: BridgeEnd, place: Path) -> None:
    """Several prefixes; None when nothing comes."""
    tap = TapEnd(place / "tap.sock", ["lidar/front", "imu/"])
    assert tap.receive(0.01) is None
    subscribed(bridge, b"lidar/front", b"imu/")
    for topic in ("lidar/back", "imu/x", "lidar/front", "camera/y"):
        bridge.offer(topic, READING)
    assert [tap.receive(PATIENCE_s), tap.receive(PATIENCE_s)] == [("imu/x", READING), ("lidar/front", READING)]
    assert tap.receive(0.01) is None
    tap.close()


def test_tapped_ends_with_the_last_subscriber_however_it_goes(
    bridge: BridgeEnd, place: Path, subscriber: Callable[[str], subprocess.Popen[str]]
) -> None:
    """One leaves, the other is killed; topics twice, topics in common: nothing is encoded for nobody afterwards."""
    assert bridge.tapped() is False
    taps = [TapEnd(place / "tap.sock", topics) for topics in (["lidar/", "lidar/", ""], ["lidar/"])]
    child = subscriber("lidar/f")
    subscribed(bridge, b"lidar/", b"", b"lidar/f")
    taps[0].close()
    subscribed(bridge, b"lidar/", b"lidar/f")
    child.kill()
    subscribed(bridge, b"lidar/")
    taps[1].close()
    tapped(bridge, wanted=False)
    again = TapEnd(place / "tap.sock", [""])
    tapped(bridge)
    again.close()
    tapped(bridge, wanted=False)


def test_the_only_subscriber_is_killed(bridge: BridgeEnd, subscriber: Callable[[str], subprocess.Popen[str]]) -> None:
    """SIGKILL says no goodbye; the kernel closes its socket, and that ends its subscriptions."""
    child = subscriber("")
    tapped(bridge)
    child.kill()
    child.wait()
    tapped(bridge, wanted=False)


def test_noise_on_the_tap_changes_nothing(bridge: BridgeEnd, place: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """A peer that publishes to the publisher, or unsubscribes what others listen to, takes nothing from them."""
    tap = TapEnd(place / "tap.sock", ["lidar/"])
    tapped(bridge)
    stranger = context.socket(zmq.XSUB)
    stranger.connect(endpoint(place / "tap.sock"))
    for message in (b"", b"\x00lidar/", b"noise", b"lidar/", b"\x02lidar/", b"\x01stranger"):
        stranger.send(message)
    subscribed(bridge, b"lidar/", b"stranger")
    bridge.offer("lidar/front", READING)
    assert tap.receive(PATIENCE_s) == ("lidar/front", READING)
    tap.close()
    stranger.close(0)


def test_a_tap_that_admits_nobody_keeps_whom_it_has(bridge: BridgeEnd, place: Path) -> None:
    """Who came before goes on; who comes meanwhile gets in once it admits again, without being told."""
    first = TapEnd(place / "tap.sock", ["lidar/"])
    subscribed(bridge, b"lidar/")
    for _ in range(2):
        bridge.admit(others=False)
    assert not (place / "tap.sock").exists()
    second = TapEnd(place / "tap.sock", ["imu/"])
    for topic in ("imu/back", "lidar/front"):
        bridge.offer(topic, READING)
    assert first.receive(PATIENCE_s) == ("lidar/front", READING)
    assert second.receive(0.2) is None
    for _ in range(2):
        bridge.admit(others=True)
    subscribed(bridge, b"lidar/", b"imu/")
    bridge.offer("imu/back", READING)
    assert second.receive(PATIENCE_s) == ("imu/back", READING)
    first.close()
    second.close()


OFFERS = 40_000


def test_a_stopped_subscriber_slows_nobody_and_costs_little(
    bridge: BridgeEnd, place: Path, subscriber: Callable[[str], subprocess.Popen[str]]
) -> None:
    """40 000 readings while one subscriber is stopped: about as fast as with none stopped, memory bounded, the other one served."""
    alone = min(_offers_s(bridge) for _ in range(3))
    stopped = subscriber("")
    tapped(bridge)
    stopped.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
    before_bytes = psutil.Process().memory_info().rss
    beside = min(_offers_s(bridge) for _ in range(3))
    grown_bytes = psutil.Process().memory_info().rss - before_bytes
    assert beside < 20 * alone, f"{beside:.3f} s beside a stopped subscriber, {alone:.3f} s alone"
    assert grown_bytes < 16 << 20, f"{OFFERS * 3} readings of {len(READING)} bytes cost {grown_bytes} bytes"
    other = TapEnd(place / "tap.sock", ["only/"])
    subscribed(bridge, b"", b"only/")
    bridge.offer("only/this", READING)
    assert other.receive(PATIENCE_s) == ("only/this", READING)
    other.close()
    stopped.send_signal(signal.SIGCONT)
    assert stopped.stdout is not None
    assert stopped.stdout.readline().startswith("lidar/front")


def _offers_s(bridge: BridgeEnd) -> float:
    begin = time.perf_counter()
    for _ in range(OFFERS):
        bridge.offer("lidar/front", READING)
    return time.perf_counter() - begin
