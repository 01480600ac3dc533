"""A gateway whose children do nothing but behave or misbehave: `python supervised.py RUNTIME STATE PLAN`, PLAN being a JSON file.

PLAN: {"children": [{"name", "role", "body", ...numbers of ChildSpec}], "policy": {numbers of RestartPolicy}}, or {"wrong": [...]}
for a configuration with these problems. It is read again at a reload, and "last-good" beside it names the children of what was kept.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edgegw.clock import SystemClock
from edgegw.errors import ConfigError, EdgegwError, Problem
from edgegw.notify import Notifier
from edgegw.paths import Paths
from edgegw.retry import RestartPolicy
from edgegw.supervisor import BRIDGE, WORKER, ChildSpec, Plan, run

Body = Callable[[int], int]


def beats(lifeline: int) -> int:
    """As a good child does: ready, then a beat a second until told to stop or orphaned."""
    return _live(lifeline, Notifier.from_environment(os.environ))


def deaf(lifeline: int) -> int:
    """Alive, but SIGTERM means nothing to it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _live(lifeline, Notifier.from_environment(os.environ), heed=False)


def crashes(_lifeline: int) -> int:
    """Fails as a broken import would."""
    raise RuntimeError("broken on purpose")


def leaves(_lifeline: int) -> int:
    """Ends at once and says that all is well."""
    return 0


def mute(lifeline: int) -> int:
    """Never says READY."""
    select.select([lifeline], [], [])
    return 0


def spins(_lifeline: int) -> int:
    """Ready, and then in an endless loop."""
    Notifier.from_environment(os.environ).ready()
    return sum(0 for _ in iter(int, 1))


def holds_gil(_lifeline: int) -> int:
    """Ready, and then in a C function that keeps the interpreter's lock, as a bad extension module does."""
    Notifier.from_environment(os.environ).ready()
    return int(ctypes.PyDLL(None).sleep(3600))


def lifeline_only(lifeline: int) -> int:
    """Its death signal taken away: only the lifeline can tell it that it is alone."""
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    return _live(lifeline, Notifier.from_environment(os.environ), heed=False)


def blind(_lifeline: int) -> int:
    """Looks at no lifeline: only the death signal ends it."""
    notifier = Notifier.from_environment(os.environ)
    notifier.ready()
    while True:
        select.select([], [], [], 0.3)
        notifier.beat()


BODIES: dict[str, Body] = {body.__name__: body for body in (beats, deaf, crashes, leaves, mute, spins, holds_gil, lifeline_only, blind)}


def _live(lifeline: int, notifier: Notifier, *, heed: bool = True) -> int:
    near, far = os.pipe2(os.O_NONBLOCK)
    if heed:
        signal.signal(signal.SIGTERM, lambda *_: os.write(far, b"!") and None)
    notifier.ready()
    facts = json.dumps(_facts())
    while True:
        notifier.beat(facts)
        ready, _, _ = select.select([lifeline, near], [], [], min(notifier.interval_s or 1.0, 0.5))
        if ready:
            return 0 if near in ready else 3


def _facts() -> dict[str, Any]:
    """What a child can see of its inheritance; the tests read it in the status."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "fds": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")},
        "ignored": int(status["SigIgn"], 16),
        "blocked": int(status["SigBlk"], 16),
        "comm": Path("/proc/self/comm").read_text().strip(),
        "left_in_environment": [name for name in os.environ if name.startswith(("NOTIFY", "WATCHDOG"))],
        "umask": int(status["Umask"], 8),
        "frozen": __import__("gc").get_freeze_count(),
    }


class Stderr:
    """A log of one JSON object a line."""

    def __init__(self, **fields: object) -> None:
        self._fields = fields

    def logger(self, **fields: object) -> Stderr:
        return Stderr(**self._fields, **fields)

    def info(self, event: str, **fields: object) -> None:
        print(json.dumps({"event": event, "at": time.monotonic(), **self._fields, **fields}), file=sys.stderr, flush=True)

    warning = error = info

    def drain(self) -> None:
        pass


def load(file: Path) -> Plan:
    """The plan in `file`. Raises ConfigError."""
    told = json.loads(file.read_text())
    if "wrong" in told:
        raise ConfigError([Problem(str(file), 1, "sensors.front", what) for what in told["wrong"]])
    policy = RestartPolicy(**told.get("policy", {}))
    policies = {WORKER: policy, BRIDGE: RestartPolicy(quarantines=False, max_s=5)}
    specs = [_spec(child, policies[child["role"]]) for child in told["children"]]
    names = " ".join(spec.name for spec in specs)
    return Plan(tuple(specs), {"gateway": "test", "version": "0", "config": str(file)}, partial(_keep, file, names))


def _spec(child: dict[str, Any], policy: RestartPolicy) -> ChildSpec:
    settings = {**child, "body": BODIES[child["body"]], "policy": policy, "claims": frozenset(child.get("claims", ()))}
    return ChildSpec(**settings, fingerprint=json.dumps(child, sort_keys=True))


def _keep(file: Path, names: str, _lifeline: int) -> int:
    file.with_name("last-good").write_text(names)
    return 0


def main(runtime: str, state: str, plan: str) -> int:
    """The exit code of the gateway."""
    upstream = Notifier.from_environment(os.environ)
    again = partial(load, Path(plan))
    try:
        return run(again(), Paths(Path(runtime), Path(state)), log=Stderr(), upstream=upstream, load=again, clock=SystemClock())
    except EdgegwError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        upstream.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
