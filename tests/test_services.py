"""The helpers that the private servers of the tests rest on: the leash, the sweep, the wait, the skip."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.services.base import die_with_parent, end, is_service, need, service_dir, sweep, until

# A session that starts one server on the leash and one without, says their pids, and waits to be killed.
SESSION = """
import psutil, subprocess, sys
from tests.services.base import die_with_parent, service_dir, until
home = service_dir("sleep")
leashed = subprocess.Popen(die_with_parent(["sleep", "600"]), cwd=home)
loose = subprocess.Popen(["sleep", "600"], cwd=home, start_new_session=True)
until(lambda: psutil.Process(leashed.pid).name() == "sleep", 60, "setpriv to have put it on the leash")
print(leashed.pid, loose.pid, home, flush=True)
sys.stdin.read()
"""


def test_nothing_survives_a_killed_session() -> None:
    """SIGKILL to a session ends its servers by the kernel, and the next sweep ends the rest and removes the directory."""
    session = subprocess.Popen([sys.executable, "-c", SESSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.getcwd())
    assert session.stdout is not None
    assert session.stdin is not None
    with session.stdout, session.stdin:
        leashed, loose, home = session.stdout.readline().decode().split()
    session.kill()
    session.wait()
    until(lambda: not _running(int(leashed)), 10, "the leashed server to be gone")
    assert _running(int(loose))
    assert home in sweep()
    until(lambda: not _running(int(loose)), 10, "the loose server to be swept")
    assert not os.path.exists(home)


def test_sweep_spares_the_living() -> None:
    """A directory and a server of a session that is still there stay."""
    home = service_dir("sleep")
    server = subprocess.Popen(die_with_parent(["sleep", "600"]), cwd=home)
    try:
        until(lambda: is_service(psutil.Process(server.pid)), 10, "the server to be known as one")
        assert str(home) not in sweep()
        assert server.poll() is None
        assert home.exists()
    finally:
        end(server)
        home.rmdir()


def test_end_kills_what_does_not_go() -> None:
    """A process that ignores SIGTERM is killed and reaped."""
    stubborn = subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 600"], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    with stubborn.stdout:
        stubborn.stdout.readline()
    end(stubborn, patience_s=0.1)
    assert stubborn.returncode == -signal.SIGKILL


def test_until_says_what_it_waited_for() -> None:
    """A wait in vain names what was awaited and the last answer."""
    with pytest.raises(AssertionError, match=r"waited 0.05 s for the moon; the last answer was 0"):
        until(lambda: 0, 0.05, "the moon")


def test_a_missing_server_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says what to install; CI=true makes it a failure."""
    says = r"no-such-server \(apt install no-such-package\)"
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=says):
        need("no-such-server", "no-such-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=says):
        need("no-such-server", "no-such-package")


def _running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
