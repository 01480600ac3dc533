"""A whole gateway that dies, fails or waits before and after each durable step: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from edgegw.failpoint import NAMES
from tests.processes.metronomes import Gateway, gateway

LONG = "EDGEGW_LOAD_S" in os.environ
SENSORS, HZ = 3, 100
# A sleep is longer than a worker waits for an answer, and shorter than what is taken for a hang.
ACTIONS = ("kill@5#1", "error:EIO@5+#3", "sleep:2.5@5#1")
NEEDS_A_DEATH = "worker:worker.before_push=kill@20#1"  # a book is closed when a worker is gone
# Before, between and after what makes a reading durable in the spool and in the store, and what ends a run.
EVERYDAY = [
    "worker:worker.after_push=kill@20#1",
    "spool.before_commit=kill@5#1",
    "spool.after_commit=kill@5#1",
    "sink.after_deliver=kill@3#1",
    "book.after_close=kill#1",
]


def cases() -> list[list[str]]:
    """In the long form each by itself; else some of them in one gateway."""
    if not LONG:
        return [EVERYDAY]
    found = []
    for name in NAMES:
        for action in ACTIONS:
            once = action.replace("@5+", "").replace("@5", "") if name.startswith("book.") else action  # closed seldom
            found.append([f"{name}={once}", *([NEEDS_A_DEATH] if name.startswith("book.") else [])])
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("points", cases(), ids=lambda points: points[0] if LONG else "several")
def test_nothing_acknowledged_is_lost_and_nothing_twice(points: Sequence[str]) -> None:
    """Every failpoint strikes, the gateway recovers by itself, stops in order, and sensors, store and books tell the same history."""
    with gateway(SENSORS, HZ, ";".join(points)) as proof:
        proof.start()
        proof.strikes(points)
        proof.well()
        proof.stop()
        judged(proof)


def judged(proof: Gateway) -> None:
    """The verdict, and that there was something to judge."""
    case, verdict = proof.case(), proof.verdict()
    assert verdict.ok, f"{proof.points}\n{verdict.report()}\n{proof.logs()}"
    assert verdict.declared.get("waiting", 0) == 0, verdict.report()
    assert {row.sensor for row in case.seen.rows} == set(proof.sensors)
    assert {cause for cause, count in verdict.declared.items() if count} <= {"lost"}, verdict.report()


def test_a_misspelt_failpoint_stops_the_start() -> None:
    """The gateway does not run half armed: it says which word is wrong and which there are."""
    with gateway(1, 10, "spool.befor_commit=kill") as proof:
        done = proof.run("start")
        assert done.returncode == 78, done.stdout + done.stderr
        assert "did you mean spool.before_commit?" in done.stderr
