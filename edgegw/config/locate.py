"""Where a gateway lives, read from a file that may be wrong in every other respect: one must be able to stop it."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.config.places import default_path, defaults
from edgegw.paths import Paths

_KEYS = {"runtime_dir": "EDGEGW_RUNTIME_DIR", "state_dir": "EDGEGW_STATE_DIR"}


def locate(path: Path | None, *, environ: Mapping[str, str] = os.environ) -> Paths:
    """The paths of the gateway configured at `path` (None: at default_path), as load() would find them."""
    file = path or default_path(environ, os.geteuid())
    found: dict[str, str] = {"state_dir": "/var/lib/edgegw"} | defaults(file, environ, os.geteuid())
    for source in [file, *sorted((file.parent / "conf.d").glob("*.toml"))]:
        found |= {key: value for key, value in _gateway(source).items() if key in _KEYS and isinstance(value, str)}
    found |= {key: environ[name] for key, name in _KEYS.items() if environ.get(name)}
    return Paths(Path(found["runtime_dir"]), Path(found["state_dir"]))


def _gateway(source: Path) -> Mapping[str, Any]:
    with contextlib.suppress(OSError, ValueError):  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        gateway = tomllib.loads(source.read_text()).get("gateway", {})
        return gateway if isinstance(gateway, dict) else {}
    return {}
