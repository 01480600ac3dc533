"""start, stop, restart: the gateway as a whole."""

from __future__ import annotations

import os
import secrets
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edgegw import failpoint
from edgegw.cli import again
from edgegw.cli.settings import load, paths
from edgegw.config import Settings, default_path
from edgegw.errors import ConfigError, EdgegwError, Exit, NotRunning, Problem

ERRORS_bytes = 1 << 20  # of what crashed gateways left behind
READY_s = 60.0  # a bridge on a slow card with a full spool needs some; the supervisor has deadlines of its own


class StartFailed(EdgegwError):
    """The gateway in the background ended, or did not become ready."""

    def __init__(self, sentence: str, code: int) -> None:
        self.exit_code = Exit(code) if code in set(Exit) else Exit.FAILED
        super().__init__(sentence)


def foreground(file: Path | None, logs: Path | None, parent: int | None) -> int:
    """Be the supervisor until told to stop, or until process `parent` ends; returns its exit code."""
    from edgegw import signals, supervisor
    from edgegw.cli import lastgood
    from edgegw.cli.children import plan
    from edgegw.cli.gatewaylog import GatewayLog
    from edgegw.notify import Notifier

    if parent is not None:
        signals.die_with_parent()
        if os.getppid() != parent:  # it ended before the line above
            return Exit.FAILED
    signals.leave_on(signal.SIGTERM)
    source = (file or default_path(os.environ, os.geteuid())).absolute()
    settings = _load(source)
    failpoint.here("supervisor")  # a misspelt one is told now, and not by each child after its start
    log = GatewayLog(settings, logs)

    def again() -> supervisor.Plan:
        found = load(source)
        _refuse_to_move(settings, found)
        log.renew(found)
        return plan(found, logs, partial(lastgood.keep, source, found))

    first = plan(settings, logs, partial(lastgood.keep, source, settings))
    try:
        return supervisor.run(first, settings.paths, log=log, upstream=Notifier.from_environment(os.environ), load=again)
    finally:
        signals.deaf_to(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        log.stop()


def _load(file: Path | None) -> Settings:
    """As load(), but what is wrong is told together with what worked last."""
    try:
        return load(file)
    except ConfigError as error:
        from edgegw.cli import lastgood

        if advice := lastgood.advice(file):
            error.add_note(advice)
        raise


def _refuse_to_move(running: Settings, found: Settings) -> None:
    """A gateway that runs cannot take its lock, its sockets and its spool elsewhere. Raises ConfigError."""
    pairs = {
        "runtime_dir": (running.paths.runtime, found.paths.runtime, "put it back, `edgegw stop`, change it, `edgegw start`"),
        "state_dir": (running.paths.state, found.paths.state, "`edgegw restart` does it"),
    }
    file = str(found.sources[0])
    problems = [
        Problem(file, 0, f"gateway.{key}", f"is {new} now and was {old}, which needs a restart", how)
        for key, (old, new, how) in pairs.items()
        if old != new
    ]
    if problems:
        raise ConfigError(problems)


def background(file: Path | None) -> str:
    """Start a gateway that outlives this command; returns its first status line when it is ready. Raises StartFailed."""
    settings = _load(file)
    os.umask(0o077)  # the gateway refuses directories that others may write to, so none may be made for it
    errors = settings.paths.logs / "stderr.txt"
    said = partial(_last_words, errors, _prepared(errors))
    address = f"@edgegw-start-{os.getpid()}-{secrets.token_hex(4)}"  # abstract: leaves no file behind
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:])
        pid = _await(_spawn(errors, file, address), listener, said)
    count = len(settings.sensors)
    return f"edgegw runs (pid {pid}) with {count} sensor{'' if count == 1 else 's'}; `edgegw status` shows how they do"


def _prepared(errors: Path) -> int:
    """Where the words of a new gateway will begin. One that already runs writes to the same file: it is cut only when it is long."""
    errors.parent.mkdir(parents=True, exist_ok=True)
    before = errors.stat().st_size if errors.exists() else 0
    if before > ERRORS_bytes:
        os.truncate(errors, 0)
        return 0
    return before


def _spawn(errors_file: Path, file: Path | None, address: str) -> subprocess.Popen[bytes]:
    command = again.command("start", "--foreground", "--logs", str(errors_file.parent))
    if file is not None:
        command += ["--config", str(file.absolute())]
    with errors_file.open("ab") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            env={**again.environment(), "NOTIFY_SOCKET": address},
        )


def _await(child: subprocess.Popen[bytes], listener: socket.socket, last_words: Callable[[], str]) -> int:
    said = "it is ready"
    until = time.monotonic() + READY_s
    pidfd = os.pidfd_open(child.pid)
    try:
        while (left_s := until - time.monotonic()) > 0:
            readable, _, _ = select.select([listener.fileno(), pidfd], [], [], left_s)
            if listener.fileno() in readable:
                fields = dict(line.partition("=")[::2] for line in listener.recv(65536).decode(errors="replace").splitlines())
                said = fields.get("STATUS", said)
                if fields.get("READY") == "1":
                    child.returncode = 0  # it lives on, and is nobody's child once we have gone
                    return child.pid
            elif pidfd in readable:
                raise StartFailed(last_words(), child.wait())
    finally:
        os.close(pidfd)
    raise StartFailed(f"not ready after {READY_s:.0f} s ({said}); look at `edgegw status` and `edgegw logs`", Exit.UNAVAILABLE)


def _last_words(errors: Path, since: int) -> str:
    text = errors.read_bytes()[since:].decode(errors="replace").strip()
    return text.removeprefix("edgegw: ") or "it ended without a word; look at `edgegw logs`"


def stop(file: Path | None, timeout_s: float) -> str:
    """Stop the gateway and wait for its end. Raises StartFailed when it outlives the time."""
    from edgegw import control

    try:
        ended = control.stop_and_wait(paths(file).control, timeout_s)
    except NotRunning:
        return "edgegw was not running"
    if not ended:
        raise StartFailed(f"still stopping after {timeout_s:g} s; a second `edgegw stop` means now", Exit.FAILED)
    return "edgegw has stopped"


def restart(file: Path | None, sensors: Sequence[str]) -> str:
    """Restart `sensors`, or all of it when there are none."""
    from edgegw import control

    if sensors:
        control.ask(paths(file).control, "restart", sensors=list(sensors))
        return f"restarting {', '.join(sensors)}"
    load(file)  # a faulty file must not stop what runs
    stop(file, 15.0)
    return background(file)
