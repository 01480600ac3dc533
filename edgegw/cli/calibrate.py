"""`edgegw calibrate`: measures what a sensor gets wrong, with a person beside it, and keeps the result in the state directory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec

from edgegw import calibration, control, driver
from edgegw.cli import settings as configured
from edgegw.driver import Driver, DriverError, Options
from edgegw.errors import DeviceError, EdgegwError, Exit, NotRunning


class Busy(EdgegwError):
    """The gateway reads the sensor; two readers would spoil each other's readings."""

    exit_code = Exit.ALREADY_RUNNING


def run(file: Path | None, name: str, part: str | None) -> None:
    """Calibrate sensor `name`; says what to do, and at the end where the result lies. Raises EdgegwError."""
    settings = configured.load(file)
    sensor = configured.sensor(settings, name)
    found = driver.find(sensor.driver)
    chosen = _part(found, part)
    _refuse_while_read(settings.paths.control, name)
    kept = calibration.applied(found, sensor.options, settings.paths.calibration, name)
    sys.stderr.write(f"{name}: {found.parts[chosen]}. Ctrl-C ends it and changes nothing.\n")
    try:
        with driver.plugged(found, kept) as real:
            result = _talk(found, real, chosen)
    except OSError as error:
        raise DeviceError(str(error)) from error
    where = calibration.keep(settings.paths.calibration, name, result)
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    sys.stderr.write(f"Kept in {where}; the gateway applies it from the next start of {name}.\n")
    if sensor.options.calibration is not None:
        sys.stderr.write(f"But the configuration has a calibration of its own for {name}, and that one wins.\n")


def _part(found: Driver, part: str | None) -> str:
    if found.calibrate is None:
        raise DriverError(f"a {found.name} has nothing to calibrate")
    if part is not None and part not in found.parts:
        choices = "; ".join(f"{name} ({what})" for name, what in found.parts.items())
        raise DriverError(f"a {found.name} has no part {part!r} to calibrate; it has {choices}")
    return part or next(iter(found.parts))


def _refuse_while_read(socket: Path, name: str) -> None:
    with contextlib.suppress(NotRunning):
        children = control.ask(socket, "status")["children"]
        if any(name in child["sensors"] for child in children):
            raise Busy(f"the gateway is reading {name}: `edgegw stop`, calibrate, `edgegw start`")


def _talk(found: Driver, options: Options, part: str) -> msgspec.Struct:
    assert found.calibrate is not None
    talk: Generator[str | None, None, Any] = found.calibrate(options, part)
    said: str | None = None
    with contextlib.closing(talk):
        while True:
            try:
                sentence = next(talk)
            except StopIteration as end:
                result: msgspec.Struct = end.value
                return result
            if sentence and sentence != said:
                said = sentence
                sys.stderr.write(f"  {sentence}\n")
                sys.stderr.flush()
