"""`edgegw try`: one sensor, no daemon, no file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from edgegw import driver
from edgegw.driver import Driver, DriverError, Options
from edgegw.errors import DeviceError
from edgegw.reading import Sample


class Wish(msgspec.Struct, frozen=True):
    """How, and how long."""

    json: bool
    count: int | None
    seconds: float | None


def run(name: str, options: Sequence[str], wish: Wish) -> None:
    """Print samples until Ctrl-C, then the measured rate. Raises DriverError or DeviceError."""
    found = driver.find(name)
    bound = driver.bind(found, _given(found, options))
    begun = time.monotonic()
    shown = 0
    try:
        for sample in samples(found, bound, wish.seconds):
            begun = begun if shown else time.monotonic()  # a virtual device takes a while to start
            sys.stdout.write(_line(sample, wish.json) + "\n")
            sys.stdout.flush()
            shown += 1
            if shown == wish.count:
                break
    except KeyboardInterrupt:
        pass
    took_s = time.monotonic() - begun
    rate = f": {(shown - 1) / took_s:.1f} Hz" if shown > 1 else ""
    sys.stderr.write(f"{shown} sample{'' if shown == 1 else 's'} in {took_s:.1f} s{rate}\n")


def samples(found: Driver, options: Options, seconds: float | None) -> Iterator[Sample]:
    """What the device gives within `seconds`. Raises DeviceError, also for what the operating system says of the device."""
    until = time.monotonic() + seconds if seconds is not None else None
    try:
        with driver.plugged(found, options) as real, contextlib.closing(found.read(real)) as reading:
            for sample in reading:
                if until is not None and time.monotonic() >= until:
                    return
                if sample is not None:
                    yield sample
    except OSError as error:
        raise DeviceError(str(error)) from error


def _given(found: Driver, options: Sequence[str]) -> dict[str, str]:
    given = dict(_pair(option) for option in options)
    needed = [field.name for field in msgspec.structs.fields(found.options) if field.required and field.name not in given]
    if needed and set(given) <= set(found.options.__struct_fields__):
        hint = f"; `edgegw try {found.name} {needed[0]}=virtual` reads a virtual device" if found.simulator else ""
        raise DriverError(f"{found.name} needs {' '.join(f'{name}=…' for name in needed)}{hint}")
    return given


def _pair(option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not equals:
        raise DriverError(f"{option!r} is not KEY=VALUE, as in port=/dev/ttyUSB0")
    return key, value


def _line(sample: Sample, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode({"quality": sample.quality, "values": sample.values}).decode()
    values: Mapping[str, object] = sample.values
    shown = "  ".join(
        f"{name}={'-' if value is None else f'{value:.6g}' if isinstance(value, float) else value}" for name, value in values.items()
    )
    return f"{shown}  [{sample.quality}]"
