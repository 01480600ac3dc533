"""A pid that belongs to somebody else by now is never signalled: in a PID namespace, where pids can be given out on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.rig import load_s
from tests.services.base import need

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("pid_reuse.py")


def namespace() -> list[str]:
    """unshare(1) into a PID namespace of its own, as root or in a user namespace; skips where neither may be had."""
    unshare = need("unshare", "util-linux")
    extra = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [unshare, *extra, "--pid", "--fork", "--mount-proc", "--kill-child"]
    probe = [*command, "sh", "-c", "echo 1000 > /proc/sys/kernel/ns_last_pid"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"no PID namespace with ns_last_pid here: {done.stderr.strip()}")
    return command


def test_strangers_with_the_pids_of_dead_children_live(tmp_path: Path) -> None:
    """Children killed, their numbers taken by sleep(1), then restart and stop: every stranger lives, and the gateway ends with 0."""
    rounds = 20 if load_s(0) else 6
    command = [*namespace(), sys.executable, str(SCRIPT), str(tmp_path / "gw"), str(rounds)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.stdout == f"{rounds} of {rounds} lived; exit code 0\n", done.stdout + done.stderr
