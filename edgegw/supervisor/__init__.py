"""The supervisor process: one calm loop that starts, watches, restarts and stops; it knows no sensor and no broker."""

from __future__ import annotations

import random as randomness
import selectors
from contextlib import closing

from edgegw.clock import Clock, SystemClock
from edgegw.control import ControlServer
from edgegw.notify import Notifier, NotifySocket
from edgegw.paths import Paths
from edgegw.supervisor.child import Child
from edgegw.supervisor.crew import Crew
from edgegw.supervisor.errand import Errand
from edgegw.supervisor.family import Family
from edgegw.supervisor.fork import Nursery
from edgegw.supervisor.inbox import Inbox
from edgegw.supervisor.logs import Log
from edgegw.supervisor.loop import Loop, Outside
from edgegw.supervisor.place import claimed
from edgegw.supervisor.plan import Load, Plan
from edgegw.supervisor.reload import Reloader
from edgegw.supervisor.spec import BRIDGE, WORKER, ChildSpec
from edgegw.supervisor.status import Desk
from edgegw.supervisor.upward import Upward

__all__ = ["BRIDGE", "WORKER", "ChildSpec", "Load", "Log", "Plan", "run"]


def run(plan: Plan, paths: Paths, *, log: Log, upstream: Notifier, load: Load | None = None, clock: Clock | None = None) -> int:
    """Keep these children running until told to stop; the exit code. Only from the main thread of a process without others.

    `load` gives the plan anew, for a reload. Sets the umask to 0077 while it runs. Raises AlreadyRunning, or PlaceError where a
    directory cannot be used; nothing has been touched then.
    """
    clock = clock or SystemClock()
    family = Family([_hired(spec) for spec in plan.specs])
    # The inbox first: a SIGTERM must not end a gateway that has a lock and sockets already without clearing them away.
    with Inbox() as inbox, claimed(paths), Nursery(paths.notify) as nursery, selectors.DefaultSelector() as selector:
        crew = Crew(nursery, selector)
        with closing(Errand("last-good", nursery, selector)) as errand, closing(NotifySocket(paths.notify)) as ears:
            reloader = Reloader(plan, family, load, _hired, errand, log, clock)
            desk = Desk(family, crew, reloader, clock)
            with closing(ControlServer(paths.control, desk.answer)) as control:
                outside = Outside(inbox, ears, control, desk, reloader, Upward(upstream, family))
                return Loop(family, crew, outside, log, clock).run(selector)


def _hired(spec: ChildSpec) -> Child:
    return Child(spec, randomness.SystemRandom().random)
