"""The files of a configuration as one: merged, and with every path absolute, so that it means the same wherever it lies."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgegw.config.layers import Layers, gather
from edgegw.config.lines import KeyPath
from edgegw.config.settings import (
    FindFaceCameraKeys,
    FindFaceKeys,
    GatewaySettings,
    MySQLKeys,
    RabbitMQKeys,
    Settings,
    SQLiteKeys,
)
from edgegw.config.tomltext import text_of

_SHAPES: Mapping[KeyPath, type[msgspec.Struct]] = {
    ("gateway",): GatewaySettings,
    ("sinks", "rabbitmq"): RabbitMQKeys,
    ("sinks", "mysql"): MySQLKeys,
    ("sinks", "sqlite"): SQLiteKeys,
    ("sinks", "findface"): FindFaceKeys,
}


def merged_text(file: Path, settings: Settings) -> str:
    """`file` and its drop-ins as one TOML text that gives `settings` again, but for what comes from the environment.

    Raises ConfigError or OSError where they cannot be read any more. Passwords are in it only where the files have them.
    """
    layers = gather(file, {}, {})
    for section, shape in _shapes(layers, settings).items():
        _absolute(layers, section, shape)
    # These depend on who starts it from which file, so they are written down.
    gateway = settings.gateway
    given = {"id": gateway.id, "runtime_dir": str(gateway.runtime_dir), "state_dir": str(gateway.state_dir)}
    tree = {**layers.merged.values, "gateway": {**layers.merged.values.get("gateway", {}), **given}}
    return text_of(tree)


def _shapes(layers: Layers, settings: Settings) -> dict[KeyPath, type[msgspec.Struct]]:
    cameras = layers.merged.values.get("sinks", {}).get("findface", {}).get("cameras", {})
    return {
        **_SHAPES,
        **{("sinks", "findface", "cameras", name): FindFaceCameraKeys for name in cameras},
        **{("sensors", sensor.name): type(sensor.options) for sensor in settings.sensors},
    }


def _absolute(layers: Layers, section: KeyPath, shape: type[msgspec.Struct]) -> None:
    table: Any = layers.merged.values
    for part in section:
        table = table.get(part, {})
    hints = typing.get_type_hints(shape)
    for field in msgspec.structs.fields(shape):
        key, kind = field.encode_name, hints[field.name]
        if key in table and (kind is Path or Path in typing.get_args(kind)):
            folder = layers.merged.places[(*section, key)].source.folder
            table[key] = str((folder / table[key]).absolute())
