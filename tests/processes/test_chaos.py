"""A short random walk over the faults, on a real gateway with both real servers; and that its judge can say no."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgegw import history
from tests.chaos import calm, plan
from tests.chaos.judge import Judgement, LOUD_lines, judge
from tests.chaos.liveness import Held
from tests.chaos.prove import keep, prove
from tests.chaos.run import Run
from tests.chaos.stage import Stage, stage
from tests.processes.rig import Key
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import Rabbit
from tests.watched import watched

SEED = int(os.environ.get("EDGEGW_SEED", "1"))


@pytest.fixture(scope="module")
def walk(rabbitmq: Rabbit, mariadb: MariaDB) -> Iterator[tuple[Run, Judgement]]:
    """One that has been walked and judged; the servers still have what came."""
    rabbitmq.ensure()
    mariadb.ensure()
    with stage(rabbitmq, mariadb) as made:
        run = Run(made, plan.glimpse(SEED), print)
        yield run, prove(run)


def bad(judged: Judgement) -> set[str]:
    """What is not as it must be."""
    return {line.what for line in judged.lines if not line.ok}


@pytest.mark.timeout(300)
def test_a_random_walk_loses_nothing(walk: tuple[Run, Judgement]) -> None:
    """Processes killed and frozen, the network cut, the database killed: nothing acknowledged is lost, nothing twice, and it lives."""
    _, judged = walk
    assert judged.ok, judged.table()
    assert all(case.seen.rows for case in judged.cases)
    assert judged.verdict.declared["lost"] > 0  # the workers died under load, and the books know what was with them


@pytest.mark.timeout(300)
def test_the_judge_says_no(walk: tuple[Run, Judgement], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever is planted makes its line of the table bad, and no other line; the audit sees the database, too; and all of it is kept."""
    run, _ = walk
    at_fault = spoil_table(run.stage) | spoil_messages(run.stage) | grumble(run.stage)
    monkeypatch.setattr(run, "done", Counter({"reset": 1}))  # nothing was done that ends a worker
    at_fault |= {"faults, of so many kinds", "losses that the books declare"}
    dead = watched(({"front": 400}, 10), ({}, 300))
    dead.after = {"bridge": Held(fds=20, rss_bytes=1 << 30)}
    monkeypatch.setattr(run, "live", dead)
    at_fault |= {"acknowledged readings a second", "longest silence of a sensor, in seconds", "processes that have grown"}
    with leftovers(run.stage) as left:
        judged = judge(run)
    assert bad(judged) == at_fault | left, judged.table()
    kept = keep(tmp_path / "kept", run, judged)
    assert [history.check(*case.arguments()).ok for case in history.recall(kept)] == [False, False]
    assert (kept / "seed.txt").read_text() == f"make chaos PLAN=glimpse SEED={SEED}\n"
    assert {"plan.txt", "said.txt", "verdict.txt", "edgegw.log", "state", "journals"} <= {path.name for path in kept.iterdir()}
    assert (kept / "state" / "spool.db").exists()


def spoil_table(stage: Stage) -> set[str]:
    """A row that vanishes, one that is not as it was, one that comes a second time."""
    sql = stage.servers.database.sql
    found = sql("SELECT run_id, seq FROM metronome ORDER BY run_id, seq LIMIT 3")
    lost, spoilt, twice = (f"run_id = {run} AND seq = {seq}" for run, seq in found)
    sql(f"DELETE FROM metronome WHERE {lost}")
    sql(f"UPDATE metronome SET value = value / 2 WHERE {spoilt}")
    sql(f"CREATE TABLE spare AS SELECT * FROM metronome WHERE {twice}")
    sql("UPDATE spare SET time = time + INTERVAL 1 DAY")
    sql("INSERT INTO metronome SELECT * FROM spare")
    return {f"{what}, MariaDB" for what in ("lost though acknowledged", "twice", "spoilt")} | {"books (exit code of edgegw audit)"}


def spoil_messages(stage: Stage) -> set[str]:
    """One that the consumer never had, of those that came once; and its readings under seqs that nobody gave."""
    bodies = [msgspec.json.decode(body) for body in stage.audience.bodies]
    at = next(at for at, body in enumerate(bodies) if all(stage.audience.seen[key] == 1 for key in keys(body)))
    for reading in bodies[at]["readings"]:
        reading["seq"] += 1 << 40
    stage.audience.bodies[at] = msgspec.json.encode(bodies[at])
    return {f"{what}, the audit queue" for what in ("lost though acknowledged", "gaps and counts without explanation")}


def keys(body: dict[str, Any]) -> list[Key]:
    """Of a message's readings."""
    return [(body["sensor"], body["run"], reading["seq"]) for reading in body["readings"]]


def grumble(stage: Stage) -> set[str]:
    """The same line once more than it may be."""
    path = next(stage.gateway.paths.logs.iterdir())
    line = path.read_bytes().splitlines()[0]
    with path.open("ab") as log:
        log.write((line + b"\n") * LOUD_lines)
    return {f"the same log line within {calm.WINDOW_s:.0f} s"}


@contextlib.contextmanager
def leftovers(stage: Stage) -> Iterator[set[str]]:
    """A process that has the configuration on its command line, and a socket."""
    words = [sys.executable, "-c", "import sys; sys.stdin.read()", str(stage.gateway.config)]
    with socket.socket(socket.AF_UNIX) as left, subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        left.bind(str(stage.gateway.paths.runtime / "left.sock"))
        yield {"processes left behind", "sockets left behind"}
        process.communicate()
