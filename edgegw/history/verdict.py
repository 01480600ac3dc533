"""What the checker finds, and how it says so: one line a finding, with the first few of many."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping

import msgspec

EXAMPLES = 5  # named in a finding


class Fault(enum.StrEnum):
    """What can be wrong between a sensor and the place where its readings arrive."""

    LOST = "acknowledged and lost"  # the spool had it, or its worker gave it away for safe
    UNEXPLAINED = "missing and not declared"
    OVERDECLARED = "declared missing and there, or never counted"
    DUPLICATED = "there twice"
    CORRUPTED = "not as it was given"
    MISPLACED = "in the place of another"
    INVENTED = "never given"
    UNACCOUNTED = "given and not counted, or counted and not given"
    UNPROVEN = "not to be judged"  # the journal itself is spoilt


class Finding(msgspec.Struct, frozen=True):
    """One fault of one run of one sensor at one place, `count` times."""

    fault: Fault
    place: str
    sensor: str
    run: str  # "" where it is a matter of all of the sensor's runs
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) > 0 else ""
        named = f": {', '.join(self.examples)}{more}" if self.examples else ""
        run = f" run {self.run}" if self.run else ""
        return f"{self.place}: {self.sensor}{run}: {self.count} {self.fault}{named}"


class Verdict(msgspec.Struct, frozen=True):
    """Of one place or of several."""

    places: tuple[str, ...]
    found: int  # rows and messages' readings that were looked at: a dead system has none, and no fault either
    findings: tuple[Finding, ...] = ()
    declared: Mapping[str, int] = {}  # cause → readings that the books say are missing, with reason

    @property
    def ok(self) -> bool:
        """Nothing is wrong; what is declared is not."""
        return not self.findings

    def count(self, fault: Fault) -> int:
        """How many readings have this fault."""
        return sum(finding.count for finding in self.findings if finding.fault is fault)

    @property
    def lost_acknowledged(self) -> int:
        """Readings that a worker was told are safe, and that are not there."""
        return self.count(Fault.LOST)

    @property
    def duplicates(self) -> int:
        """Readings that are there twice where they may not."""
        return self.count(Fault.DUPLICATED)

    @property
    def corrupted(self) -> int:
        """Readings that do not carry what their sensor gave."""
        return self.count(Fault.CORRUPTED)

    @property
    def unexplained(self) -> int:
        """Readings that are missing without a cause in the books."""
        return self.count(Fault.UNEXPLAINED)

    def report(self) -> str:
        """For a person, without colour."""
        declared = ", ".join(f"{cause} {count}" for cause, count in sorted(self.declared.items()) if count) or "none"
        head = f"{' and '.join(self.places)}: {self.found} readings, {'as they were given' if self.ok else 'NOT as they were given'}"
        return "\n".join([head, f"declared missing: {declared}", *map(str, self.findings)])


def together(*verdicts: Verdict) -> Verdict:
    """One verdict of several places."""
    declared = Counter[str]()
    for verdict in verdicts:
        declared |= Counter(verdict.declared)
    return Verdict(
        places=tuple(place for verdict in verdicts for place in verdict.places),
        found=sum(verdict.found for verdict in verdicts),
        findings=tuple(finding for verdict in verdicts for finding in verdict.findings),
        declared=dict(declared),
    )
