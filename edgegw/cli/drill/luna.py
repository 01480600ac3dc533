"""A virtual TF-Luna in a process of its own, with a port that can be unplugged."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from edgegw.cli import again
from edgegw.cli.owned import environment


class VirtualLuna:
    """Its port is a link to a pty; the pty vanishes with the process, the link stays and leads nowhere, as with a replaced /dev/ttyUSB."""

    def __init__(self, directory: Path) -> None:
        self.port = directory / "0"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def possible() -> bool:
        """Whether what draws its scene is installed: the extra edgegw[demo]."""
        return importlib.util.find_spec("numpy") is not None

    def plug(self) -> None:
        """Return when its port is there. From the main thread: it is tied to the thread that starts it."""
        words = [sys.executable, "-P", "-m", "workers.virtual.tfluna", "--dir", str(self.port.parent), "--parent", str(os.getpid())]
        env, quiet = again.environment(environment()), subprocess.DEVNULL
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet, env=env)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def unplug(self) -> None:
        """By SIGKILL: it says no good-bye, and neither does a cable."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.communicate()
