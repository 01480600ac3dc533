"""`edgegw dlq` on a real gateway: seen, given again whether it runs or not, killed in the middle, given up; always balanced."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from edgegw import failpoint
from edgegw.errors import Exit
from edgegw.spool import Choice
from edgegw.spool.letters import Group
from edgegw.spool.reader import Reader
from tests.processes.metronomes import Gateway, gateway
from tests.processes.typed import REPOSITORY
from tests.services.base import until

PATIENCE_s = 90
RULE = "CREATE TRIGGER picky BEFORE INSERT ON metronome WHEN NEW.seq % 10 = 3 BEGIN SELECT RAISE(ABORT, 'not in my table'); END"


def sql(proof: Gateway, statement: str) -> None:
    """What an operator does to the store."""
    with contextlib.closing(sqlite3.connect(proof.paths.store, timeout=30)) as db, db:
        db.execute(statement)


def dlq(proof: Gateway, *arguments: str) -> dict[str, Any]:
    done = proof.run("dlq", *arguments, "--json")
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def letters(proof: Gateway, *which: str) -> int:
    return int(dlq(proof, "list", *which)["letters"])


def kept(proof: Gateway, **which: str) -> list[Group]:
    """The same, read from the spool: a command costs more than what it asks for."""
    with contextlib.closing(Reader(proof.paths.spool)) as reader:
        return reader.letters(Choice(**which))


def dead(proof: Gateway) -> list[int]:
    """Of each sensor."""
    return [sum(group.readings for group in kept(proof, sensor=name)) for name in proof.sensors]


def balanced(proof: Gateway) -> Mapping[str, int]:
    """The books of the store, which balance: exit 0."""
    done = proof.run("audit", "--json")
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)["sinks"]["sqlite"]
    return found


def test_a_rejected_reading_comes_back() -> None:
    """Dead, waiting, delivered: nothing is lost or twice, by the journals of the sensors; what was given up is counted as that."""
    with gateway(2, 50, more="[sinks.sqlite]") as proof:
        proof.start()
        until(lambda: len(proof.rows()) > 20, PATIENCE_s, "readings in the store")
        sql(proof, RULE)
        until(lambda: min(dead(proof)) >= 10, PATIENCE_s, "rejected readings of both")
        assert balanced(proof)["rejected"] >= 20
        again_in_vain(proof)
        proof.stop()
        sql(proof, "DROP TRIGGER picky")
        in_the_middle(proof)
        while_it_runs(proof)
        given_up(proof)
        proof.stop()
        assert "waiting" not in balanced(proof)
        verdict = proof.verdict()
    assert verdict.ok, verdict.report()


def again_in_vain(proof: Gateway) -> None:
    """The store's rule stands: they are tried, and are dead letters as before."""
    asked = dlq(proof, "retry", "--sensor", "m1")["letters"]
    assert asked >= 10
    until(lambda: not again(proof), PATIENCE_s, "the verdict on all of them")
    assert letters(proof, "--sensor", "m1") >= asked
    assert "discarded" not in balanced(proof)
    table = proof.run("dlq", "list").stdout
    rows = [line.split()[:3] for line in table.splitlines() if line.startswith("sqlite")]
    assert rows == [["sqlite", name, "SQLITE_CONSTRAINT_TRIGGER"] for name in proof.sensors]
    assert "not in my table" in table


def again(proof: Gateway) -> int:
    """Letters that are still to be given again."""
    return sum(group.again for group in kept(proof))


def in_the_middle(proof: Gateway) -> None:
    """Asked for while nothing runs; the bridge that gives them again is killed when the store has them and the spool does not know."""
    asked = letters(proof, "--sensor", "m0")
    assert dlq(proof, "retry", "--sensor", "m0")["letters"] == asked
    assert balanced(proof)["waiting"] >= asked
    killed = "bridge:sink.after_deliver=kill#1"
    proof.environment[failpoint.SPEC] = killed
    proof.start()
    proof.strikes([killed])
    balanced(proof)
    until(lambda: not kept(proof, sensor="m0"), PATIENCE_s, "all of them in the store")
    balanced(proof)


def while_it_runs(proof: Gateway) -> None:
    """Of one run: the gateway does it at once."""
    run = kept(proof, sensor="m1")[0].run
    sql(proof, RULE.replace("% 10 = 3", "% 20 = 3"))
    dlq(proof, "retry", "--run", run[:20], "--sensor", "m1")
    until(lambda: not again(proof), PATIENCE_s, "the verdict on all of them")
    assert kept(proof, sensor="m1", run=run)
    assert balanced(proof)["rejected"] > 0
    sql(proof, "DROP TRIGGER picky")


def given_up(proof: Gateway) -> None:
    """Not without being asked; then gone, and in the books."""
    shown = proof.run("dlq", "show", "-n", "1").stdout
    one = json.loads(shown)
    assert (one["code"], one["reason"], one["values"]["life"] is not None) == ("SQLITE_CONSTRAINT_TRIGGER", "not in my table", True)
    command = [sys.executable, "-m", "edgegw", "dlq", "drop", "-c", str(proof.config)]
    asked = subprocess.run(command, input="n\n", capture_output=True, text=True, timeout=60, cwd=REPOSITORY, check=False)
    assert (asked.returncode, "nothing was given up" in asked.stderr) == (Exit.FAILED, True)
    count = letters(proof)
    assert dlq(proof, "drop", "--yes")["letters"] >= count > 0
    assert balanced(proof)["discarded"] >= count
    assert proof.run("dlq", "list").stdout == "there is no dead letter\n"
