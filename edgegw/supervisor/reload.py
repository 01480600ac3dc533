"""Puts another plan in force while everything runs, or leaves everything as it was and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgegw.clock import Clock
from edgegw.control import Declined
from edgegw.errors import EdgegwError, Exit
from edgegw.supervisor.child import Child
from edgegw.supervisor.errand import Errand
from edgegw.supervisor.family import Family, Order, Phase, Renewal
from edgegw.supervisor.logs import Log
from edgegw.supervisor.plan import Load, Plan
from edgegw.supervisor.spec import ChildSpec

Outcome = Mapping[str, object]


class Reloader:
    """Knows the plan in force and how the last attempt to renew it went."""

    def __init__(
        self, plan: Plan, family: Family, load: Load | None, hire: Callable[[ChildSpec], Child], errand: Errand, log: Log, clock: Clock
    ) -> None:
        self.plan = plan
        self.outcome: Outcome | None = None  # ok, at_ns (wall clock), why; None: nobody has asked for one yet
        self._family = family
        self._load = load
        self._hire = hire
        self._errand = errand
        self._log = log  # asked for a logger each time: a reload may change it
        self._clock = clock
        self._unkept = plan.keep is not None

    def reload(self, now: float) -> tuple[Renewal, list[Order]]:
        """What changes, and what is to be done for it; `now` is monotonic seconds. Raises EdgegwError: then nothing has changed."""
        try:
            plan = self._loaded()
        except EdgegwError as error:
            self._note(str(error))
            self._log.logger().error("reload_refused", why=str(error))
            raise
        renewal, orders = self._family.renew(plan.specs, self._hire, now)
        self.plan, self._unkept = plan, plan.keep is not None
        self._note("")
        self._log.logger().info("reloaded", started=renewal.started, stopped=renewal.stopped, restarted=renewal.restarted)
        return renewal, orders

    def keep(self) -> None:
        """Have the plan kept, once, when everybody in it has settled."""
        if self._unkept and self.plan.keep and self._family.phase is Phase.RUNNING and self._family.settled:
            self._unkept = False
            self._complain(self._errand.run(self.plan.keep))

    def kept(self) -> None:
        """The errand is through, says the selector."""
        self._complain(self._errand.reap())

    def _loaded(self) -> Plan:
        if self._load is None:
            raise Declined("this gateway was started without a configuration that could be read again")
        if self._family.phase is Phase.STOPPING:
            raise Declined("the gateway is stopping, nothing was changed")
        try:
            return self._load()
        except EdgegwError:
            raise
        except Exception as error:  # a driver is anybody's code, and importing it runs it; the gateway goes on without it
            self._log.logger().error("reload_bug", exc_info=True)
            raise Declined(f"a bug in loading it: {type(error).__name__}: {error}; nothing was changed", Exit.INTERNAL) from error

    def _note(self, why: str) -> None:
        self.outcome = {"ok": not why, "at_ns": self._clock.wall_ns(), "why": why}

    def _complain(self, why: str) -> None:
        if why:
            self._log.logger().warning("configuration_not_kept", why=f"the copy of the configuration that works was not written: {why}")
