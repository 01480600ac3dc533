"""Other trackers on the looks of the benchmark; run by it in an environment of their own: cases as JSON in, answers as JSON out.

Each is run as its documentation has it and in settings that suit the data; where frames were dropped, also with an empty look in the
place of each, which is how trackers that count frames are told the time. Births need at least two boxes in all of them: with one,
every false box would be somebody.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import ioutrack  # type: ignore[import-not-found] # not in this environment
import norfair  # type: ignore[import-not-found] # nor is this
import numpy as np

Update = Callable[[Any, Any], list[list[float]]]  # boxes, scores → (id, left, top, width, height)
NOBODY: tuple[list[float], list[float]] = ([], [])


def of_ioutrack(tracker: Any) -> Update:
    def update(boxes: Any, scores: Any) -> list[list[float]]:
        rows = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:], scores[:, None]), axis=1)
        return [[r[4], r[0], r[1], r[2] - r[0], r[3] - r[1]] for r in tracker.update(rows, False).tolist()]

    return update


def of_norfair(hits_only: bool = False, **options: Any) -> Update:
    tracker = norfair.Tracker(distance_function="iou", **options)

    def update(boxes: Any, scores: Any) -> list[list[float]]:
        corners = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1).reshape(-1, 2, 2)
        found = tracker.update([norfair.Detection(points, np.full(2, score)) for points, score in zip(corners, scores, strict=True)])
        shown = [one for one in found if not hits_only or one.live_points.any()]
        return [[one.id, *one.estimate[0].tolist(), *(one.estimate[1] - one.estimate[0]).tolist()] for one in shown]

    return update


PEERS: dict[str, Callable[[], Update]] = {
    "SORT, defaults": lambda: of_ioutrack(ioutrack.Sort()),
    "SORT, 15 frames": lambda: of_ioutrack(ioutrack.Sort(max_age=15, min_hits=3, init_tracker_min_score=0.5)),
    "SORT, 25 frames, 2 hits": lambda: of_ioutrack(ioutrack.Sort(max_age=25, min_hits=2, init_tracker_min_score=0.6)),
    "ByteTrack, defaults": lambda: of_ioutrack(ioutrack.ByteTrack()),
    "ByteTrack, README": lambda: of_ioutrack(ioutrack.ByteTrack(max_age=5, min_hits=2, init_tracker_min_score=0.25)),
    "ByteTrack, 25 frames, 2 hits": lambda: of_ioutrack(ioutrack.ByteTrack(max_age=25, min_hits=2)),
    "norfair, defaults": lambda: of_norfair(distance_threshold=0.7),
    "norfair, delay 2": lambda: of_norfair(distance_threshold=0.7, initialization_delay=2),
    "norfair, delay 2, live points": lambda: of_norfair(True, distance_threshold=0.7, initialization_delay=2),
    "norfair, delay 3, strict": lambda: of_norfair(distance_threshold=0.5, initialization_delay=3),
    "norfair, delay 1, short": lambda: of_norfair(distance_threshold=0.7, initialization_delay=1, hit_counter_max=6),
}


def run(update: Update, looks: list[Any], told_of_gaps: bool) -> dict[str, Any]:
    answers, times_us, following = [], [], 0
    for frame, boxes, scores in looks:
        gap = frame - following if told_of_gaps else 0
        for some_boxes, some_scores, wanted in [(*NOBODY, False)] * gap + [(boxes, scores, True)]:
            given = np.array(some_boxes, float).reshape(-1, 4), np.array(some_scores, float)
            begun = time.thread_time()
            answer = update(*given)
            if wanted:
                times_us.append((time.thread_time() - begun) * 1e6)
                answers.append(answer)
        following = frame + 1
    return {"answers": answers, "times_us": times_us}


def main() -> None:
    looks = json.load(sys.stdin)
    found = {}
    for peer, made in PEERS.items():
        for told_of_gaps in (False, True):
            name = f"{peer}, gaps told" if told_of_gaps else peer
            found[name] = [run(made(), one, told_of_gaps) for one in looks]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
