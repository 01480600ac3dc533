"""What `edgegw drill --json` prints, to the last key: a program may count on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """Something that was done, or expected."""

    kind: str
    text: str
    ok: bool = True
    after_s: float | None = None
    within_s: float | None = None
    found: str = ""


class Played(msgspec.Struct, forbid_unknown_fields=True):
    """One scenario."""

    name: str
    title: str
    ok: bool
    steps: list[Step]
    left_out: str = ""


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """What the history checker says of it."""

    place: str
    ok: bool
    found: int
    repeated: int
    declared: Mapping[str, int]
    findings: list[str]


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """All of it."""

    ok: bool
    sentence: str
    scenarios: list[Played]
    ledger: Mapping[str, Any]
    journals: list[Place]
    kept: str | None
