"""The supervisor process: one calm loop that starts, watches, restarts and stops; it knows no sensor and no broker."""

from __future__ import annotations

import random as randomness
import selectors
from collections.abc import Mapping, Sequence
from contextlib import closing

from edgegw.clock import Clock, SystemClock
from edgegw.control import ControlServer
from edgegw.notify import Notifier, NotifySocket
from edgegw.paths import Paths
from edgegw.supervisor.child import Child
from edgegw.supervisor.crew import Crew
from edgegw.supervisor.family import Family
from edgegw.supervisor.fork import Nursery
from edgegw.supervisor.inbox import Inbox
from edgegw.supervisor.loop import Log, Loop, Outside
from edgegw.supervisor.place import claimed
from edgegw.supervisor.spec import BRIDGE, WORKER, ChildSpec
from edgegw.supervisor.status import Desk
from edgegw.supervisor.upward import Upward

__all__ = ["BRIDGE", "WORKER", "ChildSpec", "Log", "run"]


def run(
    specs: Sequence[ChildSpec],
    paths: Paths,
    *,
    log: Log,
    upstream: Notifier,
    about: Mapping[str, str | int | float | None],
    clock: Clock | None = None,
) -> int:
    """Keep these children running until told to stop; the exit code. Only from the main thread of a process without others.

    `about` (gateway, version, ...) is shown by status. Sets the umask to 0077 while it runs. Raises AlreadyRunning, or
    PlaceError where a directory cannot be used; nothing has been touched then.
    """
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError("two children have the same name")
    clock = clock or SystemClock()
    family = Family([Child(spec, randomness.SystemRandom().random) for spec in specs])
    with claimed(paths), Inbox() as inbox, Nursery(paths.notify) as nursery, selectors.DefaultSelector() as selector:
        crew = Crew(nursery, selector)
        desk = Desk(family, crew, about, clock)
        with closing(NotifySocket(paths.notify)) as ears, closing(ControlServer(paths.control, desk.answer)) as control:
            outside = Outside(inbox, ears, control, desk, Upward(upstream, family))
            return Loop(family, crew, outside, log, clock).run(selector)
