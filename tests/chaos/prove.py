"""A plan played and judged; of what is not well everything is kept that is needed to look into it, and to do it once more."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from edgegw import history
from edgegw.history import Verdict
from tests.chaos.judge import Judgement, judge
from tests.chaos.run import Run
from tests.processes.metronomes import KEPT


def prove(run: Run) -> Judgement:
    """Its table is said. AssertionError where the gateway did not get well, and there is nothing to be judged."""
    run.say(run.plan.headline)
    judged: Judgement | None = None
    try:
        run.play()
        judged = judge(run)
        run.say(judged.table())
    except BaseException as error:
        run.say(f"{type(error).__name__}: {error}")
        raise
    finally:
        if judged is None or not judged.ok:
            run.say(f"kept in {keep(_place(run), run, judged)}; again: {run.plan.again}")
    return judged


def _place(run: Run) -> Path:
    return Path(os.environ.get(KEPT, tempfile.gettempdir())) / f"edgegw-chaos-{run.plan.name}-{run.plan.seed}"


def keep(into: Path, run: Run, judged: Judgement | None) -> Path:
    """Plan, what was said, verdict, history, status, messages, logs, and copies of journals and state, in a new directory `into`."""
    stage = run.stage
    shutil.rmtree(into, ignore_errors=True)
    verdict = judged.verdict if judged else Verdict((), 0)
    folders = {"journals": stage.gateway.journals, "state": stage.gateway.paths.state}
    history.keep(into, run.plan.again, verdict, judged.cases if judged else (), folders)
    (into / "plan.txt").write_text(f"{run.plan}\n")
    (into / "said.txt").write_text("\n".join([*run.said, ""]))
    (into / "edgegw.toml").write_text(stage.gateway.config.read_text())
    (into / "status.json").write_bytes(msgspec.json.encode(stage.gateway.look()))
    (into / "edgegw.log").write_text(stage.gateway.run("logs").stdout)
    (into / "messages.jsonl").write_bytes(b"\n".join(stage.audience.bodies))
    (into / "mariadb.log").write_text(stage.servers.mariadb.log())
    return into
