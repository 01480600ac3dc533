"""The faults by name: what is done to the stage, what takes it back, and which declared losses it excuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tests.chaos import on_gateway, on_network, on_processes, on_servers
from tests.chaos.stage import Stage
from tests.services.base import until

PATIENCE_s = 90
Act = Callable[[Stage, str], object]


class Fault(msgspec.Struct, frozen=True):
    """`excuses`: causes of the books; what is declared under another cause should not have been lost."""

    do: Act
    undo: Act | None = None
    excuses: tuple[str, ...] = ()
    stops: bool = False  # the gateway does not run meanwhile


LOST: Final = ("lost",)  # what was in a worker's window when it died
ALL: Final[Mapping[str, Fault]] = {
    "kill": Fault(on_processes.kill, excuses=LOST),
    "freeze": Fault(on_processes.freeze, on_processes.thaw, LOST),
    "pause all": Fault(on_processes.pause_all, stops=True),
    "no writes": Fault(on_processes.no_writes, on_processes.writes),
    "kill supervisor": Fault(on_gateway.kill, None, LOST, stops=True),
    "stop": Fault(on_gateway.stop, None, LOST, stops=True),
    "failpoint": Fault(on_gateway.arm, None, LOST, stops=True),
    "restart": Fault(on_gateway.restart, excuses=LOST),
    "reload": Fault(on_gateway.remove, on_gateway.bring_back, LOST),
    "misconfigure": Fault(on_gateway.misconfigure),
    "second start": Fault(on_gateway.start_again),
    "full spool": Fault(on_gateway.fill_spool, on_gateway.drain_spool, ("lost", "refused", "evicted")),
    "stranger": Fault(on_gateway.babble),
    "deaf listener": Fault(on_gateway.turn_deaf, on_gateway.tune_out),
    "kill server": Fault(on_servers.kill, on_servers.start),
    "stop server": Fault(on_servers.stop, on_servers.start),
    "freeze server": Fault(on_servers.freeze, on_servers.start),
    "alarm": Fault(on_servers.alarm, on_servers.no_alarm),
    "full queue": Fault(on_servers.full_queue, on_servers.free_queue),
    "unbind": Fault(on_servers.unbind),
    "delete exchange": Fault(on_servers.delete_exchange),
    "kill connection": Fault(on_servers.kill_connection),
    "read only": Fault(on_servers.read_only, on_servers.read_write),
    "lose table": Fault(on_servers.lose_table, on_servers.find_table),
    "lock": Fault(on_servers.lock, on_servers.unlock),
    "cut": Fault(on_network.cut, on_network.mend),
    "reset": Fault(on_network.reset),
    "blackhole": Fault(on_network.swallow, on_network.pass_on),
    "deafen": Fault(on_network.deafen, on_network.reset),
    "latency": Fault(on_network.delay, on_network.no_delay),
}


def ready(stage: Stage, name: str, timeout_s: float = PATIENCE_s) -> None:
    """Wait until that child runs; one that waits for longer than a moment is started at once, as an operator would."""
    seen = 0

    def runs() -> bool:
        nonlocal seen
        state = stage.gateway.children().get(name, {}).get("state")
        seen += state in ("BACKOFF", "QUARANTINED")
        if seen > 20:  # some half a second of it
            seen = 0
            stage.gateway.run("restart", name)
        return state == "RUNNING"

    until(runs, timeout_s, f"{name} to run")
