"""`edgegw reload`: the changed configuration is applied to the gateway that runs; only what changed restarts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw import control
from edgegw.cli.settings import paths
from edgegw.config.places import defaults
from edgegw.control import Declined
from edgegw.errors import ConfigError, EdgegwError, Exit, NotRunning
from edgegw.paths import Paths

LOAD_s = 30.0  # importing a driver for the first time on a small board, while it reads
SHOWN = {"started": "starting", "stopped": "stopping", "restarted": "restarting"}


class ReloadRefused(EdgegwError):
    """The configuration cannot be applied; the gateway runs on with the one it has."""

    exit_code = Exit.CONFIG


def run(file: Path | None) -> str:
    """Returns what changes. Raises ReloadRefused, NotRunning or NoAnswer."""
    try:
        return sentence(control.ask(_socket(file), "reload", LOAD_s))
    except (ConfigError, Declined) as error:
        if error.exit_code is not Exit.CONFIG:
            raise
        raise ReloadRefused(f"the configuration cannot be used; nothing was changed, what runs goes on:\n{error}") from None
    except NotRunning as error:
        raise NotRunning(f"{error} (if runtime_dir was changed in the file: the gateway still runs where it was)") from None


def _socket(file: Path | None) -> Path:
    """Where the gateway of this file listens. A file that does not parse cannot tell, but the gateway can tell whose it is."""
    try:
        return paths(file).control
    except ConfigError:
        if file is None:
            raise
        usual = Paths(Path(defaults(file, os.environ, os.geteuid())["runtime_dir"]), Path()).control
        try:
            found = control.ask(usual, "status")["config"]
        except EdgegwError:
            found = ""
        if found != str(file.absolute()):
            raise
        return usual


def sentence(answer: Mapping[str, Any]) -> str:
    """What the gateway's answer says, in one line."""
    changes = [f"{verb} {', '.join(answer[key])}" for key, verb in SHOWN.items() if answer[key]]
    count = len(answer["unchanged"])
    rest = f"{count} process{'' if count == 1 else 'es'} go{'es' if count == 1 else ''} on unchanged"
    return f"{answer['config']} applied: {'; '.join([*changes, rest])}"
