"""`edgegw spool`: what is in it, whether it is sound, its readings as lines; wiring only."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from edgegw.cli.options import JSON, config

_CONFIG = config("config")  # `file` is the spool's
_FILE = click.argument("file", required=False, type=click.Path(path_type=Path))


def _time(_: click.Context, __: click.Parameter, value: str | None) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(value) if value else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time: write it as 2026-11-21 or 2026-11-21T14:05:00Z") from None


@click.group()
def spool() -> None:
    """The spool: readings that are safe on disk until every sink has them. FILE: another one than the gateway's, such as a copy."""


@spool.command()
@_FILE
@_CONFIG
@JSON
def status(file: Path | None, config: Path | None, as_json: bool) -> None:
    """How full it is and for how long it will do, what waits for which sink, what was rejected or damaged, how it wears its card."""
    from edgegw.cli import holdings

    holdings.run(config, file, as_json=as_json)


@spool.command()
@_FILE
@_CONFIG
@JSON
def verify(file: Path | None, config: Path | None, as_json: bool) -> None:
    """Look at everything in it. Exits 1 when something is not sound; changes nothing, also while the gateway runs."""
    from edgegw.cli import spoolfile

    raise SystemExit(spoolfile.check(config, file, as_json=as_json))


@spool.command()
@_FILE
@_CONFIG
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True, help="JSON lines, or a table.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Into this file (else to standard output).")
@click.option("--sensor", default="", help="Only this sensor.")
@click.option("--run", default="", metavar="ID", help="Only this run; the beginning of its id will do.")
@click.option("--since", metavar="TIME", callback=_time, help="Only readings taken from then on; UTC, unless it says otherwise.")
@click.option("--dead-letters", is_flag=True, help="What sinks rejected, with the reason, instead of what is in the spool.")
def export(
    file: Path | None,
    config: Path | None,
    form: str,
    output: Path | None,
    sensor: str,
    run: str,
    since: datetime.datetime | None,
    dead_letters: bool,
) -> None:
    """Its readings, a line each. Passes by what is damaged, and exits 1 then; takes nothing out, also while the gateway runs."""
    from edgegw.cli import export as body

    raise SystemExit(body.run(config, file, body.Wish(form, sensor, run, since, dead_letters, output)))
