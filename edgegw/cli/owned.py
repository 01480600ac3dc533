"""A gateway of a command's own, in a directory of its own: started, asked, stopped. The demo has one, and the drill."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgegw import control
from edgegw.cli import again
from edgegw.config import Settings
from edgegw.errors import EdgegwError, NotRunning
from edgegw.signals import StopNote

START_s = 30.0
STOP_s = 15.0


class Owned:
    """It ends with us, however we end. `what` it is called in sentences."""

    def __init__(self, config: Path, settings: Settings, stop: StopNote, what: str) -> None:
        self._config = config
        self._settings = settings
        self._stop = stop
        self._what = what
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its supervisor; 0 while there is none."""
        return self._process.pid if self.lives and self._process else 0

    @property
    def lives(self) -> bool:
        """Whether its supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it runs, or when somebody asked to stop. Raises NotRunning. From the main thread: see die_with_parent."""
        self._process = self._spawn()
        until = time.monotonic() + START_s
        while time.monotonic() < until and not self._stop.asked and self.lives:
            with contextlib.suppress(EdgegwError):
                if self.status()["state"] == "running":
                    return
            select.select([self._stop], [], [], 0.1)
        if not self._stop.asked:
            raise NotRunning(f"the {self._what} gateway did not start:\n{self.last_words()}")

    def status(self) -> dict[str, Any]:
        """As `edgegw status` asks for it. Raises EdgegwError."""
        return control.ask(self._settings.paths.control, "status")

    def end(self) -> None:
        """In order, and if that takes too long without."""
        if self._process is None:
            return
        try:
            control.stop_and_wait(self._settings.paths.control, STOP_s)
        except EdgegwError:
            self._process.terminate()
        try:
            self._process.wait(STOP_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to its supervisor: the kernel ends the rest."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log, and of what it wrote to stderr."""
        from edgegw import log

        logs = self._settings.paths.logs
        entries: Sequence[str] = [log.render(entry, False) for entry in log.read(logs)]
        errors = (logs / "stderr.txt").read_text(errors="replace").splitlines()
        return "\n".join([*entries[-20:], *errors[-20:]])

    def _spawn(self) -> subprocess.Popen[bytes]:
        logs = self._settings.paths.logs
        logs.mkdir(parents=True, exist_ok=True)
        words = again.command("start", "--foreground", "--parent", str(os.getpid()), "-c", str(self._config), "--logs", str(logs))
        with (logs / "stderr.txt").open("ab") as errors:
            # A session of its own: Ctrl-C is for us, who then stop the gateway in order.
            quiet, env = subprocess.DEVNULL, again.environment(environment())
            return subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=errors, start_new_session=True, env=env)


def environment() -> dict[str, str]:
    """Ours, without what would lead to another gateway, above all its directories: at the end ours is stopped."""
    kept = ("EDGEGW_RABBITMQ_PASSWORD", "EDGEGW_MYSQL_PASSWORD")
    return {key: value for key, value in os.environ.items() if key in kept or not key.startswith(("EDGEGW_", "NOTIFY_SOCKET"))}
