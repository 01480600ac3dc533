"""One log line as a value: how it is made from a record, and how machines and people get to see it."""

from __future__ import annotations

import datetime
import functools
from typing import Any

import msgspec
from structlog.dev import ConsoleRenderer, plain_traceback

from edgegw.log.redact import Redactor
from edgegw.log.ring import LEVELS, Record

Entry = dict[str, Any]  # time, level, process, event, then the fields; `exception` holds a rendered traceback; all plain

RESERVED = ("time", "level", "process", "event")
MAX_LINE_bytes = 65_536

_encoder = msgspec.json.Encoder()


def make(process: str, record: Record, redactor: Redactor) -> Entry:
    """The entry of a record. A field that is called like one of ours gets an underscore behind its name."""
    _, wall_ns, rank, fields = record
    event = str(redactor.plain(fields.get("event", "")))
    entry: Entry = {"time": timestamp(wall_ns), "level": LEVELS[rank], "process": redactor.text(process), "event": event}
    for name, value in fields.items():
        if name != "event":
            entry[f"{name}_" if name in RESERVED else redactor.text(name)] = redactor.field(name, value)
    return entry


def timestamp(wall_ns: int) -> str:
    """RFC 3339, UTC, microseconds: of fixed width, so that text sorts as time does."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1000:06d}Z"


def json_line(entry: Entry) -> bytes:
    """The entry as one line for machines; one longer than MAX_LINE_bytes keeps its fixed fields and says what it lost."""
    line = _encoder.encode(entry)
    if len(line) >= MAX_LINE_bytes:
        line = _encoder.encode(bare(entry, len(line)))
    return line + b"\n"


def bare(entry: Entry, size_bytes: int) -> Entry:
    """What is left of an entry that is too long, with how long it was."""
    return {name: entry[name] for name in RESERVED} | {"cut_bytes": size_bytes}


def render(entry: Entry, colour: bool) -> str:
    """The entry as people read it, without the final newline; no byte of it can steer their terminal."""
    if "raw" in entry:
        return printable(str(entry["raw"]))
    shown = {_label(name): printable(value) if isinstance(value, str) else value for name, value in entry.items()}
    if "exception" in entry:
        shown["exception"] = "\n".join(map(printable, str(entry["exception"]).split("\n")))
    ours = {"timestamp": shown.pop("time"), "logger": shown.pop("process")}
    return _console(colour)(None, "", ours | shown)


def _label(name: str) -> str:
    """ConsoleRenderer has plans of its own for these names."""
    return f"{name}_" if name in ("timestamp", "logger", "stack", "exc_info") else printable(name)


def printable(text: str) -> str:
    """`text` on one line: control and direction characters, which devices and servers may send, are spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@functools.cache
def _console(colour: bool) -> ConsoleRenderer:
    return ConsoleRenderer(0, colour, sort_keys=False, exception_formatter=plain_traceback)
