"""The verdict on a run: what the sensors noted against what both servers have, the books, liveness, and what was left behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable

import msgspec

from edgegw import history
from edgegw.history import Case, Fault, Verdict
from tests.chaos import calm, faults
from tests.chaos.liveness import FLOOR_hz, STILL_s
from tests.chaos.run import Run
from tests.chaos.stage import Stage
from tests.services.base import until

HEARD_s = 60
LOUD_lines = 10  # within calm.WINDOW_s: one a second
AT = {"rabbitmq": "the audit queue", "mysql": "MariaDB"}
FAULTS = {Fault.LOST: "lost though acknowledged", Fault.DUPLICATED: "twice", Fault.CORRUPTED: "spoilt"}


class Line(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    found: str
    wanted: str
    ok: bool

    def __str__(self) -> str:
        return f"{'ok ' if self.ok else 'BAD'} {self.what:<56} {self.found:>28}   {self.wanted}"


class Judgement(msgspec.Struct, frozen=True):
    """All of it; `verdict` has the findings in sentences."""

    lines: tuple[Line, ...]
    cases: tuple[Case, ...]
    verdict: Verdict
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return all(line.ok for line in self.lines)

    def table(self) -> str:
        """For a person."""
        return "\n".join([*map(str, self.lines), *self.notes])


def judge(run: Run) -> Judgement:
    """Of a gateway that has stopped, with its servers up."""
    stage = run.stage
    confirmed = sum(book.sinks["rabbitmq"].delivered for book in stage.gateway.books() if "rabbitmq" in book.sinks)
    with contextlib.suppress(AssertionError):
        until(lambda: len(stage.audience.seen) >= confirmed, HEARD_s, "the consumer to have it all")
    cases = cases_of(stage)
    verdicts = [history.check(*case.arguments()) for case in cases]
    audit = stage.gateway.run("audit", timeout_s=300)
    lines = [
        _played(run),
        *(line for case, verdict in zip(cases, verdicts, strict=True) for line in weigh(case, verdict)),
        _declared(run, verdicts),
        _audit(audit.returncode),
        *_alive(run),
        _calm(stage),
        *_left(stage),
    ]
    notes = (audit.stdout + audit.stderr,) if audit.returncode else ()
    return Judgement(tuple(lines), cases, history.together(*verdicts), notes)


def cases_of(stage: Stage) -> tuple[Case, ...]:
    """What goes to the checker, for each place."""
    gateway = stage.gateway
    lives = tuple(life for name in gateway.sensors for life in history.journals(gateway.journals / name, name))
    books = gateway.books()
    seen = {"rabbitmq": stage.audience.observed(), "mysql": history.from_table("mysql", stage.servers.rows())}
    return tuple(Case(lives, tuple(history.from_books(books, sink, gateway.sensors)), at) for sink, at in seen.items())


def _played(run: Run) -> Line:
    done, planned = run.done.total(), len(run.plan.steps)
    return Line("faults, of so many kinds", f"{done}, {len(run.done)}", f"{planned} as planned", done == planned)


def weigh(case: Case, verdict: Verdict) -> Iterable[Line]:
    """One place, by what was found there.

    A delivery whose answer got lost may be given up for want of room before it is repeated: the books call it evicted, and it is there.
    """
    place = AT.get(case.seen.place, case.seen.place)
    evicted = {book.run: book.declared.get("evicted", 0) for book in case.books}
    there = [one for one in verdict.findings if one.fault is Fault.OVERDECLARED and 0 < one.count <= evicted.get(one.run, 0)]
    yield Line(f"readings in {place}", str(verdict.found), "some", verdict.found > 0)
    for fault, what in FAULTS.items():
        count = verdict.count(fault)
        yield Line(f"{what}, {place}", str(count), "0", count == 0)
    rest = sum(one.count for one in verdict.findings if one.fault not in FAULTS and one not in there)
    found = f"{rest} ({sum(one.count for one in there)} evicted, and there)" if there else str(rest)
    yield Line(f"gaps and counts without explanation, {place}", found, "0", rest == 0)


def _declared(run: Run, verdicts: Iterable[Verdict]) -> Line:
    allowed = {cause for name in run.done for cause in faults.ALL[name].excuses}
    declared = {cause: count for cause, count in history.together(*verdicts).declared.items() if count}
    text = ", ".join(f"{cause} {count}" for cause, count in sorted(declared.items())) or "none"
    return Line("losses that the books declare", text, f"only {', '.join(sorted(allowed)) or 'none'}", declared.keys() <= allowed)


def _audit(code: int) -> Line:
    return Line("books (exit code of edgegw audit)", str(code), "0", code == 0)


def _alive(run: Run) -> Iterable[Line]:
    live = run.live
    yield Line("acknowledged readings a second", f"{live.rate_hz:.0f}", f"at least {FLOOR_hz:.0f}", live.rate_hz >= FLOOR_hz)
    still_s, name = live.stillness
    yield Line("longest silence of a sensor, in seconds", f"{still_s:.1f} ({name})", f"less than {STILL_s:.0f}", still_s < STILL_s)
    grown = live.grown()
    yield Line("processes that have grown", "; ".join(grown) or "none", "none", not grown)


def _calm(stage: Stage) -> Line:
    said = stage.gateway.run("logs", "--json", timeout_s=300).stdout.splitlines()
    most = calm.loudest(map(json.loads, said))
    return Line(f"the same log line within {calm.WINDOW_s:.0f} s", str(most), f"1 to {LOUD_lines}", 0 < most.lines <= LOUD_lines)


def _left(stage: Stage) -> Iterable[Line]:
    processes = [f"{process.pid} {process.name()}" for process in stage.gateway.processes()]
    yield Line("processes left behind", ", ".join(processes) or "none", "none", not processes)
    sockets = [path.name for path in stage.gateway.paths.runtime.rglob("*") if path.is_socket()]
    yield Line("sockets left behind", ", ".join(sockets) or "none", "none", not sockets)
