"""No process and no file to be had: what cannot be started is tried again, calmly, and everybody says why."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.processes.stand import PATIENCE_s, Told, a_gateway, bridge, worker
from tests.services.base import until

FILES = "could not be started: Too many open files: the supervisor has as many files open as it may (ulimit -n"


def pidfd_of(supervisor: int, pid: int) -> int:
    """The number of the descriptor by which the supervisor holds that child."""
    for path in Path(f"/proc/{supervisor}/fdinfo").iterdir():
        if f"\nPid:\t{pid}\n" in path.read_text():
            return int(path.name)
    raise AssertionError(f"the supervisor holds no process {pid}")


def enough_for_nothing(supervisor: int, child: int) -> int:
    """A limit below which nothing is free, nor what the dead child will give back."""
    taken = {int(path.name) for path in Path(f"/proc/{supervisor}/fd").iterdir()}
    return min(pidfd_of(supervisor, child), next(number for number in itertools.count() if number not in taken))


def test_a_supervisor_without_descriptors_goes_on(tmp_path: Path) -> None:
    """A worker that dies then waits with a plain sentence, never quarantined; the neighbour runs; with room again it starts.

    Nothing spins: longer and longer pauses, a line for each try, and next to no CPU time.
    """
    policy: Told = {"base_s": 0.05, "max_s": 60, "burst": 3, "period_s": 60}
    with a_gateway(tmp_path, bridge(), worker("front"), worker("imu"), policy=policy) as gateway:
        pids = gateway.running().pids()
        supervisor = psutil.Process(gateway.process.pid)
        before = resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, (enough_for_nothing(supervisor.pid, pids["imu"]), before[1]))
        spent_s = sum(supervisor.cpu_times()[:2])
        os.kill(pids["imu"], signal.SIGKILL)
        until(lambda: gateway.log_text().count(FILES) >= 6, PATIENCE_s, "six tries")
        tries = [line["at"] for line in gateway.log("imu") if line["event"] == "child_backoff" and FILES in line["why"]]
        spent_s = sum(supervisor.cpu_times()[:2]) - spent_s
        print(f"{len(tries)} tries in {tries[-1] - tries[0]:.1f} s cost {spent_s:.2f} s of CPU time")
        gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
        assert gaps[-1] > 4 * gaps[0]
        assert spent_s < 0.5 * (tries[-1] - tries[0])
        resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE, before)
        gateway.await_(lambda status: FILES in status["children"][2]["why"], "status to say why")
        gateway.await_state("imu", "RUNNING")
        assert "child_quarantined" not in gateway.log_text()
        assert {name: gateway.pids()[name] for name in ("bridge", "front")} == {name: pids[name] for name in ("bridge", "front")}
        assert gateway.child("imu")["why"] == ""
        assert gateway.stop() == 0


def test_forty_descriptors_are_enough_for_eight_sensors(tmp_path: Path) -> None:
    """The whole gateway under RLIMIT_NOFILE = 40: eight workers and a bridge run, one that is killed comes back, status answers."""
    names = [f"s{number}" for number in range(8)]
    with limited(40), a_gateway(tmp_path, bridge(), *map(worker, names)) as gateway:
        pids = gateway.running().pids()
        os.kill(pids["s3"], signal.SIGKILL)
        gateway.await_state("s3", "RUNNING", restarts=1)
        assert resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)[0] == 40
        print(f"descriptors of the supervisor: {psutil.Process(gateway.process.pid).num_fds()}")
        assert {name: gateway.pids()[name] for name in names if name != "s3"} == {name: pids[name] for name in names if name != "s3"}
        assert gateway.stop() == 0


@contextlib.contextmanager
def limited(files: int) -> Iterator[None]:
    """What is started inside may have so many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
