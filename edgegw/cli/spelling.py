"""An option as it is typed on a command line: KEY=VALUE is text, and what it stands for depends on what the option is."""

from __future__ import annotations

import tomllib

import msgspec
from msgspec import inspect as shape

from edgegw.config.words import bare, fault, kinds
from edgegw.driver import DriverError


def option(options: type[msgspec.Struct], key: str, text: str) -> object:
    """`text` as a value of that option, spelt as in a configuration (0x68, 100, true) but without quotes. Raises DriverError."""
    wanted = next((field.type for field in msgspec.structs.fields(options) if field.name == key), None)
    if wanted is None:
        return text  # whoever binds it knows what to say
    value = _value(text, kinds(bare(shape.type_info(wanted))[0]))
    if wrong := fault(value, wanted):
        what, hint = wrong
        if isinstance(value, str) and ", got " in what:  # the configuration's hint is about quotes, of which there are none here
            what, hint = f"{what.partition(', got ')[0]}, got {text!r}", ""
        raise DriverError(f"{key}: {what}{f' ({hint})' if hint else ''}")
    return value


def _value(text: str, allowed: tuple[type, ...]) -> object:
    if allowed == (str,):
        return text
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    fits = isinstance(value, allowed) and not isinstance(value, str)
    return value if fits or str not in allowed else text
