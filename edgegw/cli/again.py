"""How one command starts edgegw again, as another process: the same interpreter, the same modules, whatever lies in the directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def command(*arguments: str) -> list[str]:
    """To be run with environment(). -P: a click.py in the operator's directory is none of ours."""
    return [sys.executable, "-P", "-m", "edgegw", *arguments]


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`environ`, with the place that this edgegw was imported from put first."""
    here = str(Path(__file__).parents[2])
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [here, environ.get("PYTHONPATH", "")]))}
