"""The supervisor's one loop: waits for signals, datagrams, ends of processes, requests and the clock, and does what they ask for."""

from __future__ import annotations

import selectors
from typing import NamedTuple

from edgegw.clock import NS_PER_S, Clock
from edgegw.control import ControlServer
from edgegw.errors import Exit
from edgegw.notify import NotifySocket
from edgegw.supervisor.child import Child
from edgegw.supervisor.crew import Crew
from edgegw.supervisor.errand import Errand
from edgegw.supervisor.family import Family
from edgegw.supervisor.inbox import Inbox
from edgegw.supervisor.lateness import excused_s
from edgegw.supervisor.logs import Log, Logger
from edgegw.supervisor.reload import Reloader
from edgegw.supervisor.spec import WORKER
from edgegw.supervisor.status import Desk
from edgegw.supervisor.upward import Upward
from edgegw.supervisor.words import Change, State

TURN_s = 0.5  # the longest wait: what passes inside one wait cannot be told from a pause of the whole machine


class Outside(NamedTuple):
    """Whom the loop listens to and answers."""

    inbox: Inbox
    ears: NotifySocket
    control: ControlServer
    desk: Desk
    reloader: Reloader
    upward: Upward


class Loop:
    """Everything happens in turns of one thread; nothing in a turn waits but the selector."""

    def __init__(self, family: Family, crew: Crew, outside: Outside, log: Log, clock: Clock) -> None:
        self._family = family
        self._crew = crew
        self._outside = outside
        self._log = log
        self._clock = clock
        self._turned = self._now()

    def run(self, selector: selectors.BaseSelector) -> int:
        """Until everything has stopped; the exit code. The crew's processes report through the same selector."""
        for source in (self._outside.inbox, self._outside.ears, self._outside.control):
            selector.register(source, selectors.EVENT_READ)
        self._turned = self._now()
        self._family.begin(self._turned)
        while not self._family.done:
            self._turn(selector)
        return Exit.FAILED if self._family.abandoned else Exit.DONE

    def _turn(self, selector: selectors.BaseSelector) -> None:
        planned_s = min(TURN_s, max(0.0, self._family.due() - self._now()))
        ready = selector.select(planned_s)
        now = self._now()
        self._excuse(now - self._turned, planned_s)
        self._turned = now
        self._hear(now)
        for child in [key.data for key, _ in ready if isinstance(key.data, Child)]:
            self._crew.reap(child, now)
        if any(isinstance(key.data, Errand) for key, _ in ready):
            self._outside.reloader.kept()
        self._report()  # so that the log tells what ended before it tells what was done about it
        self._requests(now)
        self._crew.obey(self._family.turn(now), now)
        self._outside.upward.turn(now)
        self._report()
        self._outside.reloader.keep()
        self._log.drain()

    def _excuse(self, elapsed_s: float, planned_s: float) -> None:
        seconds = excused_s(elapsed_s, planned_s)
        if seconds:
            for child in self._family.children:
                child.excuse(seconds)

    def _hear(self, now: float) -> None:
        for pid, fields in self._outside.ears.receive():
            child = self._crew.child(pid)
            if child is not None:
                child.heard(now, fields)

    def _requests(self, now: float) -> None:
        asked = self._outside.inbox.asked()
        for _ in range(asked.stops):
            self._crew.obey(self._family.stop(now), now)
        if asked.reload:
            self._outside.desk.hear_sighup()
        self._outside.control.turn(now)
        self._crew.obey(self._outside.desk.orders(), now)

    def _report(self) -> None:
        for child in self._family.children:
            for change in child.changes():
                _write(self._logger(child), change, self._crew.pid(child))
        self._family.part()

    def _logger(self, child: Child) -> Logger:
        return self._log.logger(**_who(child))

    def _now(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S


def _who(child: Child) -> dict[str, str]:
    return {"sensor" if child.spec.role == WORKER else "child": child.spec.name}


def _write(log: Logger, change: Change, pid: int | None) -> None:
    fields = {"why": change.why or None, "pid": pid, "retry_in_s": round(change.wait_s, 1) or None}
    say = {State.BACKOFF: log.warning, State.QUARANTINED: log.error}.get(change.state, log.info)
    say(f"child_{change.state.lower()}", **{key: value for key, value in fields.items() if value is not None})
