"""Reads the configuration file and its drop-ins and lays them, the environment and the flags over each other.

Every key keeps the place it came from, so that whatever is wrong with it later can be said with file and line.
"""

from __future__ import annotations

import collections
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edgegw.config.lines import KeyPath, locate
from edgegw.errors import ConfigError, Problem

MAX_BYTES = 1 << 20  # a configuration is kilobytes; more is the wrong file
MAX_DEPTH = 16  # of keys in keys; no driver needs more, and nothing that walks the tree need fear for its stack
ENVIRONMENT = {
    "EDGEGW_GATEWAY_ID": ("gateway", "id"),
    "EDGEGW_RUNTIME_DIR": ("gateway", "runtime_dir"),
    "EDGEGW_STATE_DIR": ("gateway", "state_dir"),
    "EDGEGW_LOG_LEVEL": ("gateway", "log_level"),
}
_TOO_DEEP = "nests deeper than any configuration needs"
_HINTS = {  # what tomllib says → what to do about it
    "Invalid value": 'text stands in quotes, as in port = "/dev/ttyUSB0"',
    "Cannot overwrite a value": "this key, or its section, stands twice",
    "Cannot declare": "this section stands twice: put its keys under one header",
    "Expected '=' after a key": "a line is key = value, a section is [name], a remark starts with #",
}


class Source(NamedTuple):
    """Something that gives keys: a file, an environment variable, the command line."""

    name: str
    folder: Path  # relative paths are taken from here
    private: bool  # nobody else can read it
    file: Path | None = None


class Place(NamedTuple):
    """Where a key stands; line 0 where there are none."""

    source: Source
    line: int


class Layer(NamedTuple):
    """A tree of keys and the place of each."""

    values: dict[str, Any]
    places: dict[KeyPath, Place]


class Layers(NamedTuple):
    """All that was given, merged; the sources in the order in which they were laid over each other."""

    merged: Layer
    sources: list[Source]


def gather(path: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Layers:
    """Everything that is configured. Raises ConfigError with one problem for each file that cannot be read or parsed."""
    layers = _files(path)
    lay_environment(layers, environ)
    for dotted, value in overrides.items():
        if value is not None:  # a flag that was not given
            # The process list shows command lines to everybody.
            _lay_over(layers, *_single(tuple(dotted.split(".")), value, Source("command line", Path.cwd(), private=False)))
    return layers


def lay_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    """Lay the variables of ENVIRONMENT over what is there; an empty one counts as unset."""
    for variable, key in ENVIRONMENT.items():
        if value := environ.get(variable):
            _lay_over(layers, *_single(key, value, Source(f"${variable}", Path.cwd(), private=True)))


def _files(path: Path) -> Layers:
    problems: list[Problem] = []
    layers = Layers(Layer({}, {}), [])
    for file in _names(path, problems):
        try:
            _lay_over(layers, *_read(file))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return layers


def read_small(path: Path) -> tuple[bytes, os.stat_result]:
    """The bytes of a file that must not be large, and its metadata. Raises OSError in plain words, without the path."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
            about = os.fstat(file.fileno())
    except (OSError, ValueError) as error:
        raise OSError(_why(error)) from error
    if len(content) > MAX_BYTES:
        raise OSError(f"is larger than {MAX_BYTES >> 20} MiB")
    return content, about


def _why(error: Exception) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "does not exist"
        case PermissionError():
            return f"may not be read by this user (uid {os.geteuid()})"
        case IsADirectoryError():
            return "is a directory"
        case OSError():
            return f"cannot be read: {error.strerror}"
    return "cannot be read: its name is not one that a file can have"


def _names(path: Path, problems: list[Problem]) -> list[Path]:
    """`path` and its drop-ins in lexical order; an editor's hidden files are none."""
    folder = path.parent / "conf.d"
    try:
        drop_ins = sorted(name for name in os.listdir(folder) if name.endswith(".toml") and not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        drop_ins = []
    except (OSError, ValueError) as error:
        problems.append(Problem(str(folder), 0, "", f"the directory {_why(error)}"))
        drop_ins = []
    return [path, *(folder / name for name in drop_ins)]


def _read(file: Path) -> tuple[Layer, Source]:
    def refused(what: str, suggestion: str = "", line: int = 0) -> ConfigError:
        return ConfigError([Problem(str(file), line, "", what, suggestion)])

    try:
        content, about = read_small(file)
    except OSError as error:
        hint = "name one with -c FILE or EDGEGW_CONFIG, or try: edgegw demo" if "not exist" in str(error) else ""
        raise refused(f"the configuration file {error}", hint) from error
    if stat.S_ISREG(about.st_mode) and about.st_mode & stat.S_IWOTH:
        raise refused("any user may write to this file, and it decides which code runs", f"chmod o-w {file}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused("is not UTF-8 text", "save it as UTF-8", content.count(b"\n", 0, error.start) + 1) from error
    try:
        values = tomllib.loads(text)
        lines = locate(text)
    except tomllib.TOMLDecodeError as error:
        raise refused(*_syntax(str(error), text)) from error
    except ValueError as error:
        raise refused("holds a number of more digits than any number here needs") from error
    except RecursionError as error:
        raise refused(_TOO_DEEP) from error
    if deep := [line for path, line in lines.items() if len(path) > MAX_DEPTH]:
        raise refused(_TOO_DEEP, "", min(deep))
    private = not about.st_mode & (stat.S_IRGRP | stat.S_IROTH)
    source = Source(str(file), file.parent, private, file)
    return Layer(values, {path: Place(source, line) for path, line in lines.items()}), source


def _syntax(said: str, text: str) -> tuple[str, str, int]:
    """tomllib's sentence as what, suggestion, line."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$", said)
    what = said[: found.start()] if found else said
    line = int(found[1]) if found and found[1] else text.rstrip().count("\n") + 1
    hint = next((hint for start, hint in _HINTS.items() if what.startswith(start)), "")
    return f"is not valid TOML: {what[:1].lower()}{what[1:]}", hint, line


def _single(key: KeyPath, value: object, source: Source) -> tuple[Layer, Source]:
    tree: dict[str, Any] = {str(key[-1]): value}
    for part in reversed(key[:-1]):
        tree = {str(part): tree}
    return Layer(tree, {key[:end]: Place(source, 0) for end in range(1, len(key) + 1)}), source


def _lay_over(layers: Layers, over: Layer, source: Source) -> None:
    """Key by key, `over` wins; tables are joined, anything else is replaced whole. Breadth first: parents come before children."""
    layers.sources.append(source)
    start: tuple[dict[str, Any], KeyPath, dict[str, Any]] = (layers.merged.values, (), over.values)
    waiting = collections.deque([start])
    while waiting:
        into, at, table = waiting.popleft()
        for key, value in table.items():
            path = (*at, key)
            if not (isinstance(value, dict) and isinstance(into.get(key), dict)):
                into[key] = {} if isinstance(value, dict) else value
                layers.merged.places[path] = over.places.get(path, Place(source, 0))
            if isinstance(value, dict):
                waiting.append((into[key], path, value))
