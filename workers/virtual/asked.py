"""What somebody asks of a virtual device: the pairs behind the question mark in "virtual?noise=0.01&seed=3"."""

from __future__ import annotations

import difflib
import inspect
import urllib.parse
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from edgegw.driver import DriverError

T = TypeVar("T")


def values_of(query: str, example: str) -> dict[str, str]:
    """Of the pairs in `query`, which looks like `example`. Raises DriverError for what is no pair."""
    try:
        return dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise DriverError(f'"{query}": after the ? come pairs as in "{example}"') from error


def behaviour_as(shape: type[T], device: str, values: Mapping[str, Any]) -> T:
    """A `shape` (a struct or a dataclass) from text. Raises DriverError, with a suggestion for a misspelt name."""
    known = list(inspect.signature(shape).parameters)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise DriverError(f"a virtual {device} has no {name!r} ({hint})")
    try:
        return msgspec.convert(dict(values), shape, strict=False)
    except msgspec.ValidationError as error:
        raise DriverError(f"virtual {device}: {error}") from error
