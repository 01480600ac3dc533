"""`edgegw dlq`: what sinks rejected and why; to be given to them again, or given up. Whether the gateway runs or not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.options import CONFIG, JSON

if TYPE_CHECKING:
    from edgegw.spool import Choice

_OPTIONS = (
    CONFIG,
    click.option("--sink", default="", help="Only those that this sink rejected."),
    click.option("--sensor", default="", help="Only those of this sensor."),
    click.option("--run", default="", metavar="ID", help="Only those of this run; the beginning of its id will do."),
    click.option("--code", default="", help="Only those rejected with this code."),
)


def _chosen(body: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that choose letters."""

    @functools.wraps(body)
    def command(file: Path | None, sink: str, sensor: str, run: str, code: str, **rest: Any) -> None:
        from edgegw.spool import Choice

        body(file, Choice(sink, sensor, run, code), **rest)

    return functools.reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


@click.group()
def dlq() -> None:
    """Dead letters: readings that a sink rejected. They are kept in the spool, with the reason."""


@dlq.command("list")
@_chosen
@JSON
def list_(file: Path | None, choice: Choice, as_json: bool) -> None:
    """How many, of which sensor, why, since when."""
    from edgegw.cli import letters

    letters.show(file, choice, as_json=as_json)


@dlq.command()
@_chosen
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")
def show(file: Path | None, choice: Choice, count: int) -> None:
    """The letters themselves, a JSON object a line, with the reading and the reason."""
    from edgegw.cli import letters

    letters.each(file, choice, count)


@dlq.command()
@_chosen
@JSON
def retry(file: Path | None, choice: Choice, as_json: bool) -> None:
    """Give them to their sinks again. What is rejected again is a dead letter again."""
    from edgegw.cli import letters

    letters.retry(file, choice, as_json=as_json)


@dlq.command()
@_chosen
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
def drop(file: Path | None, choice: Choice, yes: bool, as_json: bool) -> None:
    """Give them up. They are gone, and counted as discarded."""
    from edgegw.cli import letters

    letters.drop(file, choice, yes=yes, as_json=as_json)
