"""What the sinks have done, gathered into commits: cursor and counts move together, and nothing is counted twice or lost.

A forwarder tells each thing that it has done as one Step, with all that belongs to it. Gathering takes whole steps and keeps their
sum until a commit has it, so that after a failed commit the next one says all of it again. Where the spool's file was lost and another
begun, what was done with the old one is forgotten: its positions and its books are not those of the new one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from edgegw.reading import Letter
from edgegw.spool import Closed, Commit, Handed, Moment, Reach, Span


class Step(msgspec.Struct, frozen=True):
    """A sink is done with these positions, or with dead letters that it was given again, and this is what became of them."""

    span: Span | None
    delivered: Mapping[str, int] = {}  # run → readings, or attachments where it is an outbox
    letters: Sequence[Letter] = ()
    damaged: Sequence[int] = ()  # positions
    retried: Sequence[tuple[str, int]] = ()  # (run, seq) of the dead letters; those that are in `letters` were rejected again


class Report:
    """One sink's side of it: the forwarder's thread writes here, the bridge's reads.

    A full spool gives up old records. If one went between being read and being named as held, it would be given up and delivered as
    well, and counted as both. So the forwarder reads and names what it has read (`in_hand`) under the lock `claiming`, and the bridge
    gathers and commits under all of these locks. A delivery needs none: the step is told before `in_hand` is let go of, and gathered
    after it was looked at.
    """

    def __init__(self, sink: str, reach: Reach) -> None:
        self.sink = sink
        self.reach = reach  # as far as steps were told
        self.steps: deque[Step] = deque()
        self.in_hand: Span | None = None
        self.retrying = False  # a step with dead letters was told, and no commit has had it yet
        self.file = 0  # how many files the spool has had before this one
        self.claiming = threading.RLock()
        self.ruins = 0  # times in a row that the spool's file could not be read because its structure is broken

    def tell(self, step: Step, file: int | None = None) -> None:
        """It is done with what it had in hand, out of the file of that number (None: the one that there is)."""
        with self.claiming:
            self.in_hand = None
            if file not in (None, self.file):
                return
            self.steps.append(step)
            if step.span:
                self.reach = self.reach.with_(step.span)
            self.retrying = self.retrying or bool(step.retried)

    def begin_anew(self, reach: Reach) -> None:
        """Another file has taken the place of the spool's, and this is how far the sink is in it."""
        with self.claiming:
            self.file += 1
            self.ruins = 0
            self.steps.clear()
            self.reach, self.in_hand, self.retrying = reach, None, False


class _Sum:
    """Of one sink's steps that no commit has had yet."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.reach = report.reach
        self.retried: list[tuple[str, int]] = []
        self.clear()

    def begin_anew(self, reach: Reach) -> None:
        self.report.begin_anew(reach)
        self.reach = reach
        self.clear()

    def clear(self) -> None:
        """A commit has it all."""
        self._had_spans = bool(self.reach.ahead)
        if self.retried:
            self.report.retrying = False
        self.retried = []
        self.moved = False
        self.delivered: Counter[str] = Counter()
        self.letters: list[Letter] = []
        self.damaged: list[int] = []

    @property
    def spans(self) -> dict[str, Sequence[Span]]:
        return {self.report.sink: self.reach.ahead} if self.reach.ahead or self._had_spans else {}

    def take(self) -> None:
        """Everything that was told so far."""
        for _ in range(len(self.report.steps)):
            step = self.report.steps.popleft()
            self.moved = True
            if step.span:
                self.reach = self.reach.with_(step.span)
            self.delivered.update(step.delivered)
            self.retried += step.retried
            self.letters += step.letters
            self.damaged += step.damaged


class Gathering:
    """Of the bridge's thread. While still(): work() may be committed, and is told as written() if that went well."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self._sums = [_Sum(report) for report in reports]

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """No forwarder takes anything in hand meanwhile."""
        with contextlib.ExitStack() as held:
            for each in self._sums:
                held.enter_context(each.report.claiming)
            yield

    def work(self, handed: Sequence[Handed], closed: Sequence[Closed], now: Moment) -> Commit:
        """One commit of this and of all steps that no commit has had yet."""
        in_hand = [span for each in self._sums if (span := each.report.in_hand)]  # before the steps: see Report
        for each in self._sums:
            each.take()
        moved = [each for each in self._sums if each.moved]
        return Commit(
            handed=handed,
            cursors={each.report.sink: each.reach.cursor for each in moved},
            spans={sink: ahead for each in moved for sink, ahead in each.spans.items()},
            delivered={(run, each.report.sink): count for each in moved for run, count in each.delivered.items()},
            letters=[letter for each in moved for letter in each.letters],
            damaged=[(each.report.sink, position) for each in moved for position in each.damaged],
            retried={each.report.sink: tuple(each.retried) for each in moved if each.retried},
            closed=closed,
            in_hand=in_hand,
            trim=True,
            now=now,
        )

    def begun_anew(self, reach: Callable[[str], Reach]) -> None:
        """Forget what no commit has had: the spool's file is another one; `reach` says how far a sink is in it. Raises what that raises.

        What was delivered out of the old one and not noted is lost to the books with that file, or delivered once more.
        """
        with self.still():
            for each, at in [(each, reach(each.report.sink)) for each in self._sums]:
                each.begin_anew(at)

    def written(self) -> None:
        """The commit of what work() gave last is on disk."""
        for each in self._sums:
            each.clear()
