"""`edgegw status`: what runs, how well, and why not; LSB exit codes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group

from edgegw import control
from edgegw.cli import show
from edgegw.cli.settings import paths
from edgegw.errors import EdgegwError, NotRunning

HEALTHY, NOT_RUNNING, UNKNOWN, DEGRADED = 0, 3, 4, 150  # LSB; 150 to 199 are the application's own

NOTHING = "edgegw is not running; start it with `edgegw start`\n"
WATCH_s = 1.0


def run(file: Path | None, *, as_json: bool, watch: bool) -> int:
    """Print the state, once or every second; returns the exit code."""
    if not watch:
        return _once(file, as_json)
    try:
        return _watch(file) if sys.stdout.isatty() and not as_json else _repeat(file, as_json)
    except KeyboardInterrupt:
        return HEALTHY
    except NotRunning:
        sys.stdout.write(NOTHING)
        return NOT_RUNNING


def _once(file: Path | None, as_json: bool) -> int:
    try:
        answer = control.ask(paths(file).control, "status")
    except NotRunning:
        sys.stdout.write('{"state":"not running"}\n' if as_json else NOTHING)
        return NOT_RUNNING
    except EdgegwError as error:
        sys.stdout.write((msgspec.json.encode({"state": "unknown", "why": str(error)}).decode() if as_json else f"edgegw: {error}") + "\n")
        return UNKNOWN
    if as_json:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    else:
        console = show.console()
        console.print(headline(answer))
        console.print(show.tables(answer))
    return DEGRADED if answer["state"] != "running" or show.unwell(answer) else HEALTHY


def headline(answer: Mapping[str, Any]) -> str:
    """The whole gateway in one line."""
    unwell = show.unwell(answer)
    verdict = f"degraded: {', '.join(unwell)}" if unwell else "all is well"
    whose = f"edgegw {answer['version']} on {answer['gateway']}, pid {answer['pid']}"
    reload = answer.get("reload") or {}
    refused = "" if reload.get("ok", True) else f"\nThe last reload was refused, and the gateway runs as before: {reload['why']}"
    return f"{whose}, {answer['state']} for {show.span(answer['uptime_s'])}: {verdict}{refused}\n"


def _watch(file: Path | None) -> int:
    from rich.live import Live

    socket = paths(file).control
    with Live(console=show.console(), auto_refresh=False) as live:
        while True:
            answer = control.ask(socket, "status")
            live.update(Group(headline(answer), show.tables(answer)), refresh=True)
            time.sleep(WATCH_s)


def _repeat(file: Path | None, as_json: bool) -> int:
    """For pipes: one answer after the other, until there is none."""
    while (code := _once(file, as_json)) not in (NOT_RUNNING, UNKNOWN):
        sys.stdout.flush()
        time.sleep(WATCH_s)
    return code
