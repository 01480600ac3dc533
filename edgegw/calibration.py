"""What `edgegw calibrate` found out about a sensor: one small file each in the state directory, and how it reaches the driver."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edgegw.driver import Driver, Options
from edgegw.errors import DeviceError
from edgegw.paths import sync_names


def file_of(directory: Path, sensor: str) -> Path:
    """Where the calibration of `sensor` lies."""
    return directory / f"{sensor}.json"


def applied(driver: Driver, options: Options, directory: Path, sensor: str) -> Options:
    """`options` with the calibration of `sensor`, where there is one and the configuration does not give another. Raises DeviceError."""
    if driver.calibration is None or options.calibration is not None:
        return options
    file = file_of(directory, sensor)
    try:
        found = msgspec.json.decode(file.read_bytes(), type=driver.calibration)
    except FileNotFoundError:
        return options
    except (OSError, msgspec.DecodeError) as error:
        raise DeviceError(f"the calibration {file} cannot be read ({error}): calibrate {sensor} again, or remove the file") from error
    return msgspec.structs.replace(options, calibration=found)


def keep(directory: Path, sensor: str, calibration: msgspec.Struct) -> Path:
    """Store it, durably and whole; returns the file. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = file_of(directory, sensor)
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(calibration)))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    sync_names(directory)
    return file
