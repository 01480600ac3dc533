"""The configuration as commands need it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw import config, driver
from edgegw.config import SensorSettings, Settings
from edgegw.errors import EdgegwError, Exit
from edgegw.paths import Paths


class NoSuchSensor(EdgegwError):
    """The configuration has no sensor of that name."""

    exit_code = Exit.NO_SUCH_SENSOR


def load(file: Path | None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The checked configuration. Raises ConfigError."""
    return config.load(file, overrides=flags, options_of=lambda name: driver.find(name).options)


def sensor(settings: Settings, name: str) -> SensorSettings:
    """The sensor called `name`. Raises NoSuchSensor."""
    found = settings.sensor(name)
    if found is None:
        raise NoSuchSensor(f"there is no sensor {name!r} (there are {', '.join(each.name for each in settings.sensors)})")
    return found


def paths(file: Path | None) -> Paths:
    """Where the gateway of this configuration lives, even when the rest of the file is wrong: one must be able to stop it."""
    return config.locate(file)
