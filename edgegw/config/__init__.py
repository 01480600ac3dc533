"""TOML → frozen Settings: every default, every check, unknown keys refused, all errors at once with file and line.

Strict at the gate, so that nobody inside needs to check again. A file is read, its drop-ins (conf.d/*.toml beside it) are laid
over it, then the environment, then the flags; what comes out is either Settings or one ConfigError with every problem in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.config.bind import bind, keys_of, refuse_unknown
from edgegw.config.layers import Layer, Layers, Source, gather, lay_environment
from edgegw.config.places import default_path, defaults
from edgegw.config.report import Report, dotted, meant
from edgegw.config.secret import Secret
from edgegw.config.sensors import FieldsOf, OptionsOf, check_windows, sensors
from edgegw.config.services import sinks
from edgegw.config.settings import (
    FindFaceCamera,
    FindFaceSettings,
    GatewaySettings,
    MySQLSettings,
    RabbitMQSettings,
    SensorPolicy,
    SensorSettings,
    Settings,
    SinksSettings,
    SpoolSettings,
    SQLiteSettings,
)
from edgegw.errors import ConfigError
from edgegw.paths import Paths

__all__ = [
    "FindFaceCamera",
    "FindFaceSettings",
    "GatewaySettings",
    "MySQLSettings",
    "OptionsOf",
    "RabbitMQSettings",
    "SQLiteSettings",
    "Secret",
    "SensorPolicy",
    "SensorSettings",
    "Settings",
    "SinksSettings",
    "SpoolSettings",
    "default_path",
    "load",
    "locate",
]

SECTIONS = ("gateway", "spool", "sensors", "sinks")
KNOWN = "there are [gateway], [spool], [sensors.NAME], [sinks.rabbitmq], [sinks.mysql], [sinks.sqlite] and [sinks.findface]"
SOCKET_PATH_BYTES = 107  # sockaddr_un holds 108 with the closing NUL


def load(
    path: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    options_of: OptionsOf,
    fields_of: FieldsOf | None = None,
) -> Settings:
    """The configuration at `path` (None: at default_path), with everything laid over it.

    `overrides` are flags by dotted key ("gateway.log_level"); None values are flags not given. `options_of` gives a driver's
    Options by the driver's name, or raises EdgegwError; `fields_of` likewise the names of what it measures. Raises ConfigError,
    with every problem there is.
    """
    file = path or default_path(environ, os.geteuid())
    report = Report(gather(file, environ, overrides or {}))
    _refuse_unknown_sections(report)
    gateway = _gateway(report, environ, file)
    spool = report.section(("spool",))
    refuse_unknown(report, ("spool",), spool, keys_of(SpoolSettings))
    spool_settings = bind(report, ("spool",), spool, SpoolSettings)
    paths = Paths(gateway.runtime_dir, gateway.state_dir) if gateway else Paths(Path(), Path())
    found = sensors(report, options_of, fields_of)
    check_windows(report, found, spool_settings.commit_s if spool_settings else 0.0)
    connected = sinks(report, environ, paths.store, found)
    report.close()
    if gateway is None or spool_settings is None:  # pragma: no cover - close() has raised
        raise AssertionError("a section failed without a problem")
    sources = tuple(source.file for source in report.sources if source.file)
    return Settings(gateway=gateway, spool=spool_settings, sensors=found, sinks=connected, paths=paths, sources=sources)


def locate(path: Path | None, *, environ: Mapping[str, str] = os.environ) -> Paths:
    """Where the gateway of this configuration lives, even when other keys are wrong: one must be able to stop it.

    Raises ConfigError when a file that was asked for by name cannot be read or parsed (a guess might reach another gateway),
    unless $EDGEGW_RUNTIME_DIR says where to look.
    """
    file = path or default_path(environ, os.geteuid())
    try:
        layers = gather(file, environ, {})
    except ConfigError:
        if (path or environ.get("EDGEGW_CONFIG")) and not environ.get("EDGEGW_RUNTIME_DIR"):
            raise
        layers = Layers(Layer({}, {}), [Source(str(file), file.parent, private=False)])
        lay_environment(layers, environ)
    report = Report(layers)
    gateway = _gateway(report, environ, file)
    if gateway is None:
        raise report.error()
    return Paths(gateway.runtime_dir, gateway.state_dir)


def _gateway(report: Report, environ: Mapping[str, str], file: Path) -> GatewaySettings | None:
    given = report.section(("gateway",))
    refuse_unknown(report, ("gateway",), given, keys_of(GatewaySettings))
    bound = bind(report, ("gateway",), given, GatewaySettings, defaults(file, environ, os.geteuid()))
    if bound:
        paths = Paths(bound.runtime_dir, bound.state_dir)
        longest = max((paths.control, paths.notify, paths.bus, paths.tap), key=_length)
        if _length(longest) > SOCKET_PATH_BYTES:
            what = f"{longest} is {_length(longest)} bytes long, and the kernel takes {SOCKET_PATH_BYTES} for a socket"
            report.add(("gateway", "runtime_dir"), what, 'a shorter one, as in runtime_dir = "/run/edgegw"')
    return bound


def _length(path: Path) -> int:
    return len(os.fsencode(path))


def _refuse_unknown_sections(report: Report) -> None:
    for key, value in report.values.items():
        if key in SECTIONS:
            continue
        if not isinstance(value, dict):
            belongs = f"it belongs under [gateway]: {key} = …" if key in keys_of(GatewaySettings) else "a key stands below its [section]"
            report.add((key,), "stands outside of every section", belongs)
            continue
        near = meant(key, SECTIONS)
        only = next((child for child, table in value.items() if isinstance(table, dict)), None) if near else None
        report.add((key,), "is not a section", f"did you mean [{dotted((near, only) if only else (near,))}]?" if near else KNOWN)
