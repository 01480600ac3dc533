"""All tests that have a long form, in that form, one after the other, which takes some hours; exit code 1 where one of them fails.

Without a name all of them, `python -m tests.chaos.every power-cuts walk` these; `--list` prints what there is, and what it runs.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

REPOSITORY = Path(__file__).parents[2]
TIMEOUT_s = 3600  # of one test


class Form(msgspec.Struct, frozen=True):
    """A long form: pytest on these files with these variables, or a module with arguments."""

    files: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    module: tuple[str, ...] = ()

    def command(self, seed: int) -> list[str]:
        """To be run in the repository."""
        if self.module:
            return [sys.executable, "-m", *self.module, "--seed", str(seed)]
        return [sys.executable, "-m", "pytest", *self.files, "--timeout", str(TIMEOUT_s)]

    def typed(self, seed: int) -> str:
        """As a person would type it."""
        return " ".join([*(f"{name}={value}" for name, value in self.environment.items()), shlex.join(["python", *self.command(seed)[1:]])])


MINUTE: Final = {"EDGEGW_LOAD_S": "60"}
FORMS: Final[Mapping[str, Form]] = {
    "gateway": Form(("tests/processes/test_gateway.py", "tests/processes/test_audit.py", "tests/test_rabbitmq_bridge.py"), MINUTE),
    "failpoints": Form(("tests/processes/test_failpoints.py",), MINUTE),
    "supervisor": Form(
        (
            "tests/processes/test_hangs.py",
            "tests/processes/test_stops.py",
            "tests/processes/test_pid_reuse.py",
            "tests/processes/test_supervisor_processes.py",
        ),
        MINUTE,
    ),
    "imu": Form(
        (
            "tests/workers/test_mpu6050_twin.py",
            "tests/workers/test_mpu6050_twin_fifo.py",
            "tests/workers/test_mpu6050_umockdev.py",
        ),
        MINUTE,
    ),
    "power-cuts": Form(
        ("tests/test_power_cut.py", "tests/test_spool_syscalls.py", "tests/test_spool_torn.py"), {"EDGEGW_POWER_CUTS": "200"}
    ),
    "radio": Form(("tests/workers/test_hcsr04_bluez.py",), {"EDGEGW_RECONNECTS": "500"}),
    "backlog": Form(("tests/test_backlog.py",), {"EDGEGW_BACKLOG": "1000000"}),
    "strangers": Form(("tests/test_bus_strangers.py",), MINUTE),
    "readers": Form(("tests/processes/test_stuck_readers.py",), MINUTE),
    "drill": Form(("tests/processes/test_drill.py",), {"EDGEGW_DRILL": "all"}),
    "soak": Form(("tests/test_soak.py",), {"EDGEGW_SOAK_S": "1200"}),
    "kills": Form(module=("tests.chaos", "--plan", "kills", "--each", "100")),
    "servers": Form(module=("tests.chaos", "--plan", "servers", "--minutes", "10")),
    "walk": Form(module=("tests.chaos", "--plan", "walk", "--minutes", "20")),
}


def run(names: Sequence[str], seed: int) -> int:
    """One after the other, whatever becomes of those before; a table in the end, and 1 where one has failed."""
    lines, worst = list[str](), 0
    for name in names:
        form = FORMS[name]
        print(f"• {name}: {form.typed(seed)}", flush=True)
        begun = time.monotonic()
        code = subprocess.run(form.command(seed), cwd=REPOSITORY, env={**os.environ, **form.environment}, check=False).returncode
        worst = max(worst, int(code != 0))
        lines.append(f"{'ok ' if code == 0 else 'BAD'} {name:<12} {time.monotonic() - begun:7.0f} s   {form.typed(seed)}")
    print("\n".join(["", *lines]))
    return worst


def main() -> int:
    """As typed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.every", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FORMS))
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the chaos plans")
    parser.add_argument("--list", action="store_true", help="what there is, and what it runs")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in FORMS]
    if unknown:
        parser.error(f"there is no long form {', '.join(unknown)}; there are {', '.join(FORMS)}")
    if arguments.list:
        print("\n".join(f"{name:<12} {form.typed(arguments.seed)}" for name, form in FORMS.items()))
        return 0
    return run(arguments.names or list(FORMS), arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
