"""The children together, still pure: who starts when, who stops when, when start-up is over, and what another plan changes."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from edgegw.supervisor.child import Child
from edgegw.supervisor.spec import BRIDGE, ChildSpec
from edgegw.supervisor.words import Do, State

Order = tuple[Child, Do]


class Phase(enum.StrEnum):
    """Of the whole gateway; part of the status answer."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Renewal(msgspec.Struct, frozen=True):
    """What another plan changes, as names of processes."""

    started: list[str] = []
    stopped: list[str] = []
    restarted: list[str] = []
    unchanged: list[str] = []


class Family:
    """Bridge first, workers once it is ready or its grace is over; the reverse on the way down."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = tuple(children)  # those that are leaving stand at the end
        self.phase = Phase.STARTING
        self._leaving: set[str] = set()  # no longer wanted, and not gone yet
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
            for worker in self._staying:
                if worker.spec.role != BRIDGE:
                    worker.start(now)
        if self._workers_started and self._bridge_runs() and self.settled:
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
        return _orders((child, child.restart(now)) for child in self._staying if wanted & _names(child))

    def renew(self, specs: Sequence[ChildSpec], hire: Callable[[ChildSpec], Child], now: float) -> tuple[Renewal, list[Order]]:
        """Run these from now on: whose fingerprint is the same goes on untouched, the others start, restart, or stop for good.

        `hire` makes a child. Not while stopping.
        """
        known = {child.spec.name: child for child in self.children}
        wanted = {spec.name for spec in specs}
        renewal, asked = Renewal(), []
        children = []
        for spec in specs:
            child = known.get(spec.name)
            if child is None:
                children.append(self._welcome(hire(spec), now))
                renewal.started.append(spec.name)
            else:
                children.append(child)
                asked.append((child, self._renewed(child, spec, renewal, now)))
        for child in [child for child in self._staying if child.spec.name not in wanted]:
            self._leaving.add(child.spec.name)
            renewal.stopped.append(child.spec.name)
            asked.append((child, child.stop(now)))
        self.children = (*children, *(child for child in self.children if child.spec.name not in wanted))
        return renewal, _orders(asked)

    def part(self) -> None:
        """Forget those that left for good; to be called when their last change has been told."""
        gone = {child.spec.name for child in self.children if child.state is State.EXITED and not child.alive} & self._leaving
        if gone:
            self._leaving -= gone
            self.children = tuple(child for child in self.children if child.spec.name not in gone)

    def names(self) -> list[str]:
        """What can be restarted: processes, and the sensors that they read, in the order of start."""
        return list(dict.fromkeys(name for child in self._staying for name in (*child.wanted.sensors, child.spec.name)))

    def bridge_heard(self, now: float) -> bool:
        """Whether the bridge has given a sign of life within its time."""
        return all(
            bridge.alive and bridge.heard_at is not None and now - bridge.heard_at <= bridge.spec.watchdog_s for bridge in self._bridges
        )

    def summary(self) -> str:
        """One line for people."""
        workers = [child for child in self._staying if child.spec.role != BRIDGE]
        running = sum(worker.state is State.RUNNING for worker in workers)
        bridge = "" if self._bridge_runs() or self.phase is Phase.STOPPING else "; the bridge is not running"
        return f"{self.phase.value}: {running} of {len(workers)} sensors running{bridge}"

    @property
    def settled(self) -> bool:
        """Everybody who stays has been running or has failed at least once."""
        return all(child.settled for child in self._staying)

    @property
    def done(self) -> bool:
        """Stopping is over."""
        return self.phase is Phase.STOPPING and all(child.state is State.EXITED for child in self.children)

    @property
    def abandoned(self) -> list[str]:
        """Those that no signal could end."""
        return [child.spec.name for child in self.children if child.state is State.EXITED and child.alive]

    @property
    def _bridges(self) -> list[Child]:
        return [child for child in self.children if child.spec.role == BRIDGE]

    @property
    def _workers(self) -> list[Child]:
        return [child for child in self.children if child.spec.role != BRIDGE]

    @property
    def _staying(self) -> list[Child]:
        return [child for child in self.children if child.spec.name not in self._leaving]

    def _bridge_runs(self) -> bool:
        return all(bridge.state is State.RUNNING for bridge in self._bridges)

    def _welcome(self, child: Child, now: float) -> Child:
        if self._workers_started or child.spec.role == BRIDGE:
            child.start(now)
        return child

    def _renewed(self, child: Child, spec: ChildSpec, renewal: Renewal, now: float) -> Do | None:
        if spec.name not in self._leaving and child.wanted.fingerprint == spec.fingerprint:
            renewal.unchanged.append(spec.name)
            child.refresh(spec)
            return None
        (renewal.started if spec.name in self._leaving else renewal.restarted).append(spec.name)
        self._leaving.discard(spec.name)
        return child.adopt(spec, now)

    def _after_workers(self, now: float) -> list[Order]:
        if self._bridge_told or any(worker.state is not State.EXITED for worker in self._workers):
            return []
        self._bridge_told = True
        return _orders((bridge, bridge.stop(now)) for bridge in self._bridges)

    def _ticks(self, now: float) -> list[Order]:
        return _orders((child, self._tick(child, now)) for child in self.children)

    def _tick(self, child: Child, now: float) -> Do | None:
        holder = self._holder(child) if now >= child.due and not child.alive else None
        if holder:
            child.hold(now, f"waits for the process of {holder}, which still has the same device or sensor")
            return None
        return child.tick(now)

    def _holder(self, child: Child) -> str | None:
        """Who is alive and has what `child` would open: after a reload a device may stand under another name."""
        others = (other for other in self.children if other is not child and other.alive)
        return next((other.spec.name for other in others if other.spec.claims & child.spec.claims), None)


def _names(child: Child) -> set[str]:
    return {child.spec.name, *child.wanted.sensors}


def _orders(answers: Iterable[tuple[Child, Do | None]]) -> list[Order]:
    return [(child, do) for child, do in answers if do is not None]
