"""What a scenario has in its hands: it says what it does, and what it expects to happen within which time."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from edgegw.cli.drill import beats
from edgegw.cli.drill.scenario import Interrupted, Kind, Missed, Step
from edgegw.cli.drill.stage import Stage
from edgegw.clock import SystemClock
from edgegw.signals import StopNote

LOOK_s = 0.05
SETTLED_s = 1.5  # a process tells how it is once a second
PAUSE_s = 2.0  # no bystander may rest for longer, though it ticks every 10 ms: the machine may be busy with other things

Probe = Callable[[], object]  # false: not so; a text: it is so, and that is to be seen


class Listener(Protocol):
    """Whoever shows what happens."""

    def step(self, step: Step) -> None: ...
    def waiting(self, text: str, after_s: float, within_s: float) -> None: ...


class Play:
    """One scenario on its stage."""

    def __init__(self, stage: Stage, listener: Listener, stop: StopNote) -> None:
        self.stage = stage
        self.steps: list[Step] = []
        self._listener = listener
        self._stop = stop

    def did(self, text: str) -> None:
        """Something was done to the gateway, or to its surroundings."""
        self._note(Step(Kind.DID, text))

    def expect(self, text: str, probe: Probe, within_s: float) -> None:
        """Wait until it is so. Raises Missed when it is not so in time, and Interrupted."""
        begun = time.monotonic()
        while not (found := probe()):
            after_s = time.monotonic() - begun
            if after_s >= within_s:
                self._note(Step(Kind.EXPECTED, text, False, round(after_s, 2), within_s, self.stage.trouble()))
                raise Missed(text)
            self._listener.waiting(text, after_s, within_s)
            self._pause(LOOK_s)
        self._note(Step(Kind.EXPECTED, text, True, round(time.monotonic() - begun, 2), within_s, found if isinstance(found, str) else ""))

    def hold(self, text: str, ok: bool, found: str = "") -> None:
        """It is so now, or never. Raises Missed."""
        self._note(Step(Kind.EXPECTED, text, ok, found=found))
        if not ok:
            raise Missed(text)

    def kept(self, runs: Sequence[str]) -> None:
        """No reading of these runs was given up by a full window or a full spool. Raises Missed."""
        books = [self.stage.line(run) for run in runs]
        given_up = sum(line.dropped + line.refused for line in books if line)
        found = f"{given_up} given up" if given_up else "" if all(books) else "there is no book of them"
        self.hold("the sensors kept their readings meanwhile: none was given up", not found, found)

    @contextlib.contextmanager
    def undisturbed(self, *but: str) -> Iterator[None]:
        """At the end of the block: all processes but these are those of its beginning, and no sensor of theirs has rested."""
        since_ns = SystemClock().boot_ns()
        before = {name: child.pid for name, child in self.stage.children().items() if name not in but}
        yield
        after = {name: child.pid for name, child in self.stage.children().items() if name not in but}
        now_ns = SystemClock().boot_ns()
        journals = {name: self.stage.journals / name for name in before if name in self.stage.metronomes}
        pauses = [beats.longest_pause_s(journal, since_ns, now_ns) for journal in journals.values()]
        pause_s = max(pauses, default=0.0)
        text = f"nobody else noticed: the same {len(before)} processes, and no sensor rested for longer than {PAUSE_s:g} s"
        gone = [name for name, pid in before.items() if after.get(name) != pid]
        found = f"{', '.join(gone)} is another" if gone else f"longest rest {pause_s * 1000:.0f} ms"
        self.hold(text, not gone and pause_s <= PAUSE_s, found)

    def well(self, within_s: float = 30.0) -> None:
        """Expect the gateway to be all right: every process runs, every sink is up and has next to all, and every one has said so anew."""
        unwell_at = time.monotonic()

        def settled() -> str:
            nonlocal unwell_at
            found = self.stage.well()
            if not found:
                unwell_at = time.monotonic()
            return found if time.monotonic() - unwell_at >= SETTLED_s else ""

        self.expect("all is well: every process runs, every sink has caught up, and it stays so", settled, within_s)

    def _note(self, step: Step) -> None:
        self.steps.append(step)
        self._listener.step(step)

    def _pause(self, seconds: float) -> None:
        select.select([self._stop], [], [], seconds)
        if self._stop.asked:
            raise Interrupted
