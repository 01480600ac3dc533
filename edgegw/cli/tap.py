"""`edgegw tap`: live readings on the terminal, until somebody has seen enough."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from edgegw import tap
from edgegw.cli.settings import must_exist, paths
from edgegw.clock import SystemClock
from edgegw.signals import StopNote
from edgegw.tap import Wish as Wish


def run(file: Path | None, wish: Wish) -> None:
    """Prints until the wish is fulfilled or Ctrl-C; says so when nothing came. Raises ConfigError or Unavailable."""
    where = paths(file)
    must_exist(where, wish.patterns)
    stop = StopNote()
    stop.listen(signal.SIGINT, signal.SIGTERM)
    if not tap.run(where.tap, wish, sys.stdout, SystemClock(), stop):
        click.echo(f"no reading of {' or '.join(wish.patterns) or 'any sensor'} came; `edgegw status` says why", err=True)
