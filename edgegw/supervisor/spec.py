"""What the supervisor is told about a child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from edgegw.retry import RestartPolicy

Role = Literal["bridge", "worker"]
BRIDGE: Role = "bridge"
WORKER: Role = "worker"


class ChildSpec(msgspec.Struct, frozen=True):
    """One process: what runs in it, and how much patience it deserves."""

    name: str
    role: Role  # the bridge is first up and last down
    body: Callable[[int], int]  # gets the read end of the lifeline (EOF: the supervisor is gone); returns an exit code
    policy: RestartPolicy = RestartPolicy()
    grace_s: float = 15.0  # from the start until it says READY
    watchdog_s: float = 3.0  # silence that means it hangs, once it has said READY; it should beat every third of that
    stop_s: float = 3.0  # between SIGTERM and force
    sensors: tuple[str, ...] = ()  # whom to restart it for, beside its own name
    fingerprint: str = ""  # of all the settings that the body depends on: another one means that it has to be restarted
    claims: frozenset[str] = frozenset()  # what only one process may have at a time, its device above all
