"""The children together, still pure: who starts when, who stops when, and when start-up is over."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence

from edgegw.supervisor.child import Child, Do, State
from edgegw.supervisor.spec import BRIDGE

Order = tuple[Child, Do]


class Phase(enum.StrEnum):
    """Of the whole gateway; part of the status answer."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Family:
    """Bridge first, workers once it is ready or its grace is over; the reverse on the way down."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = tuple(children)
        self.phase = Phase.STARTING
        self._bridges = [child for child in children if child.spec.role == BRIDGE]
        self._workers = [child for child in children if child.spec.role != BRIDGE]
        self._workers_due = -math.inf
        self._workers_started = False
        self._bridge_told = False

    def begin(self, now: float) -> None:
        """Bring the bridge up."""
        self._workers_due = now + max((bridge.spec.grace_s for bridge in self._bridges), default=-math.inf)
        for bridge in self._bridges:
            bridge.start(now)

    def turn(self, now: float) -> list[Order]:
        """What is due now."""
        if self.phase is Phase.STOPPING:
            return [*self._ticks(now), *self._after_workers(now)]
        if not self._workers_started and (now >= self._workers_due or self._bridge_runs()):
            self._workers_started = True
            for worker in self._workers:
                worker.start(now)
        if self._workers_started and self._bridge_runs() and all(child.settled for child in self.children):
            self.phase = Phase.RUNNING
        return self._ticks(now)

    def due(self) -> float:
        """When turn() wants to be called, if nothing happens before."""
        workers_due = math.inf if self._workers_started or self.phase is Phase.STOPPING else self._workers_due
        return min(workers_due, *(child.due for child in self.children), math.inf)

    def stop(self, now: float) -> list[Order]:
        """Wind down in order; the second time, at once."""
        if self.phase is Phase.STOPPING:
            return _orders((child, child.kill(now)) for child in self.children)
        self.phase = Phase.STOPPING
        return _orders((worker, worker.stop(now)) for worker in self._workers)

    def restart(self, names: Iterable[str], now: float) -> list[Order]:
        """Fresh processes for these, processes or sensors; names must be known."""
        wanted = set(names)
        return _orders((child, child.restart(now)) for child in self.children if wanted & _names(child))

    def names(self) -> list[str]:
        """What can be restarted: processes, and the sensors that they read, in the order of start."""
        return list(dict.fromkeys(name for child in self.children for name in (*child.spec.sensors, child.spec.name)))

    def bridge_heard(self, now: float) -> bool:
        """Whether the bridge has given a sign of life within its time."""
        return all(
            bridge.alive and bridge.heard_at is not None and now - bridge.heard_at <= bridge.spec.watchdog_s for bridge in self._bridges
        )

    def summary(self) -> str:
        """One line for people."""
        running = sum(worker.state is State.RUNNING for worker in self._workers)
        bridge = "" if self._bridge_runs() or self.phase is Phase.STOPPING else "; the bridge is not running"
        return f"{self.phase.value}: {running} of {len(self._workers)} sensors running{bridge}"

    @property
    def done(self) -> bool:
        """Stopping is over."""
        return self.phase is Phase.STOPPING and all(child.state is State.EXITED for child in self.children)

    @property
    def abandoned(self) -> list[str]:
        """Those that no signal could end."""
        return [child.spec.name for child in self.children if child.state is State.EXITED and child.alive]

    def _bridge_runs(self) -> bool:
        return all(bridge.state is State.RUNNING for bridge in self._bridges)

    def _after_workers(self, now: float) -> list[Order]:
        if self._bridge_told or any(worker.state is not State.EXITED for worker in self._workers):
            return []
        self._bridge_told = True
        return _orders((bridge, bridge.stop(now)) for bridge in self._bridges)

    def _ticks(self, now: float) -> list[Order]:
        return _orders((child, child.tick(now)) for child in self.children)


def _names(child: Child) -> set[str]:
    return {child.spec.name, *child.spec.sensors}


def _orders(answers: Iterable[tuple[Child, Do | None]]) -> list[Order]:
    return [(child, do) for child, do in answers if do is not None]
