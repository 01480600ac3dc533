"""Where things are when nobody says: the configuration file, the two directories, the gateway's name."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

SYSTEM_FILE = Path("/etc/edgegw/edgegw.toml")
ROOT = 0


def default_path(environ: Mapping[str, str], euid: int, *, system: Path = SYSTEM_FILE) -> Path:
    """The configuration file when no flag names one: $EDGEGW_CONFIG, else the system's, else the user's own."""
    if named := environ.get("EDGEGW_CONFIG"):
        return Path(named)
    # os.path.exists: Path.exists raises when a directory on the way may not be entered.
    if euid == ROOT or os.path.exists(system):
        return system
    home = _xdg(environ, "XDG_CONFIG_HOME", ".config", euid)
    return home / "edgegw" / "edgegw.toml" if home else system


def defaults(file: Path, environ: Mapping[str, str], euid: int) -> dict[str, str]:
    """What [gateway] holds when `file` does not say. state_dir is absent where nothing tells where it could be.

    The system's file means the system's directories, whoever reads it: so `status` asks the gateway that systemd runs.
    """
    system = euid == ROOT or file == SYSTEM_FILE
    state = _state_dir(environ, euid, system)
    found = {"id": _safe(os.uname().nodename), "runtime_dir": str(_runtime_dir(environ, euid, system))}
    return {**found, "state_dir": str(state)} if state else found


def _runtime_dir(environ: Mapping[str, str], euid: int, system: bool) -> Path:
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.partition(":")[0])  # systemd joins several with colons; the unit's first is ours
    if system:
        return Path("/run/edgegw")
    session = environ.get("XDG_RUNTIME_DIR", "")
    return Path(session, "edgegw") if session.startswith("/") else Path(f"/tmp/edgegw-{euid}")  # noqa: S108 - the contract's path


def _state_dir(environ: Mapping[str, str], euid: int, system: bool) -> Path | None:
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    if system:
        return Path("/var/lib/edgegw")
    home = _xdg(environ, "XDG_STATE_HOME", ".local/state", euid)
    return home / "edgegw" if home else None


def _xdg(environ: Mapping[str, str], variable: str, below_home: str, euid: int) -> Path | None:
    given = environ.get(variable, "")
    if given.startswith("/"):  # the XDG specification: a relative one is to be ignored
        return Path(given)
    home = environ.get("HOME") or _home(euid)
    return Path(home, below_home) if home.startswith("/") else None


def _home(euid: int) -> str:
    try:
        return pwd.getpwuid(euid).pw_dir
    except KeyError:  # a container's made-up user
        return ""


def _safe(host: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", host.lower()).strip("-")[:64] or "gateway"
