"""start, stop, restart: the gateway as a whole."""

from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edgegw import __version__
from edgegw.cli import again
from edgegw.config import Settings
from edgegw.errors import EdgegwError, Exit, NotRunning

ERRORS_bytes = 1 << 20  # of what crashed gateways left behind
READY_s = 60.0  # a bridge on a slow card with a full spool needs some; the supervisor has deadlines of its own


class StartFailed(EdgegwError):
    """The gateway in the background ended, or did not become ready."""

    def __init__(self, sentence: str, code: int) -> None:
        self.exit_code = Exit(code) if code in set(Exit) else Exit.FAILED
        super().__init__(sentence)


def foreground(file: Path | None, logs: Path | None, parent: int | None) -> int:
    """Be the supervisor until told to stop, or until process `parent` ends; returns its exit code."""
    from edgegw import bridge, signals, supervisor, worker
    from edgegw.cli.settings import load
    from edgegw.log import Log, destination
    from edgegw.notify import Notifier
    from edgegw.retry import RestartPolicy

    if parent is not None:
        signals.die_with_parent()
        if os.getppid() != parent:  # it ended before the line above
            return Exit.FAILED
    settings = load(file)
    specs = [
        supervisor.ChildSpec(
            "bridge", "bridge", partial(bridge.run, settings, logs), RestartPolicy(quarantines=False, max_s=5.0), stop_s=5.0
        )
    ]
    specs += [
        supervisor.ChildSpec(
            name,
            "worker",
            partial(worker.run, settings, name, sensors, logs),
            RestartPolicy(),
            stop_s=3.0,
            sensors=tuple(sensor.name for sensor in sensors),
        )
        for name, sensors in settings.processes().items()
    ]
    log = Log("supervisor", destination("supervisor", logs), settings.gateway.log_level, secrets=settings.secrets())
    try:
        return supervisor.run(specs, settings.paths, log=log, upstream=Notifier.from_environment(os.environ), about=_about(settings))
    finally:
        log.stop()


def _about(settings: Settings) -> dict[str, str | int | float | None]:
    return {"gateway": settings.gateway.id, "version": __version__, "config": str(settings.sources[0]) if settings.sources else ""}


def background(file: Path | None) -> str:
    """Start a gateway that outlives this command; returns its first status line when it is ready. Raises StartFailed."""
    from edgegw.cli.settings import load

    settings = load(file)
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
    from edgegw.cli.settings import paths

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
    from edgegw.cli.settings import load, paths

    if sensors:
        control.ask(paths(file).control, "restart", sensors=list(sensors))
        return f"restarting {', '.join(sensors)}"
    load(file)  # a faulty file must not stop what runs
    stop(file, 15.0)
    return background(file)
