"""Commands as they are typed, each in a process of its own, and the means to look at what they leave behind."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from edgegw.cli.commands import main

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


class Told(NamedTuple):
    """What a command printed."""

    exit_code: int
    stdout: str
    stderr: str


def invoked(*arguments: str) -> Told:
    """`edgegw …` within this process, which is quick. (click's CliRunner keeps stderr apart from 8.2 on only.)"""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(list(arguments), prog_name="edgegw")
    return Told(int(end.value.code or 0), out.getvalue(), err.getvalue())
