"""What was found, as sections to paste into a configuration: valid TOML, and `edgegw check` accepts what is not commented out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from edgegw import driver
from edgegw.driver import DriverError, Found

# Where a driver is named because of what lies between it and the sensor, not of the sensor itself.
GUESSES = {
    "serial": "a guess: an adapter does not say what hangs behind it",
    "ble": "a guess by its service, which others use, too",
}


def of(found: Sequence[Found]) -> str:
    """All of them, each with a comment that tells it from its neighbours; section names are unique."""
    taken: set[str] = set()
    return "\n".join("".join(f"{line}\n" for line in _section(each, taken)) for each in found)


def _section(found: Found, taken: set[str]) -> Iterator[str]:
    yield _comment(", ".join(filter(None, (found.where, found.what, found.detail))))
    if not found.options:
        yield _comment("no driver reads it")
        return
    why = _unusable(found)
    if why:
        yield _comment(why)
    elif found.bus in GUESSES:
        yield _comment(f"{GUESSES[found.bus]}; `edgegw try {found.driver} {_words(found.options)}` shows it")
    mark = "#" if why else ""
    yield f"{mark}[sensors.{_name(found.driver or found.bus, taken)}]"
    yield f"{mark}driver = {_value('driver', found.driver or 'DRIVER')}"
    for key, value in found.options.items():
        yield f"{mark}{key} = {_value(key, value)}"


def _unusable(found: Found) -> str:
    """Why the section cannot stand as it is; "" when it can."""
    if not found.driver:
        return f"which driver reads it is for you to say; there are {', '.join(driver.available())}"
    try:
        driver.bind(driver.find(found.driver), found.options)
    except DriverError as error:
        return f"to be completed: {error}"
    return ""


def _name(wish: str, taken: set[str]) -> str:
    """`wish`, or wish-2, wish-3…"""
    name, count = wish, 1
    while name in taken:
        count += 1
        name = f"{wish}-{count}"
    taken.add(name)
    return name


def printable(text: str) -> str:
    """One line without control characters: a peripheral's name is chosen by whoever owns it, and a terminal would obey it."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def _comment(text: str) -> str:
    return f"# {printable(text)}"


def _words(options: Mapping[str, str | int]) -> str:
    return " ".join(shlex.quote(f"{key}={_number(key, value) if isinstance(value, int) else value}") for key, value in options.items())


def _value(key: str, value: str | int) -> str:
    return _number(key, value) if isinstance(value, int) else f'"{"".join(map(_character, value))}"'


def _number(key: str, value: int) -> str:
    """Addresses in hexadecimal, as everybody writes them."""
    return f"{value:#04x}" if key == "address" else str(value)


def _character(each: str) -> str:
    if each in '"\\':
        return f"\\{each}"
    return each if each.isprintable() else f"\\U{ord(each):08x}"
