"""The sections of the sensors: names, drivers, options and policy, and that no two of them want the same device."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from edgegw.config.bind import bind, keys_of, refuse_unknown
from edgegw.config.lines import KeyPath
from edgegw.config.passwords import refuse_exposed_url
from edgegw.config.report import Report, meant
from edgegw.config.settings import NAME, RESERVED, SensorPolicy, SensorSettings
from edgegw.errors import EdgegwError

OptionsOf = Callable[[str], type[msgspec.Struct]]
FieldsOf = Callable[[str], Collection[str]]

# Option names that together say which device a sensor is, whatever its driver: a serial port, a Bluetooth peripheral, an I2C
# address, a camera (only a node of this machine: a stream or a film may be read twice).
DEVICE_KEYS = (("port",), ("device",), ("bus", "address"), ("source",))
VIRTUAL = "virtual"  # every virtual device is a new one
_ADD = 'add one, as in [sensors.front] with driver = "tfluna" and port = "/dev/serial0"'


def sensors(report: Report, options_of: OptionsOf, fields_of: FieldsOf | None = None) -> tuple[SensorSettings, ...]:
    """[sensors.*] in file order; those of which nothing can be told are left out, and noted.

    `fields_of` gives the names that a driver measures, so that filters can be checked; without it any name will do.
    """
    table = report.section(("sensors",))
    bound = [_sensor(report, name, options_of) for name in table]
    misspelt = any(key != "sensors" and meant(key, ("sensors",)) for key in report.values)
    if not report.values.get("sensors") and not misspelt:
        report.add(("sensors",), "no sensor is configured", _ADD)
    found = tuple(sensor for sensor in bound if sensor)
    _refuse_shared_devices(report, found)
    for sensor in found:
        _check_process(report, sensor, tuple(table))
        _check_filters(report, sensor, fields_of(sensor.driver) if fields_of else None)
    return found


def check_windows(report: Report, found: tuple[SensorSettings, ...], commit_s: float) -> None:
    """Whether each sensor's memory holds what it reads between two commits, where its rate is known; twice that, for a slow disk."""
    for sensor in found:
        rate_hz = getattr(sensor.options, "rate_hz", None)
        if not isinstance(rate_hz, int | float) or sensor.window >= rate_hz * commit_s * 2:
            continue
        what = f"holds {sensor.window / rate_hz:.1f} s of its {rate_hz:g} readings a second, and commit_s in [spool] is {commit_s:g} s"
        hint = f"window = {math.ceil(rate_hz * commit_s * 2)} at least, or a smaller commit_s"
        report.add(("sensors", sensor.name, "window"), what, hint)


def _sensor(report: Report, name: str, options_of: OptionsOf) -> SensorSettings | None:
    path = ("sensors", name)
    if not isinstance(report.values["sensors"][name], dict):
        report.add(path, "expected a section for each sensor", "as in [sensors.front]")
        return None
    table = report.section(path)
    _check_name(report, path, name)
    policy = bind(report, path, table, SensorPolicy)
    options = _options(report, path, table, options_of)
    if policy is None or options is None:
        return None
    return SensorSettings(name=name, options=options, **msgspec.structs.asdict(policy))


def _check_name(report: Report, path: KeyPath, name: str) -> None:
    if name in RESERVED:
        report.add(path, f"{name} is a process of the gateway itself", "give the sensor another name")
    elif not NAME.fullmatch(name):
        safe = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:64]
        report.add(path, "a sensor's name is 1 to 64 of the characters a-z 0-9 _ -", f"as in [sensors.{safe or 'front'}]")


def _options(report: Report, path: KeyPath, table: dict[str, Any], options_of: OptionsOf) -> msgspec.Struct | None:
    """The driver's Options, bound; without a driver nobody knows which of the other keys are right."""
    driver = table.get("driver")
    if not isinstance(driver, str):  # noted with the policy
        refuse_unknown(report, path, {key: 0 for key in table if key != "driver" and meant(key, ("driver",))}, keys_of(SensorPolicy))
        return None
    try:
        shape = options_of(driver)
    except (EdgegwError, ImportError) as error:
        report.add((*path, "driver"), str(error))
        return None
    common, own = keys_of(SensorPolicy), keys_of(shape)
    if clash := sorted(set(common) & set(own)):
        what = f"{driver} has an option {clash[0]}, but every sensor has a key of that name"
        report.add((*path, "driver"), what, "rename it in the driver")
        return None
    refuse_unknown(report, path, table, (*own, *common))
    for key in own:
        refuse_exposed_url(report, (*path, key), table.get(key))
    return bind(report, path, table, shape)


def _check_process(report: Report, sensor: SensorSettings, sensors: tuple[str, ...]) -> None:
    path = ("sensors", sensor.name, "process")
    if sensor.process in RESERVED:
        report.add(path, f"{sensor.process} is a process of the gateway itself", "give the shared process another name")
    elif sensor.process in sensors:
        report.add(path, f"{sensor.process} is a sensor, and has a process of that name", 'another name, as in process = "slow"')


def _check_filters(report: Report, sensor: SensorSettings, fields: Collection[str] | None) -> None:
    for key in ("median", "plausible", "deadband"):
        for name in getattr(sensor, key):
            if fields is not None and name not in fields:
                near = meant(name, fields)
                hint = f"did you mean {near}?" if near else f"it measures {', '.join(fields)}"
                report.add(("sensors", sensor.name, key), f"{sensor.driver} does not measure {name}", hint)
    for name, (low, high) in sensor.plausible.items():
        if low > high:
            report.add(("sensors", sensor.name, "plausible"), f"{name}: no number is both above {low:g} and below {high:g}", "swap the two")


def _refuse_shared_devices(report: Report, found: tuple[SensorSettings, ...]) -> None:
    owners: dict[tuple[object, ...], str] = {}
    for sensor in found:
        for keys in DEVICE_KEYS:
            device = tuple(_canonical(key, getattr(sensor.options, key, None)) for key in keys)
            if None in device:
                continue
            owner = owners.setdefault((*keys, *device), sensor.name)
            if owner != sensor.name:
                what = f"sensors.{owner} reads the same device"
                report.add(("sensors", sensor.name, keys[0]), what, "a device has one reader: change one of the two")


def _canonical(key: str, value: object) -> object:
    """A device by one name: /dev/serial0 and the ttyAMA0 that it links to are the same, and bus 1 is /dev/i2c-1. None: no device at all."""
    if key == "bus" and str(value).isdecimal():
        return f"/dev/i2c-{value}"
    if not isinstance(value, str):
        return value
    if key == "source" and not value.startswith("/dev/"):
        return None
    if value.partition("?")[0] == VIRTUAL:
        return None
    return os.path.realpath(value) if value.startswith("/") else value.casefold()
