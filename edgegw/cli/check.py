"""`edgegw check`: is the configuration right, and, with --probe, does everything answer?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from edgegw import driver
from edgegw.cli.settings import load
from edgegw.cli.trial import samples
from edgegw.config import SensorSettings, Settings
from edgegw.errors import ConfigError, DeviceError, EdgegwError, Exit
from edgegw.reading import Quality
from edgegw.sinks import Sink

PROBE_s = 30.0  # for a first sample: a Bluetooth peripheral has to be heard and connected to first
ENOUGH_bad = 20


class Finding(msgspec.Struct, frozen=True):
    """What one probe found; why is "" when it is well."""

    what: str
    why: str


def run(file: Path | None, *, probe: bool, as_json: bool) -> int:
    """Print the findings; returns the exit code. Raises ConfigError."""
    try:
        settings = load(file)
    except ConfigError as error:
        if not as_json:
            raise
        sys.stdout.write(msgspec.json.encode({"problems": error.problems}).decode() + "\n")
        return Exit.CONFIG
    findings: list[Finding] = []
    if not as_json:
        names = ", ".join(sensor.name for sensor in settings.sensors) or "none"
        sys.stdout.write(f"{_where(settings)}: no problems; sensors: {names}; sinks: {', '.join(_sinks(settings))}\n")
    for finding in _probes(settings) if probe else ():
        findings.append(finding)
        if not as_json:
            sys.stdout.write(f"{finding.what}: {finding.why or 'ok'}\n")
            sys.stdout.flush()
    if as_json:
        sys.stdout.write(msgspec.json.encode({"problems": [], "findings": findings}).decode() + "\n")
    return Exit.UNAVAILABLE if any(finding.why for finding in findings) else Exit.DONE


def _where(settings: Settings) -> str:
    return str(settings.sources[0]) if settings.sources else "the defaults"


def _sinks(settings: Settings) -> list[str]:
    return [name for name in ("rabbitmq", "mysql", "sqlite", "findface") if getattr(settings.sinks, name) is not None]


def _probes(settings: Settings) -> Iterator[Finding]:
    from edgegw.sinks.configured import configured

    for sensor in settings.sensors:
        yield Finding(f"sensor {sensor.name}", _why(lambda each=sensor: _first(each)))  # type: ignore[misc] # mypy cannot see the default's type
    for sink in configured(settings):
        yield Finding(f"sink {sink.name}", _why(lambda each=sink: _open(each, settings)))  # type: ignore[misc] # as above


def _why(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except (EdgegwError, OSError) as error:
        return str(error)
    return ""


def _first(sensor: SensorSettings) -> None:
    for number, sample in enumerate(samples(driver.find(sensor.driver), sensor.options, PROBE_s), 1):
        if sample.quality is not Quality.BAD:
            return
        if number == ENOUGH_bad:
            raise DeviceError("it answers, but what it measures is bad: `edgegw try` shows its readings")
    raise TimeoutError(f"it opens, but gives no sample within {PROBE_s:.0f} s")


def _open(sink: Sink, settings: Settings) -> None:
    store = settings.sinks.sqlite
    if sink.name == "sqlite" and store is not None and not store.path.parent.exists():
        _can_be_made(store.path.parent)  # by `start`; a probe makes no directories
        return
    try:
        sink.open()
    finally:
        sink.close()


def _can_be_made(directory: Path) -> None:
    there = next(parent for parent in directory.parents if parent.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise OSError(f"the directory {directory} is not there, and cannot be made in {there}: set state_dir, or act as another user")
