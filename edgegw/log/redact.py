"""Makes what was logged plain, bounded and free of secrets, before any sink sees it."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Collection, Mapping, Set
from pathlib import PurePath
from typing import Any

MASK = "***"
SHORT = 4  # characters
MAX_TEXT = 16_384  # characters of one string
MAX_ITEMS = 100  # of one list or mapping
MAX_DEPTH = 4
MAX_BYTES = 64  # what is longer may be a picture, and helps nobody as text

# scheme://user:password@host. A raw "/" or "@" in the password is wrong, but that is when the URL ends up in an error
# message; only "host:8080/…@…" is let through, where the digits are a port.
_USERINFO = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/?#:@\"']*):(?!\d+[/?#])[^\s\"'<>]*@")
_BACKSLASHES = r"\\{1,64}"
# As the whole of a text, in quotes (which may be quoted themselves), or behind an equals sign.
_AS_VALUE = r"""(?:\A{0}\Z|(?<=["']){0}(?=\\*["'])|(?<==){0}(?=[\s,;&)\]}}]|\Z))"""
_SECRET_NAME = re.compile(r"(?:password|passwd|passphrase|secret|token)$", re.IGNORECASE)


class Redactor:
    """Replaces secrets in text by ***, however they are quoted there, and makes any value plain.

    One of fewer than SHORT characters guards nothing, and would garble every line that has them in another sense: it is replaced
    only where it stands as a value (in quotes, behind =, or as the whole of a text), and never as a number.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        """`secrets`: values that must never be written, asked anew for each text, so that a rotated password is known at once."""
        self._secrets = secrets
        self._learn(())

    def text(self, text: str) -> str:
        """`text` without secrets and URL passwords, as valid Unicode; of more than MAX_TEXT characters only both ends."""
        known = tuple(self._secrets)
        if known != self._known:
            self._learn(known)
        if self._secret is not None:
            text = self._secret.sub(MASK, text)
        if "://" in text:
            text = _USERINFO.sub(rf"\1:{MASK}@", text)
        if len(text) > MAX_TEXT:
            text = f"{text[: MAX_TEXT // 2]} … ({len(text) - MAX_TEXT} characters cut) … {text[-MAX_TEXT // 2 :]}"
        return text if text.isascii() else text.encode(errors="backslashreplace").decode()  # file names may hold surrogates

    def _learn(self, known: tuple[str, ...]) -> None:
        self._known = known
        self._numbers = frozenset(secret for secret in known if len(secret) >= SHORT)
        patterns = [_pattern_of(secret) for secret in sorted({*known} - {""}, key=len, reverse=True)]
        self._secret = re.compile("|".join(patterns)) if patterns else None

    def field(self, name: str, value: object, depth: int = 0) -> Any:
        """The value of a named field: as plain(), but *** whatever it is when the name says that it is a secret."""
        return MASK if value and _SECRET_NAME.search(name) else self.plain(value, depth)

    def plain(self, value: object, depth: int = 0) -> Any:
        """`value` as JSON knows it: text, numbers, lists and mappings as they are, anything else by its repr. Never raises."""
        match value:
            case None | bool():
                return value
            case str():
                return self.text(str(value.value) if isinstance(value, enum.Enum) else value)
            case int() | float():
                return self._number(value)
            case bytes() | bytearray() if len(value) > MAX_BYTES:
                return f"{len(value)} bytes"
            case PurePath():
                return self.text(str(value))
            case Mapping() | list() | tuple() | Set() if depth < MAX_DEPTH:
                return self._container(value, depth + 1)
        return self.text(_repr(value))

    def _number(self, value: float) -> Any:
        if str(value) in self._numbers:
            return MASK
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**64 else str(value)
        return float(value) if math.isfinite(value) else str(value)

    def _container(self, value: Any, depth: int) -> Any:
        try:
            items = list(value.items() if isinstance(value, Mapping) else value)
        except Exception:  # noqa: BLE001 - its owner changes it meanwhile, or foreign code is broken; the log goes on
            return self.text(_repr(value))
        shown, more = items[:MAX_ITEMS], len(items) - MAX_ITEMS
        if isinstance(value, Mapping):
            rest = {"…": f"{more} more"} if more > 0 else {}
            return {self.text(str(name)): self.field(str(name), item, depth) for name, item in shown} | rest
        return [self.plain(item, depth) for item in shown] + ([f"… {more} more"] if more > 0 else [])


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a broken __repr__ must not silence the line
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def _pattern_of(secret: str) -> str:
    pattern = _in_any_quoting(secret)
    return pattern if len(secret) >= SHORT else _AS_VALUE.format(pattern)


def _in_any_quoting(secret: str) -> str:
    """A pattern for `secret` raw, or quoted, even several times over, as URLs, JSON and Python do: encoders differ in what they quote."""
    chars = re.sub(r"\\+", r"\\", secret)  # a run of backslashes is matched as one of any length
    return "".join(f"(?:{'|'.join(map(_pattern, sorted(_quotings(char), key=len, reverse=True)))})" for char in chars)


def _pattern(quoted: str) -> str:
    return "".join(_BACKSLASHES if char == "\\" else re.escape(char) for char in quoted)


def _quotings(char: str) -> set[str]:
    percent = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
    forms = {char, percent, percent.lower()}
    if char == "\\":
        return forms
    if not char.isalnum():
        forms.add(f"\\{char}")
    return forms | {json.dumps(char)[1:-1], ascii(char)[1:-1], repr(char.encode())[2:-1]} | ({"+"} if char == " " else set())
