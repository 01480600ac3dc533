"""`edgegw db`: what the database behind [sinks.mysql] needs before readings can go there."""

from __future__ import annotations

from pathlib import Path

import click

from edgegw.cli.options import CONFIG, JSON


@click.group()
def db() -> None:
    """The database behind [sinks.mysql]."""


@db.command("init")
@CONFIG
@JSON
@click.option("--user", help="An account that may create tables (else the configured one).")
@click.option("--password-file", type=click.Path(path_type=Path, exists=True), help="Its password, in a file (else it is asked for).")
def db_init(file: Path | None, as_json: bool, user: str | None, password_file: Path | None) -> None:
    """Create the tables that are missing; the gateway itself never alters the schema."""
    from edgegw.cli import database

    database.init(file, user, password_file, as_json=as_json)
