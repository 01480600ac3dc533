"""People who walk, to follow: the two public sequences inside motmetrics, ways to spoil them from a seed, and the score of a tracker."""

from __future__ import annotations

import importlib.util
import itertools
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import motmetrics  # type: ignore[import-untyped] # it brings no types
import numpy as np
from numpy.typing import NDArray

from workers.camera.track import Tracker
from workers.camera.track.tuning import PEOPLE

NAMES = ("TUD-Campus", "TUD-Stadtmitte")
FPS = 25
SAME = 0.5  # overlap (intersection over union) from which on two boxes show one person; the MOT Challenge's
METRICS = ("idf1", "mota", "num_switches")

Boxes = NDArray[np.float64]  # n × (left, top, width, height), in pixels
Ids = NDArray[np.intp]


class People(NamedTuple):
    """Who is where in one frame."""

    boxes: Boxes
    ids: Ids


class Look(NamedTuple):
    """What a detector gives for one frame."""

    frame: int  # counted from 0
    at_ns: int
    boxes: Boxes
    scores: NDArray[np.float64]


class Case(NamedTuple):
    """A sequence as somebody detected it, and the truth about each of those frames."""

    name: str
    looks: list[Look]
    truth: list[People]


class Score(NamedTuple):
    """How well a tracker did: two shares of 1, of which mota may be negative, and how often somebody became somebody else."""

    idf1: float
    mota: float
    switches: float


class Spoiling(NamedTuple):
    """What is done to the truth. Scores are 0.7 to 1 for a person, 0.3 to 0.8 for nothing, before noise."""

    missed: float = 0.0  # share of the boxes that are left out
    jitter: float = 0.0  # standard deviation of each side of a box, in widths and heights
    false: float = 0.0  # boxes a frame around nothing, on average
    dropped: float = 0.0  # share of the frames that nobody saw
    noise: float = 0.0  # standard deviation of the scores


SPOILINGS = {
    "missed": Spoiling(missed=0.3),
    "jittered": Spoiling(missed=0.1, jitter=0.08),
    "false": Spoiling(missed=0.1, false=2),
    "dropped": Spoiling(missed=0.05, jitter=0.03, dropped=0.5),
    "unsure": Spoiling(missed=0.05, jitter=0.03, false=1, noise=0.15),
    "everything": Spoiling(missed=0.2, jitter=0.05, false=1, dropped=0.2, noise=0.1),
}
SEEDS = (21, 22, 23)  # which the tracker was not tuned on; it was with these spoilings in sight


def cases() -> dict[str, list[Case]]:
    """All that trackers are compared on; of each spoiling as many as there are seeds, to be averaged."""
    kinds = ((name, how, spoiling) for name in NAMES for how, spoiling in SPOILINGS.items())
    spoilt_ones = {f"{name} {how}": [spoilt(name, spoiling, seed) for seed in SEEDS] for name, how, spoiling in kinds}
    return {**{name: [tracked(name)] for name in NAMES}, **spoilt_ones}


def ours(case: Case, times_s: list[float] | None = None) -> list[People]:
    """What our tracker says, and the processor time of each update."""
    tracker = Tracker(PEOPLE, itertools.count(1).__next__)
    answers = []
    for look in case.looks:
        begun_s = time.thread_time()
        tracker.update(look.boxes, look.scores, look.at_ns)
        if times_s is not None:
            times_s.append(time.thread_time() - begun_s)
        live = tracker.live
        answers.append(People(live.boxes[live.present], live.ids[live.present].astype(np.intp)))
    return answers


def brought(name: str) -> list[People]:
    """The tracks that the package brings for a sequence, which are another tracker's."""
    return _people(name, "test.txt", len(_people(name, "gt.txt")))


def averaged(scores: Sequence[Score]) -> Score:
    """Of several runs of one kind: means, and switches for each run."""
    idf1, mota, switches = (round(float(mean), 4) for mean in np.mean(scores, axis=0))
    return Score(idf1, mota, switches)


