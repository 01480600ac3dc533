"""Chaos without a gateway: plans come from their seed alone, every fault can be done, and who looks on can tell life from death."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgegw.history import Case, Observed, check
from tests.chaos import every, plan
from tests.chaos.calm import loudest
from tests.chaos.every import FORMS, REPOSITORY, Form
from tests.chaos.faults import ALL
from tests.chaos.judge import weigh
from tests.chaos.liveness import FLOOR_hz, STILL_s
from tests.chaos.plan import Plan
from tests.histories import History
from tests.watched import watched

PLANS: Mapping[str, Callable[[int], Plan]] = {
    "walk": lambda seed: plan.walk(seed, 10),
    "glimpse": plan.glimpse,
    "kills": lambda seed: plan.kills(seed, 100),
    "servers": lambda seed: plan.servers(seed, 10),
}
LONG = re.compile(r"\bload_s\(|EDGEGW_(?:LOAD_S|POWER_CUTS|BACKLOG|DRILL|SOAK_S)\b")


@pytest.mark.parametrize("make", PLANS.values(), ids=PLANS)
def test_the_same_seed_is_the_same_plan(make: Callable[[int], Plan]) -> None:
    """To the last step; another seed is another plan, and the plan says how it is made again."""
    assert make(7) == make(7)
    assert make(7).steps != make(8).steps
    assert make(7).again.startswith(f"make chaos PLAN={make(7).name} SEED=7")


@pytest.mark.parametrize("make", PLANS.values(), ids=PLANS)
def test_every_step_can_be_done_and_taken_back(make: Callable[[int], Plan]) -> None:
    """What lasts has somebody who ends it, and what nobody ends does not last."""
    for step in make(3).steps:
        assert (step.for_s > 0) == (ALL[step.fault].undo is not None), step


def test_a_long_walk_has_every_fault() -> None:
    """Within one round, whatever the seed; so no fault is there for nothing."""
    for seed in range(20):
        assert {step.fault for step in plan.walk(seed, 5.5).steps} == set(ALL)


def test_kills_are_as_many_of_either() -> None:
    """100 of the bridge, 100 of workers."""
    hit = Counter(step.target for step in plan.kills(1, 100).steps)
    assert hit.pop("bridge") == hit.total() == 100
    assert set(hit) <= set(plan.SENSORS)


WELL: Mapping[str, float] = {"front": 300, "imu": 100}


def test_a_stopped_gateway_is_dead() -> None:
    """No reading lost, none twice, and none at all: the floor says so, and the silence of every sensor."""
    dead = watched((WELL, 10), ({}, 300))
    assert dead.rate_hz < FLOOR_hz
    assert min(dead.stillest.values()) >= STILL_s
    assert dead.dead()


def test_one_silent_sensor_is_seen_beside_busy_ones() -> None:
    """The floor is kept, and still somebody has been away for too long."""
    live = watched((WELL, 10), ({"front": 400}, int(STILL_s) + 1), (WELL, 10))
    assert live.rate_hz >= FLOOR_hz
    assert max(live.stillest, key=lambda name: live.stillest[name]) == "imu"
    assert live.dead()


def test_a_gateway_at_work_lives() -> None:
    """Also with a pause that a restart takes."""
    assert not watched((WELL, 30), ({}, 5), (WELL, 30)).dead()


def missing(declared: Mapping[str, int], taken: int) -> list[str]:
    """The lines that are bad where the books say that of one run, and so many of its oldest readings are not there."""
    history = History([30])
    for seq in range(taken):
        history.take(seq)
    for cause, count in declared.items():
        history.declare(cause, count)
    case = Case(tuple(history.lives), tuple(history.books), Observed("mysql", tuple(history.rows)))
    return [line.what for line in weigh(case, check(*case.arguments())) if not line.ok]


def test_what_was_evicted_may_be_there() -> None:
    """When its delivery was made and the answer lost; no other cause excuses it, and no reading that is missing."""
    wrong = ["gaps and counts without explanation, MariaDB"]
    assert missing({"evicted": 5}, taken=5) == missing({"evicted": 5}, taken=3) == []
    assert missing({"dropped": 5}, taken=3) == wrong
    assert missing({"evicted": 1, "dropped": 5}, taken=3) == wrong
    assert missing({"evicted": 3}, taken=5) == ["lost though acknowledged, MariaDB"]


def entry(at_s: int, event: str, **fields: str) -> dict[str, str]:
    return {"time": f"2026-11-21T02:00:{at_s:02d}.000000Z", "process": "bridge", "event": event, **fields}


def test_the_loudest_line_is_found() -> None:
    """Twelve times in ten seconds is one message, however others lie between; another sink is another matter."""
    told = [entry(second, "sink_lost", sink="mysql") for second in range(30) for _ in range(1 + (second == 20) * 2)]
    told += [entry(second, "sink_lost", sink="rabbitmq") for second in range(0, 30, 2)]
    most = loudest(told)
    assert (most.lines, most.event) == (13, "sink_lost")
    assert loudest([]).lines == 0


def test_the_long_forms_are_all_there() -> None:
    """No test file that has one is missing in the list, and no file of the list is missing in the tree."""
    listed = {file: form.environment for form in FORMS.values() for file in form.files}
    texts = {str(path.relative_to(REPOSITORY)): path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py")}
    long = {name for name, text in texts.items() if LONG.search(text) and name != str(Path(__file__).relative_to(REPOSITORY))}
    assert long <= set(listed) <= set(texts)


def test_one_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """All are run, the table says which was bad, and so does the exit code."""
    forms = {"bad": Form(("tests/of_no_such_name.py",)), "good": Form(("--version",), {"EDGEGW_LOAD_S": "60"})}
    monkeypatch.setattr(every, "FORMS", forms)
    assert every.run(["bad", "good"], seed=1) == 1
    told = capfd.readouterr().out.splitlines()
    assert [line.split()[:2] for line in told[-2:]] == [["BAD", "bad"], ["ok", "good"]]
    assert every.run(["good"], seed=1) == 0
