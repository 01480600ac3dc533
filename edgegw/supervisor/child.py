"""The life of one child as a pure state machine: what happened and when goes in, what to do comes out. Touches no process."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from edgegw.notify import extension_s, health
from edgegw.retry import Quarantine, backoff, decide, remember
from edgegw.supervisor.spec import ChildSpec
from edgegw.supervisor.words import Change, Do, State

_HUNG_DUMP_s = 1.0  # between SIGABRT and SIGKILL: faulthandler writes the stacks
_STOP_DUMP_s = 0.25  # the same where the whole gateway waits for it
_KILLED_s = 5.0  # after SIGKILL: what is still there hangs in the kernel
_STOP_KILLED_s = 0.25
_HELD_s = 0.5  # until it is looked again whether somebody still has its device
_UNBORN_s = 10.0  # the longest pause after a fork that failed: to try costs next to nothing
UNKILLABLE = "survives SIGKILL: it hangs in the kernel, most likely in its device; nothing else is started on that device"


class _Aim(enum.Enum):
    """What should be once the present process has ended."""

    RUN = enum.auto()
    RUN_AT_ONCE = enum.auto()
    REST = enum.auto()


class Child:
    """Every method takes the monotonic time in seconds; tick() is to be called once `due` has come."""

    def __init__(self, spec: ChildSpec, random: Callable[[], float]) -> None:
        self.spec = spec
        self.state = State.STARTING
        self.why = ""
        self.due = math.inf
        self.alive = False  # there is a process
        self.settled = False  # has been running or has failed at least once: start-up need not wait for it
        self.starts = 0
        self.started_at = 0.0
        self.heard_at: float | None = None  # None: this process has not said anything yet
        self.health: str | None = None  # JSON, as it sent it
        self.said = ""  # its own status line
        self._random = random
        self._failures: tuple[float, ...] = ()
        self._unborn = 0  # forks that failed since the last that did not
        self._next: ChildSpec | None = None  # for the process after the present one
        self._aim = _Aim.RUN
        self._blame = ""
        self._ladder: list[tuple[Do | None, float]] = []
        self._changes: list[Change] = []

    @property
    def wanted(self) -> ChildSpec:
        """What it is to run, at the latest once its present process has ended."""
        return self._next or self.spec

    def changes(self) -> list[Change]:
        """Those since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def start(self, now: float) -> None:
        """It may run from now on."""
        self.due = now

    def started(self, now: float) -> None:
        """There is a process."""
        self.alive, self.starts, self.started_at, self._unborn = True, self.starts + 1, now, 0
        self.heard_at, self.health, self.said = None, None, ""
        self.due = now + self.spec.grace_s
        self._become(State.STARTING, self.why)

    def unstartable(self, now: float, why: str) -> None:
        """There is no process, for want of memory or the like. The machine's fault: tried for ever, and never quarantined for it."""
        self.settled = True
        self._wait(now, State.BACKOFF, why, backoff(self._unborn, self.spec.policy.base_s, _UNBORN_s, 0.2, self._random))
        self._unborn += 1

    def hold(self, now: float, why: str) -> None:
        """It is due, but must not start yet."""
        self.due = now + _HELD_s
        if self.why != why:
            self._become(self.state, why)

    def heard(self, now: float, fields: dict[str, str]) -> None:
        """It sent a datagram: any is a sign of life."""
        self.heard_at = now
        self.health = health(fields) or self.health
        self.said = fields.get("STATUS", self.said)
        if self.state is State.STARTING and fields.get("READY") == "1":
            self.settled = True
            self._become(State.RUNNING, "")
        elif self.state is State.STARTING:
            self.due = max(self.due, now + extension_s(fields))
        if self.state is State.RUNNING:
            self.due = now + self.spec.watchdog_s

    def excuse(self, seconds: float) -> None:
        """For so long nobody could have been heard (the machine slept): that time does not count against the process."""
        if self.alive:
            self.due += seconds
            if self.heard_at is not None:
                self.heard_at += seconds

    def ended(self, now: float, reason: str) -> None:
        """The process is gone; `reason` in plain words."""
        self.alive = False
        self.due = math.inf
        self.spec, self._next = self.wanted, None
        last_words = f"{self.said} ({reason})" if self.said else reason
        blame, self._blame = self._blame or last_words, ""
        if self._aim is _Aim.REST:
            self._become(State.EXITED, blame)
        elif self._aim is _Aim.RUN_AT_ONCE:
            self._run_at_once(now)
        else:
            self._failed(now, blame)

    def tick(self, now: float) -> Do | None:
        """What the time asks for."""
        if now < self.due:
            return None
        if not self.alive:
            self.due = math.inf
            return Do.START
        if self.state is State.STARTING:
            return self._hung(now, f"never became ready within {self.spec.grace_s:g} s")
        if self.state is State.RUNNING:
            return self._hung(now, f"did not answer for {self.spec.watchdog_s:g} s (stack dump in the log)")
        return self._climb(now)

    def stop(self, now: float) -> Do | None:
        """It shall end and stay away."""
        self._aim = _Aim.REST
        if not self.alive:
            self.due = math.inf
            self._become(State.EXITED, self.why)
            return None
        if self.state is not State.STOPPING:
            return self._terminate(now, "told to stop")
        self._ladder = [*self._ladder[:-1], (None, _STOP_KILLED_s)]
        if len(self._ladder) == 1:
            self.due = min(self.due, now + _STOP_KILLED_s)
        return None

    def restart(self, now: float) -> Do | None:
        """An operator wants a fresh one: not a failure, and what was is forgotten."""
        self._failures = ()
        if self._aim is _Aim.REST:
            return None
        if self.alive:
            self._aim = _Aim.RUN_AT_ONCE
            return None if self.state is State.STOPPING else self._terminate(now, "restarted by the operator")
        if self.state is not State.STARTING:  # else it waits for its turn
            self._run_at_once(now)
        return None

    def refresh(self, spec: ChildSpec) -> None:
        """The same settings, read again: nothing to do, but what is started from now on is started from these."""
        if self._next is None:
            self.spec = spec
        else:
            self._next = spec

    def adopt(self, spec: ChildSpec, now: float) -> Do | None:
        """Other settings, or new ones for a child that was to stay away: a fresh process with them, and what was is forgotten."""
        self._failures, self._unborn, self.settled = (), 0, False
        if self.alive:
            self._next, self._aim = spec, _Aim.RUN_AT_ONCE
            if self.state is State.EXITED:
                self._become(State.STOPPING, UNKILLABLE)
            return None if self.state is State.STOPPING else self._terminate(now, "its configuration changed")
        self.spec, self._aim = spec, _Aim.RUN
        if self.state is not State.STARTING:  # else it waits for its turn
            self._become(State.STARTING, "")
            self.due = now
        return None

    def kill(self, now: float) -> Do | None:
        """Stop, now."""
        if not self.alive:
            return self.stop(now)
        self.stop(now)
        self._ladder, self.due = [(None, _STOP_KILLED_s)], now + _STOP_KILLED_s
        return Do.KILL

    def _terminate(self, now: float, why: str) -> Do:
        self._ladder = [(Do.ABORT, self.spec.stop_s), (Do.KILL, _STOP_DUMP_s), (None, _STOP_KILLED_s)]
        self.due = now + self.spec.stop_s
        self._become(State.STOPPING, why)
        return Do.TERMINATE

    def _hung(self, now: float, why: str) -> Do:
        self._blame = why
        self._ladder = [(Do.KILL, _HUNG_DUMP_s), (None, _KILLED_s)]
        self.due = now + _HUNG_DUMP_s
        self._become(State.STOPPING, why)
        return Do.ABORT

    def _climb(self, now: float) -> Do | None:
        do = self._ladder.pop(0)[0] if self._ladder else None
        self.due = now + self._ladder[0][1] if self._ladder else math.inf
        if do is None:
            self._become(State.EXITED if self._aim is _Aim.REST else State.STOPPING, UNKILLABLE)
        elif do is Do.ABORT:
            self._blame = f"did not stop within {self.spec.stop_s:g} s (stack dump in the log)"
        return do

    def _failed(self, now: float, reason: str) -> None:
        policy = self.spec.policy
        self.settled = True
        self._failures = remember(policy, self._failures, now - self.started_at, now)
        decision = decide(policy, self._failures, now, self._random)
        if isinstance(decision, Quarantine):
            why = f"{reason}; {policy.burst} failures in a row, next try in {decision.probe_after_s:g} s"
            self._wait(now, State.QUARANTINED, why, decision.probe_after_s)
        else:
            self._wait(now, State.BACKOFF, reason, decision.after_s)

    def _wait(self, now: float, state: State, why: str, seconds: float) -> None:
        self.due = now + seconds
        self._become(state, why)
        self._changes[-1] = Change(state, why, seconds)

    def _run_at_once(self, now: float) -> None:
        self._aim = _Aim.RUN
        self.why = ""
        self.due = now

    def _become(self, state: State, why: str) -> None:
        self.state, self.why = state, why
        self._changes.append(Change(state, why))
