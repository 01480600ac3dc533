"""`edgegw db init`: the one command that alters the schema."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from edgegw import driver
from edgegw.cli.settings import load
from edgegw.config import Secret
from edgegw.errors import ConfigError, Problem


def init(file: Path | None, user: str | None, password_file: Path | None, *, as_json: bool) -> None:
    """Create what is missing and say what that was. Raises ConfigError, Unavailable or Refused."""
    from edgegw.sinks.configured import create_tables

    settings = load(file)
    if settings.sinks.mysql is None:
        place = str(settings.sources[0]) if settings.sources else "the configuration"
        raise ConfigError([Problem(place, 0, "sinks.mysql", "there is none", 'add [sinks.mysql] with url = "mysql://user@host/database"')])
    target = settings.sinks.mysql
    if user is not None:
        target = msgspec.structs.replace(target, user=user, password=Secret(_password(user, password_file)))
    kinds = {kind: fields for sensor in settings.sensors for kind, fields in driver.find(sensor.driver).field_names().items()}
    created = create_tables(target, kinds)
    if as_json:
        sys.stdout.write(msgspec.json.encode({"created": created}).decode() + "\n")
    else:
        sys.stdout.write(f"created: {', '.join(created)}\n" if created else "nothing to do: every table is there\n")


def _password(user: str, password_file: Path | None) -> str:
    if password_file is not None:
        return password_file.read_text().strip()
    return str(click.prompt(f"Password of {user}", hide_input=True, default="", show_default=False, err=True))
