"""Binds one section to its struct: unknown keys, missing keys and wrong values are all noted, not just the first."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as shape
from msgspec.structs import FieldInfo

from edgegw.config.lines import KeyPath
from edgegw.config.report import Report, meant
from edgegw.config.words import bare, fault, kinds

S = TypeVar("S", bound=msgspec.Struct)


def keys_of(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys that a section of this shape may have."""
    return tuple(field.encode_name for field in msgspec.structs.fields(struct))


def bind(
    report: Report, path: KeyPath, table: Mapping[str, Any], struct: type[S], fallback: Mapping[str, Any] = MappingProxyType({})
) -> S | None:
    """`table` as a `struct`; keys that are not the struct's are left to refuse_unknown.

    A key with a problem gets its default (from `fallback`, else the struct's) as a stand-in, so that what depends on the others
    can still be checked. None where a key that has no default is missing or wrong.
    """
    before = report.count()
    values = {}
    for field in msgspec.structs.fields(struct):
        key = field.encode_name
        at = (*path, key)
        if key in table and _right(report, at, table[key], field.type):
            values[field.name] = _value(report, at, table[key], field.type)
        elif key in fallback:
            values[field.name] = _value(report, (), fallback[key], field.type)
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT and key not in table:
            report.add(at, "is missing", f"add {_example(field)}")
    return _whole(report, path, struct, values, before)


def refuse_unknown(report: Report, path: KeyPath, table: Mapping[str, Any], known: Collection[str]) -> None:
    """Note every key of `table` that is not in `known`, with the one that was probably meant."""
    for key in table:
        if key not in known:
            near = meant(key, known)
            report.add((*path, key), "is not a key of this section", f"did you mean {near}?" if near else f"it has {', '.join(known)}")


def _right(report: Report, path: KeyPath, value: object, wanted: object) -> bool:
    wrong = fault(value, wanted)
    if not wrong and _is_path(wanted) and str(value)[:1] in ("", "~"):
        wrong = "is not a path" if value else "is empty", "write the whole path; ~ stands for nobody's home here"
    if wrong:
        report.add(path, *wrong)
    return not wrong


def _value(report: Report, path: KeyPath, value: object, wanted: object) -> object:
    return report.folder(path) / str(value) if _is_path(wanted) else msgspec.convert(value, wanted)


def _is_path(wanted: object) -> bool:
    info, _ = bare(shape.type_info(wanted))
    return isinstance(info, shape.CustomType) and info.cls is Path


def _whole(report: Report, path: KeyPath, struct: type[S], values: Mapping[str, Any], before: int) -> S | None:
    try:
        return struct(**values)
    except (ValueError, TypeError) as error:  # a driver's __post_init__ sees what no single key shows
        if report.count() == before:
            report.add(path, str(error))
        return None


def _example(field: FieldInfo) -> str:
    info = shape.type_info(field.type)
    examples = (info.extra_json_schema or {}).get("examples", ()) if isinstance(info, shape.Metadata) else ()
    value = json.dumps(examples[0], ensure_ascii=False) if examples else '"…"' if kinds(bare(info)[0]) == (str,) else "…"
    return f"{field.encode_name} = {value}"
