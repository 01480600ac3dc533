"""Who should read the log or the tap stands still, or the log's disk is full: readings go on as before, and what was not logged is told."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgegw.control import ask
from edgegw.log import LEVELS
from tests.processes.chatterbox import ERRORS, WARNINGS
from tests.processes.paced import Paced, PATIENCE_s, Window, paced
from tests.processes.rig import load_s
from tests.services.base import SKIP, freeze, need, until
from tests.test_full_disk import fill

WINDOW_s = load_s(1)
STOPPED_s = load_s(4)  # 16 000 readings for who does not read them: nearly 10 MB where nothing bounds that
LONG = load_s(0) > 0
BURST = 25  # ticks at 100 Hz: on a busy machine a sensor comes 0.1 s too late now and then, hardly ever 0.25 s
F_SETPIPE_SZ = 1031
DROPPED = "log records dropped"
Entry = dict[str, Any]
# Prints one reading, then reads on for ever.
SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt_string(zmq.SUBSCRIBE, "")
socket.connect("ipc://" + sys.argv[1])
print(socket.recv_multipart()[0].decode(), flush=True)
while True:
    socket.recv_multipart()
"""


class Pipe:
    """What the whole gateway logs into, and somebody who reads it or not."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._text = bytearray()
        self._widened = 0  # where in the text it last happened
        self.widen()

    def read(self) -> None:
        """All that is there."""
        with contextlib.suppress(BlockingIOError):
            while got := os.read(self._reading, 1 << 16):
                self._text += got

    def read_on(self) -> int:
        """How many lines tell of drops, in what came since it was widened."""
        self.read()
        return self._text.count(DROPPED.encode(), self._widened)

    def squeeze(self) -> bool:
        """Of one page from now on; False while there is more in it than that."""
        try:
            return bool(fcntl.fcntl(self.writing, F_SETPIPE_SZ, 4096))
        except OSError as error:
            assert error.errno == errno.EBUSY, error
            self.read()
            return False

    def widen(self) -> None:
        """Of 1 MiB, the most that anybody may have; what it holds is still to be read."""
        self._widened = len(self._text)
        fcntl.fcntl(self.writing, F_SETPIPE_SZ, 1 << 20)

    def entries(self, *, late: bool = False) -> list[Entry]:
        """What was read so far; or only what came since it was widened, which was between two lines."""
        return entries(bytes(self._text[self._widened if late else 0 :]))

    def close(self) -> None:
        os.close(self._reading)
        os.close(self.writing)


def entries(text: bytes) -> list[Entry]:
    """Each line must be whole; the last one may still be written."""
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def compare(gateway: Paced, free: Window, stuck: Window, least: float) -> None:
    """The sensors keep their pace, and what they give is stored as soon: at most two seconds later, of which a busy machine needs most.

    `least`: the share of the pace before; what the long form holds.
    """
    before, beside = gateway.pace(free), gateway.pace(stuck)
    print(f"pace {before:.4f} before, {beside:.4f} beside; stored {free.late_s:.2f} s and {stuck.late_s:.2f} s after the window's end")
    assert beside >= (least if LONG else 0.75) * before  # in a second four bursts are due of a sensor: two of all may be left out
    assert stuck.late_s < free.late_s + 2


def told(lines: Sequence[Entry], sensor: str) -> list[Entry]:
    """The lines that say how many records a process dropped."""
    return [entry for entry in lines if (entry["event"], entry["process"]) == (DROPPED, sensor)]


def words(lines: Sequence[Entry], sensor: str) -> Counter[str]:
    """Level → how many lines of the chatterbox were logged."""
    return Counter(entry["level"] for entry in lines if entry["process"] == sensor and entry.get("library") == "chatterbox")


def accounted(gateway: Paced, lines: Sequence[Entry]) -> None:
    """All that the chatterboxes said is there or told as dropped; the least important went first."""
    for sensor in gateway.gateway.sensors:
        said, dropped, ticks = words(lines, sensor), Counter[str](), gateway.given(sensor)
        for drop in told(lines, sensor):
            dropped.update({level: drop.get(level, 0) for level in LEVELS})
            assert drop["count"] == sum(drop.get(level, 0) for level in LEVELS)
        assert said["warning"] + dropped["warning"] == WARNINGS * ticks
        assert said["error"] + dropped["error"] == ERRORS * ticks
        assert LONG or not dropped["error"]


def test_a_log_pipe_that_nobody_reads_holds_up_nobody() -> None:
    """One page, and nobody reads it: the sensors keep their pace, the store is as prompt, the supervisor answers. Then a line a process."""
    with paced(2, 100, BURST, "chatterbox", 'log_level = "debug"') as gateway, contextlib.closing(Pipe()) as pipe:
        with gateway.running(stderr=pipe.writing, meanwhile=pipe.read):
            pids = gateway.pids()
            free = gateway.window(WINDOW_s, meanwhile=pipe.read)
            until(pipe.squeeze, PATIENCE_s, "the pipe to be nearly empty")
            stuck = gateway.window(WINDOW_s)
            ask(gateway.gateway.paths.control, "reload")  # of which the supervisor logs a line, in the loop that answers
            assert gateway.pids() == pids
            pipe.widen()
            until(lambda: pipe.read_on() >= len(gateway.gateway.sensors), PATIENCE_s, "the drops to be told")
        pipe.read()
        compare(gateway, free, stuck, 0.99)
        gateway.nothing_lost()
        accounted(gateway, pipe.entries())
        late = pipe.entries(late=True)
        assert [len(told(late, sensor)) for sensor in gateway.gateway.sensors] == [1, 1]
        assert [entry["process"] for entry in late if entry["event"] == "reloaded"] == ["supervisor"]


def small_disk(place: Path) -> list[str]:
    """What runs a command with a small disk of its own at `place`."""
    unshare = [need("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{SKIP}user namespaces (the kernel or its policy forbids them)")
    return [*unshare, "sh", "-c", f'mount -t tmpfs -o size=16m,mode=700 none "{place}" && exec "$@"', "sh"]


@contextlib.contextmanager
def held(directory: Path) -> Iterator[Path]:
    """The same directory under another name, which is good also when the disk is mounted for nobody any more."""
    fd = os.open(directory, os.O_PATH)
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def missing(lines: Sequence[Entry]) -> int:
    """How many of a chatterbox's numbered lines are not there, from the first that is to the last; a file that was turned begins later."""
    numbers = {int(line["event"].split()[0]) for line in lines if line.get("library") == "chatterbox" and line["level"] == "warning"}
    return max(numbers) - min(numbers) + 1 - len(numbers)


