"""The configuration as commands need it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgegw import config, control, driver
from edgegw.config import SensorSettings, Settings
from edgegw.errors import EdgegwError, Exit, NotRunning
from edgegw.paths import Paths


class NoSuchSensor(EdgegwError):
    """The configuration has no sensor of that name."""

    exit_code = Exit.NO_SUCH_SENSOR


def load(file: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The checked configuration. Raises ConfigError."""
    return config.load(file, environ=environ, options_of=lambda name: driver.find(name).options, fields_of=_fields)


def _fields(name: str) -> list[str]:
    return [field for fields in driver.find(name).fields.values() for field in fields]


def sensor(settings: Settings, name: str) -> SensorSettings:
    """The sensor called `name`. Raises NoSuchSensor."""
    found = settings.sensor(name)
    if found is None:
        raise NoSuchSensor(f"there is no sensor {name!r} (there are {', '.join(each.name for each in settings.sensors)})")
    return found


def must_exist(where: Paths, patterns: Sequence[str]) -> None:
    """Each of the tap's patterns fits a sensor of the gateway that runs at `where`. Raises NoSuchSensor, or NotRunning."""
    try:
        children = control.ask(where.control, "status")["children"]
    except NotRunning:
        if where.tap.exists():  # a bridge by hand
            return
        raise NotRunning("edgegw is not running; start it with `edgegw start`") from None
    names = [name for child in children for name in child["sensors"]]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern.rpartition("/")[2]):
            raise NoSuchSensor(f"there is no sensor {pattern!r} (there are {', '.join(names)})")


def paths(file: Path | None) -> Paths:
    """Where the gateway of this configuration lives, even when the rest of the file is wrong: one must be able to stop it."""
    return config.locate(file)
