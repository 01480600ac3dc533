"""`edgegw purge --faces`: erases the pictures of faces that still wait for a sink, whether the gateway runs or not."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from edgegw import codec, spool
from edgegw.bus import WorkerEnd
from edgegw.cli.settings import paths
from edgegw.codec import Purge, Purged
from edgegw.errors import AlreadyRunning, EdgegwError, Exit
from edgegw.paths import Paths
from edgegw.supervisor.place import claimed

ANSWER_s = 10.0


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
        click.echo(f"erased {count} picture{'' if count == 1 else 's'} of faces" if count else "no picture of a face was waiting")


def erased(where: Paths) -> int:
    """How many; a gateway that runs has to do it itself, for it alone may write to its spool."""
    try:
        with claimed(where):
            return spool.purge(where.spool)
    except AlreadyRunning:
        return _by_the_bridge(where)


def _by_the_bridge(where: Paths) -> int:
    end = WorkerEnd(where.bus)
    until_s = time.monotonic() + ANSWER_s
    try:
        end.connect()
        end.send(codec.encode(Purge()))
        while time.monotonic() < until_s:
            end.wait(until_s - time.monotonic())
            for answer in map(codec.decode, end.receive()):
                if isinstance(answer, Purged):
                    return answer.count
    finally:
        end.close()
    raise NotPurged(f"the gateway did not erase them within {ANSWER_s:.0f} s: see `edgegw status`, and try again")
