"""A tree of keys as TOML text, which the standard library reads but does not write."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text_of(tree: Mapping[str, Any]) -> str:
    """What tomllib reads as `tree` again; TypeError for a value that TOML does not know."""
    return "\n".join(_lines(tree, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    plain = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in tables]
    if at and (plain or not tables):
        yield f"\n[{'.'.join(map(_key, at))}]"
    yield from plain
    for key, value in tables.items():
        yield from _lines(value, (*at, key))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case int() | float():
            return repr(value)
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return f"{{{', '.join(f'{_key(key)} = {_value(of)}' for key, of in value.items())}}}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, too; but TOML wants DEL escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
