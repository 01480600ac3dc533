"""Commands as they are typed, each in a process of its own, and the means to look at what they leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ESCAPE = "\x1b"


def environment(**extra: str) -> dict[str, str]:
    """Ours without what leads edgegw somewhere else."""
    return {key: value for key, value in os.environ.items() if not key.startswith("EDGEGW_")} | extra


def command(*arguments: str) -> list[str]:
    """The words to run `edgegw …`."""
    return [sys.executable, "-m", "edgegw", *arguments]


def edgegw(*arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    """`edgegw …`, and what came of it."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=REPOSITORY,
        env=dict(env or environment()),
        stdin=subprocess.DEVNULL,
        check=False,
    )