def around_the_drops(logs: Path, sensor: str) -> list[Entry]:
    """What there is of the log once it tells of drops and goes on, else nothing. The files turn every few seconds: soon it is gone."""
    lines: list[Entry] = []
    with contextlib.suppress(FileNotFoundError):  # they were just being turned
        before = _oldest_first(logs, sensor)
        lines = [line for file in before.values() for line in entries(file.read_bytes())]
        if before != _oldest_first(logs, sensor):
            return []
    return lines if DROPPED in (line["event"] for line in lines[:-1]) else []


def _oldest_first(logs: Path, sensor: str) -> dict[int, Path]:
    """By inode."""
    return {file.stat().st_ino: file for file in sorted(logs.glob(f"{sensor}.log*"), reverse=True)}


def test_a_full_disk_under_the_log_holds_up_nobody() -> None:
    """ENOSPC on every line of every process: the sensors keep their pace, the store is as prompt. With room again a line a process."""
    with paced(2, 100, BURST, "chatterbox") as gateway, contextlib.ExitStack() as stack:
        logs = gateway.gateway.home / "logs"
        logs.mkdir(mode=0o700)
        with gateway.running(*small_disk(logs), logs=logs) as pid:
            seen = stack.enter_context(held(Path(f"/proc/{pid}/root{logs}")))  # the gateway's own view of it
            pids = gateway.pids()
            free = gateway.window(WINDOW_s)
            assert fill(seen / "hog") == errno.ENOSPC
            stuck = gateway.window(WINDOW_s)
            assert gateway.pids() == pids
            (seen / "hog").unlink()
            logged: dict[str, list[Entry]] = {}

            def all_told() -> bool:
                logged.update({name: around_the_drops(seen, name) for name in gateway.gateway.sensors if not logged.get(name)})
                return all(logged.values())

            until(all_told, PATIENCE_s, "the drops to be told")
        compare(gateway, free, stuck, 0.95)
        gateway.nothing_lost()
        for sensor, lines in logged.items():
            (drop,) = told(lines, sensor)
            assert drop["warning"] == missing(lines) > 0
            assert drop["trouble"].keys() == {"ENOSPC"}


def test_a_subscriber_that_stands_still_holds_up_nobody() -> None:
    """SIGSTOP on who taps everything: the bridge grows by 8 MB at most, the sensors keep their pace, the store is as prompt."""
    with paced(4, 1000, 250) as gateway:
        with gateway.running(), subscriber(gateway) as tapping:
            bridge = psutil.Process(gateway.pids()["bridge"])
            free, before_bytes = gateway.window(min(WINDOW_s, 10)), bridge.memory_info().rss
            freeze(tapping.pid)
            stuck = gateway.window(STOPPED_s)
            assert gateway.pids()["bridge"] == bridge.pid
            grown_bytes = bridge.memory_info().rss - before_bytes
        compare(gateway, free, stuck, 0.95)
        gateway.nothing_lost()
    print(f"grown by {grown_bytes} bytes")
    assert grown_bytes <= 8_000_000


@contextlib.contextmanager
def subscriber(gateway: Paced) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who has had a reading from the tap, and reads on."""
    words = [sys.executable, "-c", SUBSCRIBER, str(gateway.gateway.paths.tap)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline().startswith(b"metronome/")
        try:
            yield process
        finally:
            process.kill()
