"""A supervisor in a process of its own with children that behave or misbehave as a plan says; see supervised.py."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgegw.control import NoAnswer, ask
from edgegw.errors import NotRunning
from edgegw.paths import Paths
from tests.services.base import until

SCRIPT = Path(__file__).with_name("supervised.py")
ROOT = SCRIPT.parents[2]
PATIENCE_s = 30
SNAPPY = {"base_s": 0.05, "max_s": 0.2, "period_s": 60, "burst": 5, "probe_s": 600}

Told = dict[str, Any]


def bridge(body: str = "beats", **numbers: Any) -> Told:
    """A bridge in a plan."""
    return {"name": "bridge", "role": "bridge", "body": body, **numbers}


def worker(name: str, body: str = "beats", **numbers: Any) -> Told:
    """A worker in a plan."""
    return {"name": name, "role": "worker", "body": body, **numbers}


class Gateway:
    """One supervisor in a process of its own, its log in a file."""

    def __init__(
        self,
        place: Path,
        *children: Told,
        environ: dict[str, str] | None = None,
        ignoring: str = "",
        policy: Told | None = None,
        terminal: int | None = None,
    ) -> None:
        place.mkdir(exist_ok=True)
        self.paths = Paths(place / "run", place / "state")
        self.log_file = place / "log"
        self.plan = place / "plan.json"
        self._policy = policy or SNAPPY
        self.configure(*children)
        command = [sys.executable, str(SCRIPT), str(self.paths.runtime), str(self.paths.state), str(self.plan)]
        if ignoring:
            command = ["sh", "-c", f"trap '' {ignoring}; exec \"$@\"", "sh", *command]
        if terminal is not None:
            command = ["setsid", "--ctty", *command]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
                stdin=terminal,
                stderr=log,
                start_new_session=terminal is None,
            )

    def configure(self, *children: Told) -> None:
        """What it runs, or would after a reload; a reader sees the whole plan before or the whole plan after."""
        new = self.plan.with_suffix(".new")
        new.write_text(json.dumps({"children": children, "policy": self._policy}))
        new.replace(self.plan)

    def misconfigure(self, *problems: str) -> None:
        """The same with problems in it."""
        self.plan.write_text(json.dumps({"wrong": problems}))

    def reload(self) -> Told:
        """As `edgegw reload` asks for it. Raises Declined."""
        return ask(self.paths.control, "reload")

    def status(self) -> Told:
        """As an operator sees it; {} while it does not answer."""
        try:
            return ask(self.paths.control, "status")
        except (NotRunning, NoAnswer):
            return {}

    def child(self, name: str) -> Told:
        """Its part of the status; {} where there is none."""
        return next((child for child in self.status().get("children", []) if child["name"] == name), {})

    def pids(self) -> dict[str, int]:
        """Of every child by name."""
        return {child["name"]: child["pid"] for child in self.status()["children"]}

    def await_(self, claim: Callable[[Told], bool], what: str) -> Told:
        """The first status for which the claim holds; the log in the error when there is none."""

        def holds() -> Told:
            status = self.status()
            return status if status and claim(status) else {}

        try:
            return until(holds, PATIENCE_s, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\nstatus: {self.status()}\nlog:\n{self.log_text()}") from None

    def await_state(self, name: str, state: str, restarts: int = 0) -> Told:
        """The child's part of the first status in which it has that state and at least so many restarts."""

        def holds(status: Told) -> bool:
            return any(c["name"] == name and c["state"] == state and c["restarts"] >= restarts for c in status["children"])

        self.await_(holds, f"{name} to be {state}")
        return self.child(name)

    def running(self) -> Gateway:
        """Wait until start-up is over and every child has told its facts."""
        self.await_(lambda status: status["state"] == "running", "the gateway to be running")
        return self

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(PATIENCE_s)

    def stop(self) -> int:
        """Its exit code after a SIGTERM."""
        self.process.terminate()
        return self.wait()

    def log_text(self) -> str:
        """All that it wrote to stderr."""
        return self.log_file.read_text()

    def log(self, name: str) -> list[Told]:
        """What it logged about one child."""
        return [line for line in self.lines() if name in (line.get("sensor"), line.get("child"))]

    def lines(self) -> list[Told]:
        """What it logged. Children write to the same file, so a line may begin in the middle of what one of them says."""
        starts = re.finditer(r'\{"event"', text := self.log_text())
        return [json.JSONDecoder().raw_decode(text, start.start())[0] for start in starts]


@contextmanager
def a_gateway(
    place: Path,
    *children: Told,
    environ: dict[str, str] | None = None,
    ignoring: str = "",
    policy: Told | None = None,
    terminal: int | None = None,
) -> Iterator[Gateway]:
    """One that is gone afterwards, whatever happened.

    `ignoring`: signals that it starts with ignored; `policy`: else SNAPPY; `terminal`: what it is started on, else none.
    """
    gateway = Gateway(place, *children, environ=environ, ignoring=ignoring, policy=policy, terminal=terminal)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.process.kill()
        gateway.process.wait(PATIENCE_s)


class Held:
    """Processes that are no children of ours, by pidfd: whether and when they end."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._names = {os.pidfd_open(pid): name for name, pid in pids.items()}

    def ended(self, timeout_s: float) -> set[str]:
        """Those that end until then; returns early when all have."""
        poller = select.poll()
        for fd in self._names:
            poller.register(fd, select.POLLIN)
        gone: set[str] = set()
        while len(gone) < len(self._names) and (events := poller.poll(timeout_s * 1000)):
            for fd, _ in events:
                poller.unregister(fd)
                gone.add(self._names[fd])
        return gone

    def close(self) -> None:
        """Give the pidfds back."""
        for fd in self._names:
            os.close(fd)
