"""A simulated /dev/i2c-1 for the tests: umockdev around a client process of theirs, with a virtual MPU6050 behind the node.

The server (workers/virtual/i2cdev.py) runs under the system's own Python, which has gi; the client under ours, with unmodified smbus2.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from tests.services.base import SKIP, die_with_parent, end, need, service_dir, until

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"  # gi is bound to the system's interpreter
PATIENCE_s = 60


class I2cDev:
    """A client at work on the simulated bus: what it has printed, and the faults that the test wishes it."""

    def __init__(self, server: subprocess.Popen[bytes], channel: socket.socket, output: IO[bytes], errors: IO[bytes]) -> None:
        self._server = server
        self._channel = channel.makefile("rwb", buffering=0)
        self._output, self._errors = output, errors
        self._partial = b""
        self.printed: list[Any] = []  # each line that the client has printed so far, as JSON

    def do(self, **order: object) -> dict[str, int]:
        """One order to the server, as its docstring has them; answers with the chip's journal. Without one: just the journal."""
        self._channel.write(json.dumps(order).encode() + b"\n")
        answer = self._channel.readline()
        assert answer, f"the server is gone: {self.errors()}"
        journal: dict[str, int] = json.loads(answer)
        return journal

    def lines(self) -> list[Any]:
        """All that the client has printed, as JSON, line by line."""
        *whole, self._partial = (self._partial + self._output.read()).split(b"\n")
        self.printed += [json.loads(line) for line in whole]
        return self.printed

    def more(self, count: int, timeout_s: float = PATIENCE_s) -> list[Any]:
        """Wait for so many lines more than there were, and give those."""
        had = len(self.lines())
        return until(lambda: self.lines()[had:] if len(self.lines()) >= had + count else [], timeout_s, f"{count} lines; {self.errors()}")

    def errors(self) -> str:
        """What it has said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def wait(self, timeout_s: float = PATIENCE_s) -> int:
        """The client's exit code."""
        code = self._server.wait(timeout_s)
        self.lines()
        return code

    def signal(self, number: signal.Signals) -> None:
        """To the client."""
        self._server.send_signal(number)


@contextlib.contextmanager
def attached(command: Sequence[str], behaviour: Mapping[str, object] | None = None, address: int = 0x68) -> Iterator[I2cDev]:
    """Run `command` with a simulated /dev/i2c-1; it is ended with the block. From the main thread only: see die_with_parent."""
    need_umockdev()
    ours, theirs = socket.socketpair()
    arguments = [f"--control={theirs.fileno()}", f"--behaviour={json.dumps(behaviour or {})}", f"--address={address}", "--", *command]
    place = service_dir("i2c")  # umockdev's directory, too, which a killed server leaves
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TMPDIR": str(place)}
    with ours, (place / "out").open("w+b") as output, (place / "err").open("w+b") as errors, (place / "out").open("rb") as printed:
        server = subprocess.Popen(
            die_with_parent([SYSTEM_PYTHON, "-m", "workers.virtual.i2cdev", *arguments]),
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors, pass_fds=[theirs.fileno()], env=environment,
        )  # fmt: skip
        theirs.close()
        try:
            yield I2cDev(server, ours, printed, errors)
        finally:
            end(server)
            shutil.rmtree(place)


def reader(options: Mapping[str, object], *arguments: str) -> list[str]:
    """The command of a process that reads the driver: tests/workers/mpu6050_client.py says what it prints."""
    return [sys.executable, "-m", "tests.workers.mpu6050_client", json.dumps(options), *arguments]


def need_umockdev() -> None:
    """Skip the test, and say what to install, where umockdev or its binding is missing; with CI=true fail."""
    need("umockdev-wrapper", "umockdev")
    need(SYSTEM_PYTHON, "python3")
    script = "import gi; gi.require_version('UMockdev', '1.0'); from gi.repository import UMockdev"
    if subprocess.run([SYSTEM_PYTHON, "-c", script], capture_output=True, timeout=PATIENCE_s, check=False).returncode:
        reason = f"{SKIP}UMockdev for {SYSTEM_PYTHON} (apt install gir1.2-umockdev-1.0 python3-gi)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
