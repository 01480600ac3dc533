"""The drill itself: plays the scenarios one after the other, and closes the books."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from edgegw import history
from edgegw.cli import audit
from edgegw.cli.drill import verdict
from edgegw.cli.drill.play import Play
from edgegw.cli.drill.scenario import LeftOut, Missed, Outcome, Scenario
from edgegw.cli.drill.stage import Stage
from edgegw.cli.drill.teller import Teller
from edgegw.errors import NotRunning
from edgegw.signals import StopNote

WELL_s = 60.0
ORDERLY = "The gateway is stopped: workers first, then the bridge delivers what is left."
DEAD = "There is no gateway that could finish its books: what was on its way when it died would look wrong in them."


class Result(msgspec.Struct, frozen=True):
    """All that came of it."""

    outcomes: tuple[Outcome, ...]
    closing: verdict.Closing
    kept: str = ""  # where everything lies; "": it is gone
    why: str = ""  # it came to no end

    @property
    def ok(self) -> bool:
        """Something was played, every expectation held, and the books balance."""
        played = any(not outcome.left_out for outcome in self.outcomes)
        return played and not self.why and all(outcome.ok for outcome in self.outcomes) and self.closing.ok

    @property
    def sentence(self) -> str:
        """All of it in one."""
        done = [outcome for outcome in self.outcomes if not outcome.left_out]
        wrong = [outcome.name for outcome in done if not outcome.ok]
        many = sum(outcome.expectations for outcome in done)
        left = [outcome.name for outcome in self.outcomes if outcome.left_out]
        books = self.closing.complaint or "the books balance, and nothing that was in the spool is lost"
        what = f"{len(done)} scenario{'' if len(done) == 1 else 's'}, {many} expectations"
        held = f"FAILED in {', '.join(wrong)}" if wrong else "all held" if done else "for nothing could be played"
        rest = f"; left out: {', '.join(left)}" if left else ""
        end = f"; it came to no end: {self.why}" if self.why else f"; {books}"
        return f"drill {'passed' if self.ok else 'FAILED'}: {what}, {held}{rest}{end}"

    def document(self) -> dict[str, Any]:
        """For programs."""
        closing = self.closing
        return {
            "ok": self.ok,
            "sentence": self.sentence,
            "scenarios": [msgspec.to_builtins(outcome) | {"ok": outcome.ok} for outcome in self.outcomes],
            "ledger": audit.document(closing.audit),
            "journals": [_told(one, repeated) for one, repeated in zip(closing.verdicts, closing.repeats, strict=True)],
            "kept": self.kept or None,
        }


def _told(one: history.Verdict, repeated: int) -> dict[str, Any]:
    findings = [str(finding) for finding in one.findings]
    counts = {"found": one.found, "repeated": repeated, "declared": dict(one.declared)}
    return {"place": one.places[0], "ok": one.ok, **counts, "findings": findings}


def play(stage: Stage, scenarios: Sequence[Scenario], teller: Teller, stop: StopNote) -> Result:
    """All of them, as long as the gateway comes back from each. Raises EdgegwError where it does not even start, and Interrupted."""
    outcomes: list[Outcome] = []
    why = ""
    try:
        stage.open()
        Play(stage, teller, stop).well(WELL_s)
        for number, scenario in enumerate(scenarios, 1):
            with teller.scenario(number, len(scenarios), scenario):
                outcomes.append(_one(Play(stage, teller, stop), scenario, teller))
            if not stage.well():
                _recover(stage, teller, stop)
    except Missed as missed:
        why = f"the gateway does not get well again ({missed})"
    finally:
        teller.say(ORDERLY if stage.gateway.lives else DEAD)
        stage.close()
    return Result(tuple(outcomes), verdict.close(stage), why=why)


def _one(play: Play, scenario: Scenario, teller: Teller) -> Outcome:
    left_out = ""
    try:
        scenario.play(play)
    except Missed:
        pass  # it is among the steps
    except LeftOut as reason:
        left_out = str(reason)
        teller.left_out(left_out)
    return Outcome(scenario.name, scenario.title, tuple(play.steps), left_out)


def _recover(stage: Stage, teller: Teller, stop: StopNote) -> None:
    """A scenario must not be judged by what the one before it has left. Raises Missed."""
    if not stage.gateway.lives:
        try:
            stage.gateway.start()
        except NotRunning as error:
            raise Missed(str(error).partition("\n")[0].rstrip(":")) from error  # its last words have been told
    Play(stage, teller, stop).well(WELL_s)
