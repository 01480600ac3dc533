"""The processes behind the children: carries out what the state machines ask for and tells them what became of it."""

from __future__ import annotations

import selectors
import signal
from collections.abc import Iterable

from edgegw.supervisor.child import Child
from edgegw.supervisor.family import Order
from edgegw.supervisor.fork import Nursery, Process, why_not
from edgegw.supervisor.words import Do

_SIGNALS = {Do.TERMINATE: signal.SIGTERM, Do.ABORT: signal.SIGABRT, Do.KILL: signal.SIGKILL}


class Crew:
    """Registers every process with `selector`, its child as the data, so that the end of one wakes the loop."""

    def __init__(self, nursery: Nursery, selector: selectors.BaseSelector) -> None:
        self._nursery = nursery
        self._selector = selector
        self._processes: dict[str, Process] = {}
        self._children: dict[int, Child] = {}

    def pid(self, child: Child) -> int | None:
        """None while it has no process."""
        process = self._processes.get(child.spec.name)
        return process.pid if process else None

    def child(self, pid: int) -> Child | None:
        """Whose process that is; None for a stranger, or one that has been reaped."""
        return self._children.get(pid)

    def obey(self, orders: Iterable[Order], now: float) -> None:
        """Start and signal; `now` is monotonic seconds."""
        for child, do in orders:
            if do is Do.START:
                self._start(child, now)
            elif process := self._processes.get(child.spec.name):
                process.send(_SIGNALS[do])

    def reap(self, child: Child, now: float) -> None:
        """Its process has ended, says the selector."""
        process = self._processes[child.spec.name]
        reason = process.reap()
        if reason is None:
            return
        self._selector.unregister(process)
        process.close()
        del self._processes[child.spec.name], self._children[process.pid]
        child.ended(now, reason)

    def _start(self, child: Child, now: float) -> None:
        try:
            process = self._nursery.start(child.spec)
        except OSError as error:
            child.unstartable(now, why_not(error))
            return
        self._selector.register(process, selectors.EVENT_READ, child)
        self._processes[child.spec.name] = process
        self._children[process.pid] = child
        child.started(now)
