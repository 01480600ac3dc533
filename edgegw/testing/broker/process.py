"""The broker's process, as those hold it who need a broker."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

START_s = 30.0
END_s = 10.0
USER = PASSWORD = "guest"  # noqa: S105 - of a broker that listens on this machine only, and is gone in a minute


class Broker:
    """Its data lies in `directory`; start() after kill() or close() brings the same broker back, at the same port."""

    def __init__(self, directory: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.host, self.port = "127.0.0.1", 0
        self._directory = directory
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For a client; the port is known from the first start() on."""
        return f"amqp://{USER}:{PASSWORD}@{self.host}:{self.port}/"

    @property
    def pid(self) -> int:
        """Of its process; 0 while there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Return when it listens. From a thread that outlives it: the kernel takes that thread's end for ours. Raises OSError."""
        here = str(Path(__file__).parents[3])
        path = os.pathsep.join(filter(None, [here, self._environ.get("PYTHONPATH", "")]))
        words = [sys.executable, "-P", "-m", "edgegw.testing.broker", str(self._directory), "--port", str(self.port)]
        words += ["--parent", str(os.getpid())]
        quiet, env = subprocess.DEVNULL, {**self._environ, "PYTHONPATH": path}
        self._process = subprocess.Popen(words, stdin=quiet, stdout=subprocess.PIPE, env=env, start_new_session=True)
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_s)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self.kill()
            raise OSError(f"the broker at {self.host}:{self.port} did not start")
        self.port = int(line)

    def kill(self) -> None:
        """SIGKILL; safe to call twice."""
        self._end(0)

    def close(self) -> None:
        """End it in order; safe to call twice."""
        self._end(END_s)

    def _end(self, patience_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if patience_s:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # somebody may have stopped it
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
        process.kill()
        process.communicate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
