"""Plays a plan on a stage: faults in their order, what they leave open taken back in time, and a look at the gateway every second."""

from __future__ import annotations

import contextlib
import heapq
import time
from collections import Counter
from collections.abc import Callable

from edgegw import control, failpoint
from edgegw.errors import EdgegwError
from tests.chaos.faults import ALL, ready
from tests.chaos.liveness import Liveness
from tests.chaos.plan import Plan, Step
from tests.chaos.stage import Stage
from tests.services.base import until

STATUS_s, LOOK_s = 10.0, 1.0
WARM_s = 4.0  # a quorum queue that is younger does not survive a crash of its broker
START_s, DRAIN_s = 90, 300
ILL_s = 5.0  # in backoff or quarantine for so long, a child is started by hand, as an operator would


class Run:
    """One walk. `say` takes a line of progress."""

    def __init__(self, stage: Stage, plan: Plan, say: Callable[[str], None]) -> None:
        self.stage = stage
        self.plan = plan
        stage.gateway.environment[failpoint.SEED] = str(plan.seed)
        self.done = Counter[str]()
        self.live = Liveness()
        self.said: list[str] = []
        self._out = say
        self._begun = time.monotonic()
        self._open: list[tuple[float, int, Step]] = []  # when to take it back
        self._looked = self._told = 0.0
        self._marks: dict[str, int] = {}  # child → readings acknowledged when it was last hit
        self._ill: dict[str, float] = {}

    def say(self, line: str) -> None:
        """To whoever waits; it is noted, too."""
        self.said.append(line)
        self._out(line)

    def play(self) -> None:
        """Start, all faults, drain, stop. AssertionError where the gateway does not get well."""
        self.stage.gateway.start()
        self._warm_up()
        self.live.begin(self.stage.gateway)
        for number, step in enumerate(self.plan.steps):
            self._pass(step.after_s)
            if self.plan.name == "kills":
                self._loaded(step.target)
            self._do(number, step)
        self._pass(1.0)
        while self._open:
            self._undo(heapq.heappop(self._open)[2])
        self.live.look(self.stage.gateway)
        self._drain()
        self.live.end(self.stage.gateway)
        self.stage.gateway.stop()

    def _warm_up(self) -> None:
        def flows() -> bool:
            sinks = self.stage.gateway.bridge_sinks()
            return len(sinks) == 2 and all(sink["delivered"] for sink in sinks.values())

        until(flows, START_s, "first deliveries to both sinks")
        if any(step.target == "rabbitmq" and "server" in step.fault for step in self.plan.steps):
            self._pass(WARM_s)

    def _loaded(self, name: str) -> None:
        """Wait until that child runs and its readings have been acknowledged since it was hit: what is killed at rest proves nothing."""
        ready(self.stage, name)

        def flows() -> bool:
            found = self.stage.gateway.acknowledged()
            return (found.total() if name == "bridge" else found[name]) > self._marks.get(name, 0)

        until(flows, START_s, f"readings through {name}")
        found = self.stage.gateway.acknowledged()
        self._marks[name] = found.total() if name == "bridge" else found[name]

    def _do(self, number: int, step: Step) -> None:
        fault = ALL[step.fault]
        for entry in [entry for entry in self._open if (entry[2].fault, entry[2].target) == (step.fault, step.target)]:
            self._open.remove(entry)
            heapq.heapify(self._open)
            self._undo(entry[2])
        self.say(f"{self._clock()} {number + 1:4d}/{len(self.plan.steps)} {step.what}")
        with self.live.excused(fault.stops):
            fault.do(self.stage, step.target)
        self.done[step.fault] += 1
        if fault.undo is not None:
            heapq.heappush(self._open, (time.monotonic() + step.for_s, number, step))

    def _undo(self, step: Step) -> None:
        undo = ALL[step.fault].undo
        assert undo is not None
        undo(self.stage, step.target)

    def _pass(self, seconds: float) -> None:
        end = time.monotonic() + seconds

        def over() -> bool:
            self._turn()
            return time.monotonic() >= end

        until(over, seconds + DRAIN_s, "the time to pass")

    def _turn(self) -> None:
        now = time.monotonic()
        while self._open and self._open[0][0] <= now:
            self._undo(heapq.heappop(self._open)[2])
        if now - self._looked >= LOOK_s:
            self._looked = now
            self._nurse(now)
            self.live.look(self.stage.gateway)
        if now - self._told >= STATUS_s:
            self._told = now
            self.say(f"{self._clock()} {self.live.line()}; {self._lags()}")

    def _nurse(self, now: float) -> None:
        """Start by hand what has been waiting for long: a walk makes more faults in a minute than a gateway has to forgive."""
        ill = {name for name, child in self.stage.gateway.children().items() if child["state"] in ("BACKOFF", "QUARANTINED")}
        self._ill = {name: self._ill.get(name, now) for name in ill}
        waiting = [name for name, since in self._ill.items() if now - since > ILL_s]
        if waiting:
            with contextlib.suppress(EdgegwError):
                control.ask(self.stage.gateway.paths.control, "restart", sensors=waiting)

    def _drain(self) -> None:
        self.stage.servers.well()

        def drained() -> bool:
            self._turn()
            sinks = self.stage.gateway.bridge_sinks()
            children = self.stage.gateway.children()
            running = bool(children) and all(child["state"] == "RUNNING" for child in children.values())
            return running and len(sinks) == 2 and all(sink["up"] and sink["lag_s"] < 3 for sink in sinks.values())

        until(drained, DRAIN_s, "every process to run and both sinks to have everything")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._begun:7.1f} s"

    def _lags(self) -> str:
        sinks = self.stage.gateway.bridge_sinks().items()
        return ", ".join(f"{name} {'up' if sink['up'] else 'DOWN'}, lag {sink['lag']}" for name, sink in sinks)
