"""A disk that somebody else fills while the gateway works: nothing vanishes, the sinks get all there is, and it heals by itself."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from edgegw.bus import WorkerEnd
from edgegw.clock import SystemClock
from edgegw.errors import Unavailable
from edgegw.worker.link import Link
from edgegw.worker.window import Window
from tests.records import a_reading
from tests.services.base import SKIP, need, until
from tests.test_bridge import RUN, Bench

ROOT = Path(__file__).parents[1]
LIMIT_readings = 2_000


class Sensor:
    """A worker's window and link on the real bus, fed by hand."""

    def __init__(self, bus: Path) -> None:
        self._end = WorkerEnd(bus)
        self.window = Window(RUN.id, LIMIT_readings, drops_oldest=True)
        self.link = Link(RUN, self.window, self._end, SystemClock())

    def read(self, count: int) -> None:
        for _ in range(count):
            self.window.add("lidar", a_reading(self.window.produced, (1.5, self.window.produced, 40.0)))
        self.window.seal()
        self.link.pump()

    def rests(self) -> bool:
        self.link.pump()
        return self.window.size == 0

    def close(self) -> None:
        self._end.close()


def in_a_small_disk(disk: Path) -> dict[str, Any]:
    """The whole story, on a tmpfs that is mounted there; what was seen."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], check=True)
    bench = Bench(disk)
    sensor = Sensor(disk / "bus.sock")
    said: dict[str, Any] = {}
    try:
        bench.sink.trouble = Unavailable("away")
        bench.start()
        for _ in range(20):
            sensor.read(50)
        until(sensor.rests, 60, "the first readings to be safe")
        said["hog"] = fill(disk / "hog")
        while sensor.window.dropped < 1_000:
            sensor.read(50)
        told = bench.told(lambda health: bool(health.why or health.crowded), "the trouble to be told")
        said["why"] = told.why + "".join(each.why for each in told.crowded)
        bench.sink.trouble = None
        until(lambda: len(bench.seqs()) >= 1_000 and bench.health().sinks[0].lag == 0, 60, "the sink to have all, with the disk still full")
        said["still_full"] = fill(disk / "hog2") == errno.ENOSPC
        said["alive"] = bench.thread.is_alive()
        (disk / "hog").unlink()
        (disk / "hog2").unlink()
        began = SystemClock().monotonic_ns()
        until(sensor.rests, 60, "the window to be empty")
        said["healed_s"] = (SystemClock().monotonic_ns() - began) / 1e9
        bench.told(lambda health: not (health.why or health.crowded), "all to be well")
        until(lambda: len(bench.seqs()) == sensor.window.produced - sensor.window.dropped, 60, "all in the sink")
        said["produced"], said["dropped"] = sensor.window.produced, sensor.window.dropped
        said["delivered"], said["distinct"] = len(bench.seqs()), len(set(bench.seqs()))
        said["lines"] = len(bench.rig.log("spool_cannot_write")) + len(bench.rig.log("spool_has_no_room"))
    finally:
        sensor.close()
        bench.close()
    return said


def fill(file: Path) -> int:
    """Write until there is no room; the errno."""
    hog = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(hog, b"x" * 4096)
    except OSError as error:
        return error.errno or 0
    finally:
        os.close(hog)


def test_a_disk_that_fills_up_under_the_gateway() -> None:
    """produced = delivered + dropped, to the reading; drained while it was full; a few lines of log; well again soon after."""
    unshare = [need("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{SKIP}user namespaces (the kernel or its policy forbids them)")
    disk = Path(tempfile.mkdtemp(prefix="eg-", dir="/tmp"))  # a socket's path has 107 bytes
    try:
        command = [*unshare, sys.executable, "-m", "tests.test_full_disk", str(disk)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=200, check=False)
    finally:
        shutil.rmtree(disk)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["hog"], said["still_full"], said["alive"]) == (errno.ENOSPC, True, True)
    assert "full" in said["why"]
    assert said["produced"] == said["delivered"] + said["dropped"]
    assert said["delivered"] == said["distinct"]
    assert said["healed_s"] < 20, said
    assert said["lines"] <= 6, said


if __name__ == "__main__":
    print(json.dumps(in_a_small_disk(Path(sys.argv[1]))))
    assert threading.active_count() == 1