def tracked(name: str) -> Case:
    """A sequence with the boxes that the package brings for it, every one of them as sure as the other."""
    truth = _people(name, "gt.txt")
    found = _people(name, "test.txt", len(truth))
    looks = [Look(i, _at_ns(i), people.boxes, np.ones(len(people.boxes))) for i, people in enumerate(found)]
    return Case(name, looks, truth)


def spoilt(name: str, spoiling: Spoiling, seed: int) -> Case:
    """A sequence with boxes made from its truth."""
    chance = np.random.default_rng(seed)
    truth = _people(name, "gt.txt")
    area = np.concatenate([people.boxes for people in truth])
    seen = [i for i in range(len(truth)) if chance.random() >= spoiling.dropped]
    looks = [_look(i, truth[i].boxes, area, spoiling, chance) for i in seen]
    return Case(name, looks, [truth[i] for i in seen])


def score(case: Case, answers: Sequence[People]) -> Score:
    """Of what a tracker said for each frame of the case."""
    events = motmetrics.MOTAccumulator(auto_id=True)
    for true, said in zip(case.truth, answers, strict=True):
        apart = 1 - overlap(true.boxes, said.boxes)
        events.update(true.ids, said.ids, np.where(apart <= 1 - SAME, apart, np.nan))
    found = motmetrics.metrics.create().compute(events, metrics=list(METRICS), return_dataframe=False)
    return Score(float(found["idf1"]), float(found["mota"]), int(found["num_switches"]))


def overlap(ours: Boxes, theirs: Boxes) -> NDArray[np.float64]:
    """Intersection over union of each of ours with each of theirs."""
    mine, other = ours[:, None], theirs[None]
    ends = np.minimum(mine[..., :2] + mine[..., 2:], other[..., :2] + other[..., 2:])
    common = np.maximum(ends - np.maximum(mine[..., :2], other[..., :2]), 0).prod(axis=-1)
    return common / (mine[..., 2:].prod(axis=-1) + other[..., 2:].prod(axis=-1) - common)


def _look(frame: int, boxes: Boxes, area: Boxes, spoiling: Spoiling, chance: np.random.Generator) -> Look:
    kept = boxes[chance.random(len(boxes)) >= spoiling.missed]
    false = _nobody(area, chance.poisson(spoiling.false), chance)
    found = np.concatenate((kept, false))
    sides = np.concatenate((found[:, :2], found[:, :2] + found[:, 2:]), axis=1)
    sides += spoiling.jitter * chance.standard_normal(sides.shape) * np.tile(found[:, 2:], 2)
    scores = np.concatenate((chance.uniform(0.7, 1.0, len(kept)), chance.uniform(0.3, 0.8, len(false))))
    scores = np.clip(scores + spoiling.noise * chance.standard_normal(len(scores)), 0.05, 1.0)
    order = chance.permutation(len(found))
    shown = np.concatenate((sides[:, :2], np.maximum(sides[:, 2:] - sides[:, :2], 1)), axis=1)
    return Look(frame, _at_ns(frame), shown[order], scores[order])


def _nobody(area: Boxes, count: int, chance: np.random.Generator) -> Boxes:
    """Boxes of the sizes of people, where people walk, around none."""
    sizes = area[chance.integers(0, len(area), count), 2:]
    places = chance.uniform(area[:, :2].min(axis=0), area[:, :2].max(axis=0), (count, 2))
    return np.concatenate((places, sizes), axis=1)


@cache
def _rows(name: str, file: str) -> NDArray[np.float64]:
    spec = importlib.util.find_spec("motmetrics")
    assert spec is not None
    assert spec.origin is not None
    return np.loadtxt(Path(spec.origin).parent / "data" / name / file, delimiter=",", usecols=range(6))


def _people(name: str, file: str, frames: int | None = None) -> list[People]:
    rows = _rows(name, file)
    of = [rows[rows[:, 0] == 1 + i] for i in range(frames or int(rows[:, 0].max()))]
    return [People(frame[:, 2:6], frame[:, 1].astype(np.intp)) for frame in of]


def _at_ns(frame: int) -> int:
    return 1_000_000_000 * frame // FPS


