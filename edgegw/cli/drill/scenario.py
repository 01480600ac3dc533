"""What a drill is made of, as values: scenarios, the steps they took, how they ended."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from edgegw.cli.drill.play import Play


class Kind(enum.StrEnum):
    """Of a step."""

    DID = "did"
    EXPECTED = "expected"


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was done, or something that was expected to happen then."""

    kind: Kind
    text: str
    ok: bool = True
    after_s: float | None = None  # when it was so, or given up
    within_s: float | None = None  # the time it had
    found: str = ""  # what there was to see


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one scenario went."""

    name: str
    title: str
    steps: tuple[Step, ...]
    left_out: str = ""  # why it could not be played here

    @property
    def ok(self) -> bool:
        """Everything expected happened; what was left out is no failure."""
        return all(step.ok for step in self.steps)

    @property
    def expectations(self) -> int:
        """How many of its steps were expectations."""
        return sum(step.kind is Kind.EXPECTED for step in self.steps)


class Scenario(msgspec.Struct, frozen=True):
    """A fault: its name on the command line, what it is in a line, and how it is played."""

    name: str
    title: str
    play: Callable[[Play], None]
    needs: str = ""  # a sink, which there is not always


class LeftOut(Exception):
    """This scenario cannot be played here; the text says why, and what to do about it."""


class Missed(Exception):
    """An expectation did not hold: what follows in the scenario would mean nothing."""


class Interrupted(Exception):
    """Somebody asked to stop."""
