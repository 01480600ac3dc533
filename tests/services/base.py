"""What every private server of the tests needs: a port, a short directory, a leash, and a way to wait for something.

A service lives in a directory that carries its owner's pid in its name. So `sweep` can tell what a killed session left
behind, and the check for left-over children can tell a service from a leak.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

T = TypeVar("T")
POLL_s = 0.02
SKIP = "service not here: "  # opens the reason of every such skip, so that conftest can repeat it at the end


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(binary: str, package: str) -> str:
    """The path of `binary` (a name or a path). Without it the test is skipped and says what to install; with CI=true it fails."""
    found = shutil.which(binary)
    if found:
        return found
    reason = f"{SKIP}{binary} (apt install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def die_with_parent(command: Sequence[str]) -> list[str]:
    """`command`, wrapped so that the kernel kills it when the thread that starts it ends: start it from the main thread.

    The setting survives exec, so a shell script that ends in `exec server` hands it on; what the server forks does not inherit it.
    setpriv(1) sets it rather than preexec_fn, which must not run Python between fork and exec of a process with threads.
    """
    return [need("setpriv", "util-linux"), "--pdeathsig", "KILL", "--", *command]


def service_dir(name: str) -> Path:
    """A fresh directory with a path short enough for sockets (107 bytes); the caller removes it, or a later `sweep` does."""
    return Path(tempfile.mkdtemp(prefix=f"{_prefix(os.getpid())}{name}-", dir="/tmp"))


def is_service(process: psutil.Process) -> bool:
    """Whether `process` runs in a service directory of this process, so is meant to outlive a single test."""
    try:
        return Path(process.cwd()).name.startswith(_prefix(os.getpid()))
    except psutil.Error:
        return False


def sweep() -> list[str]:
    """Remove what dead sessions left: their processes, found by the directory they run in, and the directories. Returns their names."""
    stale = [path for path in Path("/tmp").glob("edgegw-test-*-*") if not _alive(path)]
    names = {str(path) for path in stale}
    for process in psutil.process_iter(["cwd"]) if stale else ():
        if process.info["cwd"] in names:
            process.kill()
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return sorted(names)


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, patience_s: float = 20) -> None:
    """Send `how`, wait, and kill what does not go; reaps the child in any case."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listening(port: int) -> bool:
    """Whether something accepts on that port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5):
            return True
    except OSError:
        return False


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until every thread stands still: the signal is under way when kill(2) returns."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_state(task) in "TtZX" for task in Path(f"/proc/{pid}/task").iterdir()), 10, f"process {pid} to stand still")


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def until(predicate: Callable[[], T], timeout_s: float, what: str) -> T:
    """The first true value of `predicate`, asked every 20 ms; AssertionError saying `what` was awaited and what came last."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; the last answer was {value!r}")
        time.sleep(POLL_s)  # the one sleep of the tests: everybody else waits here


def _prefix(pid: int) -> str:
    return f"edgegw-test-{pid}-"


def _alive(path: Path) -> bool:
    try:
        return psutil.Process(int(path.name.split("-")[2])).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False


def living(*processes: psutil.Process) -> list[psutil.Process]:
    """Those that still run; a zombie that init has not fetched yet runs no more, and one may end while it is looked at."""
    found: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
