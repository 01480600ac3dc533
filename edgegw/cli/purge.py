"""`edgegw purge --faces`: erases the pictures of faces that still wait for a sink, whether the gateway runs or not."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from edgegw import spool
from edgegw.cli import bridgecall, show
from edgegw.cli.settings import paths
from edgegw.codec import Purge, Purged
from edgegw.errors import AlreadyRunning, EdgegwError, Exit
from edgegw.paths import Paths
from edgegw.supervisor.place import claimed


class NotPurged(EdgegwError):
    """The pictures may still be there."""

    exit_code = Exit.IO


def run(file: Path | None, *, as_json: bool) -> None:
    """Say how many were erased. Raises NotPurged or SpoolError."""
    where = paths(file)
    count = erased(where) if where.spool.exists() else 0
    if as_json:
        click.echo(msgspec.json.encode({"erased": count}))
    else:
        click.echo(f"erased {show.many(count, 'picture')} of faces" if count else "no picture of a face was waiting")


def erased(where: Paths) -> int:
    """How many; a gateway that runs has to do it itself, for it alone may write to its spool."""
    try:
        with claimed(where):
            return spool.purge(where.spool)
    except AlreadyRunning:
        return _by_the_bridge(where)


def _by_the_bridge(where: Paths) -> int:
    answer = bridgecall.ask(where, Purge(), Purged)
    if answer is None:
        raise NotPurged(f"the gateway did not erase them within {bridgecall.ANSWER_s:.0f} s: see `edgegw status`, and try again")
    return answer.count
