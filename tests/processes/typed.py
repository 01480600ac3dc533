"""A gateway as its operator has it: by the commands that he types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

REPOSITORY = Path(__file__).parents[2]
STOP_s = 30


class Typed:
    """Of a configuration file; what is in `environment` comes to what this process has when a command is run."""

    def __init__(self, config: Path, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self.config = config
        self.environment = dict(environment)

    def whole_environment(self) -> dict[str, str]:
        """Of the next command."""
        return {**os.environ, **self.environment}

    def run(self, *arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        """One command, as typed; -c is added."""
        command = [sys.executable, "-m", "edgegw", *arguments, "-c", str(self.config)]
        env = self.whole_environment()
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=REPOSITORY, env=env, check=False)

    def start(self) -> None:
        """`edgegw start`, which must succeed."""
        done = self.run("start")
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()

    def stop(self) -> None:
        """`edgegw stop`, which must succeed."""
        done = self.run("stop", "--timeout", str(STOP_s))
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()

    def status(self) -> dict[str, Any]:
        """What `edgegw status --json` says."""
        done = self.run("status", "--json")
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def logs(self) -> str:
        """All that was logged, for a failure."""
        return self.run("logs").stdout[-8000:]
