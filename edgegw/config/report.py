"""Collects every problem of a configuration with the place of its key, and hands out the sections to check."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from edgegw.config.layers import Layers, Place
from edgegw.config.lines import KeyPath
from edgegw.errors import ConfigError, Problem


class Report:
    """The merged keys, where each of them stands, and what has been found wrong so far."""

    def __init__(self, layers: Layers) -> None:
        self.values = layers.merged.values
        self.sources = layers.sources
        self._places = layers.merged.places
        self._found: list[tuple[int, float, Problem]] = []

    def place(self, path: KeyPath) -> Place:
        """Where `path` stands, else the section around it, else the main file as a whole."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places[path] if path else Place(self.sources[0], 0)

    def folder(self, path: KeyPath) -> Path:
        """What a relative path at `path` is relative to."""
        return self.place(path).source.folder

    def add(self, path: KeyPath, what: str, suggestion: str = "") -> None:
        """Note a problem; the order of calls does not matter."""
        source, line = self.place(path)
        self._found.append((self.sources.index(source), line or float("inf"), Problem(source.name, line, dotted(path), what, suggestion)))

    def section(self, path: KeyPath) -> dict[str, Any]:
        """The table at `path`; empty where it is absent, or is something else, which is noted."""
        table: Any = self.values
        for depth, part in enumerate(path, 1):
            table = table.get(part, {})
            if not isinstance(table, dict):
                if depth == len(path):  # what is around it has been noted when that was asked for
                    self.add(path, f"expected a section, written [{dotted(path)}]")
                return {}
        return dict(table)

    def faulty(self, path: KeyPath) -> bool:
        """Whether something is wrong with this very key, so that its value is a stand-in and says nothing about others."""
        return any(problem.key == dotted(path) for _, _, problem in self._found)

    def count(self) -> int:
        """How many problems there are by now."""
        return len(self._found)

    def close(self) -> None:
        """Raise ConfigError when anything was found: in the order of the sources, and of the lines in each."""
        if self._found:
            raise self.error()

    def error(self) -> ConfigError:
        """What close() raises."""
        return ConfigError([problem for _, _, problem in sorted(self._found, key=lambda found: found[:2])])


def dotted(path: Iterable[str | int]) -> str:
    """A key path as one writes it in TOML."""
    return ".".join(str(part) if re.fullmatch(r"[A-Za-z0-9_-]+", str(part)) else repr(part) for part in path)


def meant(word: str, known: Collection[str]) -> str:
    """The one of `known` that `word` was probably meant to be, or ""."""
    near = difflib.get_close_matches(word[:80].lower().replace("-", "_"), known, n=1)
    return near[0] if near else ""
