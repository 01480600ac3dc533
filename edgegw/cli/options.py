"""Options that many commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def config(name: str) -> Callable[[Command], Command]:
    """-c, as the argument `name`."""
    given = click.Path(path_type=Path)
    return click.option("-c", "--config", name, type=given, help="Configuration file (else EDGEGW_CONFIG, else the usual place).")


CONFIG = config("file")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
JSON_LINES = click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
