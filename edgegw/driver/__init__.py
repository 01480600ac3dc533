"""What a sensor module must contain, and how it is found by name and bound to its options.

A driver is a module with three names:

    Options   frozen msgspec.Struct; its fields are the sensor's configuration keys and their documentation
    FIELDS    kind → field → float | int | str: what is measured, the unit ending the name, for ever
    read      read(options) is a generator: entering acquires the device, leaving releases it

and some that are optional:

    SIMULATOR    name of a module whose plug(options) is a context manager that yields options of a virtual device
    reset        reset(options) is a generator, too: brings the device back to its senses, by its own reset or its power
    calibrate    calibrate(options, part) is a generator: yields sentences for the person beside it, returns a Calibration
    Calibration  frozen msgspec.Struct; Options then has a field `calibration: Calibration | None = None`
    PARTS        what calibrate can be asked for, the usual one first: name → description
    preview      preview(options, clear) is a generator, of what read yields and of Shown: what can be looked at, before its sample

A generator yields None at least once a second while it has nothing to say: that is the heartbeat. read and reset may be async.
What would tell people from one another is hidden in a preview, unless it is asked for as `clear`.
edgegw.testing.drivers has the contract suite that every driver should pass.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import inspect
import pkgutil
from collections.abc import Callable, Generator, Iterator, Mapping
from types import ModuleType
from typing import Any

import msgspec

from edgegw.driver.drain import drained
from edgegw.errors import EdgegwError, Exit
from edgegw.reading import Sample

FieldTypes = Mapping[str, type[float] | type[int] | type[str]]
Options = Any
Read = Callable[[Options], Generator[Sample | None, None, None]]
Reset = Callable[[Options], Generator[None, None, None]]
Calibrate = Callable[[Options, str], Generator[str | None, None, msgspec.Struct]]

Preview = Callable[[Options, bool], Generator["Sample | Shown | None", None, None]]

ENTRY_POINTS = "edgegw.drivers"
VIRTUAL = "virtual"  # an option whose value is this, or starts with this and "?", asks for a virtual device
NO_DRIVERS = {VIRTUAL, "buses", "finding"}  # packages in workers/ that drivers and commands share
_TYPE_NAMES = {float: "float", int: "int", str: "text"}


class DriverError(EdgegwError):
    """No such driver, or a module that is not one."""

    exit_code = Exit.CONFIG


class Found(msgspec.Struct, frozen=True):
    """Something that hangs on this machine, as `edgegw discover` shows it; each module of workers/finding yields such."""

    bus: str  # serial, i2c, ble, camera
    where: str  # the name that stays: /dev/serial/by-id/…, "bus 1, address 0x68", AA:BB:CC:DD:EE:FF
    what: str  # vendor and model, what identifies itself there, the advertised name; "" where nothing is known
    detail: str = ""  # what else helps to tell it from its neighbours: /dev/ttyUSB0, RSSI and services
    driver: str = ""  # the driver that would read it, where that can be told or guessed
    options: Mapping[str, str | int] = {}  # and what to write in its section


class Shown(msgspec.Struct, frozen=True):
    """A moment that can be looked at. It is drawn only when somebody wants it, for that costs more than to measure it."""

    sought: int  # how many sorts of things are looked for
    found: int  # and how many of these are in it
    drawn: Callable[[str], tuple[bytes, str]]  # by media type, as image/jpeg: the picture as a file, and in words what it shows


class Driver(msgspec.Struct, frozen=True):
    """A sensor module, looked at from outside."""

    name: str
    options: type[msgspec.Struct]
    fields: Mapping[str, FieldTypes]
    read: Read
    simulator: str = ""
    reset: Reset | None = None
    calibrate: Calibrate | None = None
    calibration: type[msgspec.Struct] | None = None
    parts: Mapping[str, str] = {}
    preview: Preview | None = None

    def field_names(self) -> dict[str, dict[str, str]]:
        """FIELDS with its types spelled as words, as a Run carries them."""
        return {kind: {name: _TYPE_NAMES[of] for name, of in fields.items()} for kind, fields in self.fields.items()}


def available() -> list[str]:
    """Names of the drivers that come with edgegw."""
    return sorted(m.name for m in pkgutil.iter_modules(importlib.import_module("workers").__path__) if m.name not in NO_DRIVERS)


def find(name: str) -> Driver:
    """The driver called `name`: a module of workers/, or an entry point of another package. Raises DriverError."""
    module = _module(name)
    missing = [part for part in ("Options", "FIELDS", "read") if not hasattr(module, part)]
    if missing:
        raise DriverError(f"{module.__name__} is not a driver: it lacks {', '.join(missing)}")
    if not (isinstance(module.Options, type) and issubclass(module.Options, msgspec.Struct)):
        raise DriverError(f"{module.__name__} is not a driver: its Options is not a msgspec.Struct")
    if not all(of in _TYPE_NAMES for fields in module.FIELDS.values() for of in fields.values()):
        raise DriverError(f"{module.__name__} is not a driver: the types in its FIELDS must be float, int or str")
    return Driver(
        name=name,
        options=module.Options,
        fields=module.FIELDS,
        read=_synchronous(module.read),
        simulator=getattr(module, "SIMULATOR", ""),
        reset=_synchronous(module.reset) if hasattr(module, "reset") else None,
        calibrate=getattr(module, "calibrate", None),
        calibration=getattr(module, "Calibration", None),
        parts=getattr(module, "PARTS", {}),
        preview=getattr(module, "preview", None),
    )


def _synchronous(generate: Callable[..., Any]) -> Callable[..., Any]:
    return drained(generate) if inspect.isasyncgenfunction(generate) else generate


def bind(driver: Driver, values: Mapping[str, object]) -> Options:
    """Options of `driver` from key=value pairs; text is read as the type that the option has. Raises DriverError naming the first fault."""
    unknown = sorted(set(values) - set(driver.options.__struct_fields__))
    if unknown:
        near = difflib.get_close_matches(unknown[0], driver.options.__struct_fields__, n=1)
        known = ", ".join(driver.options.__struct_fields__)
        raise DriverError(f"{driver.name} has no option {unknown[0]!r} ({f'did you mean {near[0]}?' if near else f'it has {known}'})")
    try:
        return msgspec.convert(dict(values), driver.options, strict=False)
    except msgspec.ValidationError as error:
        raise DriverError(f"{driver.name}: {error}") from error


@contextlib.contextmanager
def plugged(driver: Driver, options: Options) -> Iterator[Options]:
    """`options` as they are, or, where one of them says virtual, those of a virtual device that lives as long as the block."""
    asked = [value for value in msgspec.structs.asdict(options).values() if isinstance(value, str) and value.partition("?")[0] == VIRTUAL]
    if not asked:
        yield options
        return
    if not driver.simulator:
        raise DriverError(f"{driver.name} has no virtual device")
    with importlib.import_module(driver.simulator).plug(options) as real:
        yield real


def _module(name: str) -> ModuleType:
    if not name.isidentifier():
        raise DriverError(f"{name!r} is not a driver's name")
    try:
        if name in available():
            return importlib.import_module(f"workers.{name}")
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
            module = point.load()
            if isinstance(module, ModuleType):
                return module
            raise DriverError(f"entry point {name} of {ENTRY_POINTS} is not a module")
    except (ImportError, AttributeError) as error:
        raise DriverError(f"driver {name} cannot be loaded: {error}") from error
    near = difflib.get_close_matches(name, available(), n=1)
    raise DriverError(f"there is no driver {name!r} ({f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(available())})")
