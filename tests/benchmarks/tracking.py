"""Our tracker beside others on the same looks: how well each tells people apart, and what an update costs. Makes .venv-peers for them.

python -m tests.benchmarks.tracking             scores, and whether the peers still do what tests/workers/tracking_peers.json says
python -m tests.benchmarks.tracking --record    write that file anew; the everyday suite compares with it
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.workers import mot

HERE = Path(__file__).parent
VENV = HERE.parent.parent / ".venv-peers"
LIST = HERE / "tracking_peers.txt"
RECORD = HERE.parent / "workers/tracking_peers.json"


def main() -> None:
    """Measure, print and compare."""
    cases = mot.cases()
    scores, times_us = measured(cases)
    times_s: list[float] = []
    mine = {name: mot.averaged([mot.score(case, mot.ours(case, times_s)) for case in some]) for name, some in cases.items()}
    table = Table("", "IDF1", "MOTA", "switches", "µs p50", "p99", title="means over all cases; processor time of an update")
    for peer, each in {"edgegw": mine, **scores}.items():
        taken = [time_s * 1e6 for time_s in times_s] if each is mine else times_us[peer]
        means = (f"{figure:.3f}" for figure in np.mean(list(each.values()), axis=0))
        table.add_row(peer, *means, *(f"{time_us:.0f}" for time_us in np.percentile(taken, (50, 99))))
    Console(width=120).print(table, by_case(mine, scores))
    if "--record" in sys.argv:
        RECORD.write_text(json.dumps({"versions": LIST.read_text().split("\n")[1:-1], "scores": scores}, indent=1) + "\n")
    elif json.loads(RECORD.read_text())["scores"] != json.loads(json.dumps(scores)):
        raise SystemExit(f"the peers do otherwise than {RECORD.name} says: look why, and record them anew with --record")


def by_case(mine: dict[str, mot.Score], scores: dict[str, dict[str, mot.Score]]) -> Table:
    """Ours, and the best figure of any peer, each metric by itself."""
    table = Table("case", "IDF1", "best", "MOTA", "best", "switches", "best", title="by case; best: of all peers, each figure by itself")
    for name, score in mine.items():
        best = [pick(each[name][i] for each in scores.values()) for i, pick in enumerate((max, max, min))]
        table.add_row(name, *(f"{figure:.3f}" for pair in zip(score, best, strict=True) for figure in pair))
    return table


def measured(cases: dict[str, list[mot.Case]]) -> tuple[dict[str, dict[str, mot.Score]], dict[str, list[float]]]:
    """Each peer's score in each case, and what its updates took."""
    flat = [(name, case) for name, some in cases.items() for case in some]
    found = answered([case for _, case in flat])
    times_us = {peer: [time_us for one in runs for time_us in one["times_us"]] for peer, runs in found.items()}
    scores: dict[str, dict[str, mot.Score]] = {}
    for peer, runs in found.items():
        single = [(name, mot.score(case, people(one["answers"]))) for (name, case), one in zip(flat, runs, strict=True)]
        scores[peer] = {name: mot.averaged([score for of, score in single if of == name]) for name in cases}
    return scores, times_us


def answered(cases: list[mot.Case]) -> dict[str, Any]:
    """What the peers say to these cases."""
    looks = [[(look.frame, look.boxes.tolist(), look.scores.tolist()) for look in case.looks] for case in cases]
    command = [str(python()), str(HERE / "tracking_peers.py")]
    done = subprocess.run(command, input=json.dumps(looks), capture_output=True, text=True, check=True, timeout=1800)
    return dict(json.loads(done.stdout))


def people(answers: list[list[list[float]]]) -> list[mot.People]:
    rows = [np.array(frame).reshape(-1, 5) for frame in answers]
    return [mot.People(frame[:, 1:], frame[:, 0].astype(np.intp)) for frame in rows]


def python() -> Path:
    """Of the peers' environment, made when it is not there or not for this list."""
    found, note = VENV / "bin/python", VENV / LIST.name
    if not note.exists() or note.read_text() != LIST.read_text():
        venv.create(VENV, clear=True, with_pip=True)
        subprocess.run([str(found), "-m", "pip", "install", "-q", "-r", str(LIST)], check=True, timeout=1800)
        note.write_text(LIST.read_text())
    return found


if __name__ == "__main__":
    main()
