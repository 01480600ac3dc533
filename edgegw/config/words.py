"""Says in plain words what is wrong with one value, judged by the msgspec type that it should have."""

from __future__ import annotations

import datetime
import math
import typing
from pathlib import Path

import msgspec
from msgspec import inspect as shape

from edgegw.config.report import meant

_INT64 = range(-(1 << 63), 1 << 63)


def fault(value: object, wanted: object) -> tuple[str, str] | None:
    """(what, suggestion) for a `value` that is not of the type `wanted`; None when it is. Strings are never quoted back."""
    if unfit := _unfit(value):
        return unfit, ""
    if isinstance(value, dict) and typing.get_origin(wanted) is dict:  # msgspec would not say which of its values
        for key, one in value.items():
            if wrong := fault(one, typing.get_args(wanted)[1]):
                return f"{key}: {wrong[0]}", wrong[1]
    try:
        msgspec.convert(value, wanted, dec_hook=_as_path)
    except msgspec.ValidationError as error:
        return _explain(value, shape.type_info(wanted), str(error))
    return None


def got(value: object) -> str:
    """What TOML calls a value of this kind, with its article."""
    match value:
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a section"
        case datetime.datetime() | datetime.date() | datetime.time():
            return "a date or time"
    return f"a {type(value).__name__}"


def _as_path(wanted: type, value: object) -> Path:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"cannot make a {wanted.__name__}")


def _unfit(value: object) -> str:
    """What no key accepts, whatever its type says."""
    if isinstance(value, float) and not math.isfinite(value):
        return "expected a finite number"
    if isinstance(value, int) and value not in _INT64:
        return "the number is out of range: it is beyond 64 bits"
    if isinstance(value, str) and "\0" in value:
        return "the text holds a NUL character, which no path, name or address may"
    return ""


def _explain(value: object, wanted: shape.Type, said: str) -> tuple[str, str]:
    info, words = bare(wanted)
    if not isinstance(value, kinds(info)) or (isinstance(value, bool) and not isinstance(info, shape.BoolType)):
        return f"expected {_expected(info)}, got {got(value)}", _quotes(value, info)
    match info:
        case shape.LiteralType() | shape.EnumType():
            near = meant(str(value), [choice for choice in _choices(info) if isinstance(choice, str)])
            return f"expected {_expected(info)}", f'did you mean "{near}"?' if near else ""
        case shape.IntType() | shape.FloatType():
            return f"{value} is out of range", f"allowed is {_range(info)}"
        case shape.StrType():
            return f"expected {words}" if words else _length(info), ""
        case shape.TupleType():
            return f"expected {words or f'{len(info.item_types)} values in brackets'}", ""
        case shape.ListType() | shape.VarTupleType() | shape.SetType() | shape.FrozenSetType():
            item, words = bare(info.item_type)
            return f"expected a list, and in it only {words or _expected(item)}", ""
    return said.partition(" - at ")[0], ""  # a driver's own kind of type: msgspec's sentence, without its path


def bare(info: shape.Type) -> tuple[shape.Type, str]:
    """Without metadata but for its words; of `X | None` the X, since TOML has no null."""
    words = ""
    while isinstance(info, shape.Metadata):
        words = words or str((info.extra or {}).get("words", ""))
        info = info.type
    if isinstance(info, shape.UnionType):
        kinds = [kind for kind in info.types if not isinstance(kind, shape.NoneType)]
        return bare(kinds[0]) if len(kinds) == 1 else (info, words)
    return info, words


def kinds(info: shape.Type) -> tuple[type, ...]:
    """The Python types of TOML values that could be right."""
    match info:
        case shape.BoolType():
            return (bool,)
        case shape.IntType():
            return (int,)
        case shape.FloatType():
            return (int, float)
        case shape.StrType():
            return (str,)
        case shape.CustomType() if info.cls is Path:
            return (str,)
        case shape.LiteralType() | shape.EnumType():
            return tuple({type(choice) for choice in _choices(info)})
        case shape.ListType() | shape.VarTupleType() | shape.TupleType() | shape.SetType() | shape.FrozenSetType():
            return (list,)
        case shape.DictType() | shape.StructType():
            return (dict,)
        case shape.UnionType():
            return tuple(kind for one in info.types for kind in kinds(bare(one)[0]))
    return (object,)


def _expected(info: shape.Type) -> str:
    match info:
        case shape.LiteralType() | shape.EnumType():
            return "one of " + ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in _choices(info))
        case shape.FloatType():
            return "a number"
        case shape.UnionType():
            return " or ".join(_expected(bare(one)[0]) for one in info.types if not isinstance(one, shape.NoneType))
    example = {bool: True, int: 1, str: "", list: [], dict: {}}.get(kinds(info)[0])
    return "another kind of value" if example is None else got(example)


def _choices(info: shape.LiteralType | shape.EnumType) -> tuple[object, ...]:
    return info.values if isinstance(info, shape.LiteralType) else tuple(member.value for member in info.cls)


def _quotes(value: object, info: shape.Type) -> str:
    """The commonest slip: quotes too many, or too few."""
    text = kinds(info) == (str,)
    if isinstance(value, str) and not text:
        return "write it without quotes"
    return "write it in quotes" if text and isinstance(value, int | float) else ""


def _range(info: shape.IntType | shape.FloatType) -> str:
    low = f"{info.ge:.15g}" if info.ge is not None else f"more than {info.gt:.15g}" if info.gt is not None else ""
    high = f"{info.le:.15g}" if info.le is not None else f"less than {info.lt:.15g}" if info.lt is not None else ""
    if low and high:
        return f"{low} to {high}"
    step = f"a multiple of {info.multiple_of:.15g}" if info.multiple_of is not None else "a number of at most 64 bits"
    return f"{low} or more" if low else f"{high} or less" if high else step


def _length(info: shape.StrType) -> str:
    if info.pattern:
        return f"the text does not match the pattern {info.pattern}"
    if info.max_length is None:
        return "the text must not be empty" if info.min_length == 1 else f"the text needs {info.min_length} characters or more"
    return f"the text must be {info.min_length or 0} to {info.max_length} characters long"
