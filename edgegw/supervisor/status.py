"""What the control socket is told: status, restart, reload, stop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import msgspec

from edgegw.clock import NS_PER_S, Clock
from edgegw.control import Declined
from edgegw.errors import EdgegwError, Exit
from edgegw.supervisor.child import Child
from edgegw.supervisor.crew import Crew
from edgegw.supervisor.family import Family, Order, Phase
from edgegw.supervisor.reload import Reloader


class Desk:
    """Answers requests and collects the orders that follow from them; the loop carries them out in the same turn."""

    def __init__(self, family: Family, crew: Crew, reloader: Reloader, clock: Clock) -> None:
        self._family = family
        self._crew = crew
        self._reloader = reloader
        self._clock = clock
        self._started = self._now()
        self._orders: list[Order] = []

    def answer(self, verb: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Raises Declined."""
        if verb == "status":
            return self._status()
        if verb == "restart":
            return self._restart(arguments.get("sensors"))
        if verb == "reload":
            return self._reload()
        if verb == "stop":
            self._orders += self._family.stop(self._now())
            return {"state": self._family.phase}
        raise Declined(f"this gateway does not know the verb {verb!r}; it knows status, restart, reload and stop", Exit.USAGE)

    def hear_sighup(self) -> None:
        """Reload. Nobody waits for an answer: how it went is in the log and in the status."""
        with contextlib.suppress(EdgegwError):
            self._reload()

    def orders(self) -> list[Order]:
        """Those since the last call."""
        orders, self._orders = self._orders, []
        return orders

    def _restart(self, sensors: object) -> Mapping[str, object]:
        if not isinstance(sensors, list) or not sensors:
            raise Declined("restart needs a list of sensors", Exit.USAGE)
        known = self._family.names()
        unknown = [str(name) for name in sensors if name not in known]
        if unknown:
            raise Declined(f"there is no sensor {unknown[0]!r}; there are {', '.join(known)}", Exit.NO_SUCH_SENSOR)
        if self._family.phase is Phase.STOPPING:
            raise Declined("the gateway is stopping")
        self._orders += self._family.restart(sensors, self._now())
        return {"restarting": sensors}

    def _reload(self) -> Mapping[str, object]:
        renewal, orders = self._reloader.reload(self._now())
        self._orders += orders
        return {**self._reloader.plan.about, **msgspec.structs.asdict(renewal)}

    def _status(self) -> Mapping[str, object]:
        now = self._now()
        return {
            **self._reloader.plan.about,
            "pid": os.getpid(),
            "uptime_s": round(now - self._started, 3),
            "state": self._family.phase,
            "reload": self._reloader.outcome,
            "children": [self._of(child, now) for child in self._family.children],
        }

    def _of(self, child: Child, now: float) -> Mapping[str, object]:
        heard = child.heard_at if child.alive else None
        return {
            "name": child.spec.name,
            "role": child.spec.role,
            "sensors": list(child.spec.sensors),
            "state": child.state,
            "pid": self._crew.pid(child),
            "uptime_s": round(now - child.started_at, 3) if child.alive else None,
            "restarts": max(0, child.starts - 1),
            "why": child.why,
            "status": child.said,
            "health": _parsed(child.health),
            "beat_age_s": None if heard is None else round(max(0.0, now - heard), 3),
        }

    def _now(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S


def _parsed(health: str | None) -> object:
    try:
        return None if health is None else msgspec.json.decode(health)
    except (msgspec.DecodeError, RecursionError):
        return None
