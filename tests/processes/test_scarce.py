"""Files, memory and threads run out under one process of a gateway after the other: it goes on or is started again; nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import zmq

from edgegw import codec
from edgegw.bridge import MOST_files
from edgegw.bus import endpoint
from edgegw.codec import Hello
from tests.processes.metronomes import Gateway, gateway
from tests.records import a_run
from tests.services.base import until

PATIENCE_s = 60
SENSORS, HZ = 2, 100


@pytest.fixture(scope="module")
def short() -> Iterator[Gateway]:
    """One gateway for all of them; in the end its sensors, its books and its store must tell the same."""
    with gateway(SENSORS, HZ) as made:
        with limited(os.getpid(), resource.RLIMIT_NOFILE, 512):
            made.start()
        yield made
        made.well()
        made.stop()
        verdict = made.verdict()
        assert verdict.ok, verdict.report()
        assert {cause for cause, count in verdict.declared.items() if count} <= {"lost"}, verdict.report()


def child(short: Gateway, name: str) -> dict[str, Any]:
    """Its part of the status."""
    found: dict[str, Any] = next(each for each in short.status()["children"] if each["name"] == name)
    return found


@contextlib.contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """That process may have no more; afterwards as before, if it still lives. Only the soft limit: the hard one never goes up again."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, what, before)


def test_a_bridge_without_descriptors(short: Gateway) -> None:
    """It takes as many as it may have. Forty, and more silent connections than that: libzmq ends the process, and the next one goes on."""
    short.well()
    before = child(short, "bridge")
    soft, hard = resource.prlimit(before["pid"], resource.RLIMIT_NOFILE)
    assert soft == (MOST_files if hard == resource.RLIM_INFINITY else min(hard, MOST_files))
    with contextlib.ExitStack() as open_, limited(before["pid"], resource.RLIMIT_NOFILE, 40):
        for _ in range(40):
            stranger = open_.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):  # it has ended already
                stranger.connect(str(short.paths.bus))
        until(lambda: child(short, "bridge")["restarts"] > before["restarts"], PATIENCE_s, "another bridge")
    short.well()


def test_listeners_do_not_use_up_the_bridges_files(short: Gateway) -> None:
    """A script that never closes its connections: the tap takes no more, the bridge goes on, and says so; then it takes some again."""
    short.well()
    before = child(short, "bridge")
    with contextlib.ExitStack() as open_:

        def refused() -> bool:
            stranger = open_.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                stranger.connect(str(short.paths.tap))
                return False
            return True

        until(refused, PATIENCE_s, "the tap to take no more")
        until(lambda: "no further listeners" in child(short, "bridge")["health"].get("tap", ""), PATIENCE_s, "it to be told")
        assert "no further listeners" in short.run("status").stdout
        assert "so many listen" in short.run("tap", "--seconds", "1").stderr
        assert psutil.Process(before["pid"]).num_fds() < 512
        short.well()
    until(lambda: not child(short, "bridge")["health"].get("tap"), PATIENCE_s, "the tap to take listeners again")
    assert len(short.run("tap", "-n", "3").stdout.splitlines()) == 3
    assert child(short, "bridge")["pid"] == before["pid"]


def test_a_bridge_without_memory(short: Gateway) -> None:
    """Not a page more than it has, and strangers who want some: it ends, the next one goes on."""
    short.well()
    before = child(short, "bridge")
    wide = {"lidar": {f"f{at:04}": "float" for at in range(2000)}}
    most_bytes = psutil.Process(before["pid"]).memory_info().vms
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger, limited(before["pid"], resource.RLIMIT_AS, most_bytes):
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.connect(endpoint(short.paths.bus))
        numbers = itertools.count()

        def another() -> bool:
            with contextlib.suppress(zmq.Again):
                for _ in range(100):
                    stranger.send(codec.encode(Hello(a_run(next(numbers), kinds=wide))), zmq.NOBLOCK)
            return bool(child(short, "bridge")["restarts"] > before["restarts"])

        until(another, PATIENCE_s, "another bridge")
    short.well()


def test_a_supervisor_without_memory(short: Gateway) -> None:
    """What it starts gets no thread: said, and tried again; with room again it runs. The others do not notice."""
    short.well()
    pid, before, neighbour = short.status()["pid"], child(short, "m0"), child(short, "m1")
    with limited(pid, resource.RLIMIT_AS, psutil.Process(pid).memory_info().vms):
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: child(short, "m0")["restarts"] >= before["restarts"] + 1, PATIENCE_s, "a try")
        assert "short of files, memory or threads" in child(short, "m0")["why"]
    until(lambda: child(short, "m0")["state"] == "RUNNING", PATIENCE_s, "it to run")
    assert child(short, "m1")["pid"] == neighbour["pid"]


def test_a_worker_without_descriptors(short: Gateway) -> None:
    """It cannot reach the next bridge, and keeps what it reads until it can: the same process, and nothing given up."""
    short.well()
    before, neighbour = child(short, "m1"), child(short, "m0")
    with limited(before["pid"], resource.RLIMIT_NOFILE, 5):
        os.kill(child(short, "bridge")["pid"], signal.SIGKILL)
        until(lambda: (child(short, "m1")["health"] or {}).get("window", 0) > HZ, PATIENCE_s, "its window to fill")
    short.well()
    until(lambda: child(short, "m1")["health"].get("window", 0) < HZ, PATIENCE_s, "its window to be empty")
    assert [child(short, name)["pid"] for name in ("m0", "m1")] == [neighbour["pid"], before["pid"]]
    assert child(short, "m1")["health"].get("dropped", 0) == 0
