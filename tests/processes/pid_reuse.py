"""Run as the first process of a PID namespace: strangers get the very pids of dead children, and must live.

`python pid_reuse.py DIRECTORY ROUNDS` prints how many of them lived, and how many there were.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from edgegw.control import ask
from tests.processes.stand import Gateway, Told, a_gateway, bridge, worker

LAST = Path("/proc/sys/kernel/ns_last_pid")
# A dead child stays in BACKOFF while its number goes to somebody else.
PATIENT = {"base_s": 3600, "max_s": 3600, "burst": 1000}


def stranger(pid: int) -> subprocess.Popen[bytes]:
    """An innocent process with that pid. Others may be quicker now and then; they get the next try's predecessor."""
    for _ in range(200):
        LAST.write_text(str(pid - 1))
        found = subprocess.Popen(["sleep", "3600"])
        if found.pid == pid:
            return found
        found.kill()
        found.wait()
    raise AssertionError(f"pid {pid} was not to be had again")


def killed(gateway: Gateway, name: str) -> subprocess.Popen[bytes]:
    """Kill that child; whoever has its pid from now on."""
    pid = gateway.pids()[name]
    os.kill(pid, signal.SIGKILL)
    gateway.await_state(name, "BACKOFF")
    return stranger(pid)


def again(gateway: Gateway, name: str, restarts: int) -> Told:
    """The operator's restart, which signals a child that has a process."""
    ask(gateway.paths.control, "restart", sensors=[name])
    return gateway.await_state(name, "RUNNING", restarts=restarts)


def main(place: str, rounds: int) -> int:
    """The exit code."""
    innocent = []
    with a_gateway(Path(place), bridge(), worker("front"), worker("imu"), policy=PATIENT) as gateway:
        gateway.running()
        for number in range(1, rounds):
            innocent.append(killed(gateway, "front"))
            again(gateway, "front", number)
        innocent.append(killed(gateway, "front"))
        gateway.process.terminate()  # one child is dead, its number somebody else's, and the gateway stops
        code = gateway.wait()
    alive = sum(process.poll() is None for process in innocent)
    print(f"{alive} of {len(innocent)} lived; exit code {code}")
    for process in innocent:
        process.kill()
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
