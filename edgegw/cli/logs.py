"""`edgegw logs`: the log files, merged by time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from edgegw.cli.settings import paths
from edgegw.errors import EdgegwError

LOOK_s = 0.25  # between two looks at the files


class NoLogs(EdgegwError):
    """There are no log files to read."""


def run(file: Path | None, sensor: str | None, *, follow: bool, as_json: bool) -> None:
    """Print them. Raises NoLogs."""
    from edgegw import log

    directory = paths(file).logs
    if not follow and not any(directory.glob("*.log*")):
        raise NoLogs(f"no log files in {directory}: under systemd, `journalctl -u edgegw` has the log; in the foreground it is on stderr")
    colour = sys.stdout.isatty()
    try:
        for entry in log.read(directory, sensor, _wait if follow else None):
            sys.stdout.write((msgspec.json.encode(entry).decode() if as_json else log.render(entry, colour)) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _wait() -> bool:
    time.sleep(LOOK_s)
    return True
