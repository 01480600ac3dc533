"""Follows boxes from look to look: who is who, where somebody is between two looks, and when somebody is lost.

Each look is joined to the tracks in three passes: strong boxes that overlap where a track should be; weak boxes that do, for confirmed
tracks that were seen a moment ago (somebody half hidden is found with a low score); strong boxes near enough, for somebody who moved
faster than expected. What is left over begins new tracks. These are nobody yet: a detector errs once, seldom twice in one place.

Time is what the looks say, so a look may come with every frame or with every tenth. One owner, no lock; numpy only.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgegw.clock import NS_PER_S
from workers.camera.track import association, walk
from workers.camera.track.association import Flags, Numbers, Places
from workers.camera.track.tuning import FACES, Tuning
from workers.camera.track.walk import Boxes, Rows

SMALLEST_px, LARGEST_px = 1.0, 1e6  # a side below, or any number beyond, makes it no box
CONFIRMED_first = 0.1  # of overlap, by which a confirmed track goes before one that is not
MISSED_per_s = 1.0  # of overlap, by which who was missed steps back: else the ghost of somebody who is hidden takes the boxes of another
WEAK_blur = 2.0  # times as uncertain is a weak box
LARGEST_ID = 2**53 - 1  # what a JSON reader that knows floats only still tells apart

_TRACK = np.dtype(
    [
        *walk.STATE,
        ("id", np.int64),  # 0 before it is confirmed
        ("score", np.float64),  # of its last box
        ("evidence", np.float64),  # sum of all scores
        ("hits", np.int64),
        ("misses", np.int64),  # looks since its last box
        ("born_ns", np.int64),
        ("seen_ns", np.int64),  # its last box
    ]
)


class Live(NamedTuple):
    """The confirmed tracks after the last look, the oldest first; everything in rows that belong together."""

    ids: NDArray[np.int64]
    boxes: Boxes  # n × (left, top, width, height), in pixels
    scores: Numbers  # of the last box
    hits: NDArray[np.int64]  # boxes so far
    born_ns: NDArray[np.int64]  # the first box
    seen_ns: NDArray[np.int64]  # the last box
    present: Flags  # found a moment ago: False for somebody who is waited for, and probably hidden or gone


def random_id() -> int:
    """1 to LARGEST_ID; says nothing about when and where, and does not come twice in the lifetime of a gateway."""
    return 1 + secrets.randbelow(LARGEST_ID)


class Tracker:
    """All tracks of one camera; ids come from `ids`, each once, and must be above 0."""

    def __init__(self, tuning: Tuning = FACES, ids: Callable[[], int] = random_id) -> None:
        self.turned_away = 0  # boxes that could have begun a track, but for `tuning.most`
        self._tuning = tuning
        self._ids = ids
        self._tracks: Rows = np.zeros(0, _TRACK)
        self._now_ns: int | None = None
        self._before_ns = 0  # the look before

    def update(self, boxes: Boxes, scores: Numbers, at_ns: int) -> Places:
        """A look: n × (left, top, width, height) in pixels and n scores (0 to 1), for a frame taken then (monotonic, ns).

        For each box the row in `live` of the confirmed track it belongs to, or -1. A box that is not finite, or not a pixel wide and
        high, belongs to nobody. A look without boxes counts as a look. A time before the last look's is taken for that of the last look.
        """
        boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64).reshape(-1)
        at_ns = self._advanced(at_ns)
        usable = _sound(boxes, scores) & (scores >= self._tuning.weak)
        centred = walk.centred(np.where(usable[:, None], boxes, 1.0))  # any box will do for what is none
        owner = self._owners(centred, scores, usable)
        self._correct(owner, centred, scores, at_ns)
        kept = self._kept()
        row_of = np.append(np.cumsum(kept & (self._tracks["id"] > 0)) - 1, -1)
        rows = np.where(np.append(self._tracks["id"] > 0, False)[owner], row_of[owner], -1)
        self._tracks = np.concatenate((self._tracks[kept], self._newborn(centred, scores, usable & (owner < 0), int(kept.sum()))))
        return rows

    @property
    def live(self) -> Live:
        """The confirmed tracks."""
        tracks = self._confirmed()
        return Live(
            ids=tracks["id"],
            boxes=walk.cornered(tracks["box"]),
            scores=tracks["score"],
            hits=tracks["hits"],
            born_ns=tracks["born_ns"],
            seen_ns=tracks["seen_ns"],
            present=tracks["misses"] <= self._tuning.shown,
        )

    def boxes_at(self, at_ns: int) -> Boxes:
        """Where the tracks of `live` should be at a time after the last look, row by row; at the last look, before it."""
        tracks = self._confirmed()
        walk.predict(tracks, self._after_s(at_ns), self._tuning)
        return walk.cornered(tracks["box"])

    def _confirmed(self) -> Rows:
        return self._tracks[self._tracks["id"] > 0]

    def _after_s(self, at_ns: int) -> float:
        """Since the last look. After a longer time than it takes to be lost nobody walks on as he did."""
        after_s = 0.0 if self._now_ns is None else (at_ns - self._now_ns) / NS_PER_S
        return min(max(after_s, 0.0), self._tuning.lost_s)

    def _advanced(self, at_ns: int) -> int:
        """Lets go of who is lost, and takes the others to that time, or to the last look's where it is later."""
        last_ns = at_ns if self._now_ns is None else self._now_ns
        at_ns = max(at_ns, last_ns)
        missed_s = (at_ns - self._tracks["seen_ns"]) / NS_PER_S
        self._tracks = self._tracks[(missed_s <= self._tuning.lost_s) | (self._tracks["misses"] < 2)]
        walk.predict(self._tracks, self._after_s(at_ns), self._tuning)
        self._before_ns, self._now_ns = last_ns, at_ns
        return at_ns

    def _owners(self, boxes: Boxes, scores: Numbers, usable: Flags) -> Places:
        """The track of each box, or -1, after the three passes."""
        owner = np.full(len(boxes), -1)
        if not len(self._tracks) or not usable.any():
            return owner
        tuning, tracks = self._tuning, self._tracks
        fit = association.fit(tracks, boxes, tuning)
        missed_s = (self._before_ns - tracks["seen_ns"]) / NS_PER_S
        confirmed = tracks["id"] > 0
        strong, free = usable & (scores >= tuning.strong), np.ones(len(tracks), bool)
        rank = CONFIRMED_first * confirmed - MISSED_per_s * np.clip(missed_s, 0, tuning.lost_s)
        awake = confirmed & (missed_s <= tuning.alive_s)
        for gain, allowed in (
            (fit.overlap + rank[:, None], (fit.overlap >= tuning.overlap) & strong),
            (fit.overlap, (fit.overlap >= tuning.weak_overlap) & usable & awake[:, None]),
            (-fit.apart, fit.near & strong),
        ):
            rows, columns = association.pairs(gain, allowed & free[:, None] & (owner < 0))
            owner[columns] = rows
            free[rows] = False
        return owner

    def _correct(self, owner: Places, boxes: Boxes, scores: Numbers, at_ns: int) -> None:
        """Takes the tracks to their boxes, and gives an id to those that have now been seen well enough."""
        found = np.flatnonzero(owner >= 0)
        tracks, rows, score = self._tracks, owner[found], scores[found]
        tracks["misses"] += 1
        blur = self._tuning.blur * np.where(score >= self._tuning.strong, 1.0, WEAK_blur)
        after = walk.corrected(tracks[rows], boxes[found], blur)
        after["misses"], after["score"], after["seen_ns"] = 0, score, at_ns
        after["hits"] += 1
        after["evidence"] += score
        for row in np.flatnonzero((after["id"] == 0) & (after["evidence"] >= self._tuning.evidence)):
            after["id"][row] = self._ids()
        tracks[rows] = after

    def _kept(self) -> Flags:
        """Who stays: confirmed, or found a moment ago."""
        tracks = self._tracks
        return (tracks["id"] > 0) | (tracks["misses"] <= self._tuning.patience)

    def _newborn(self, boxes: Boxes, scores: Numbers, free: Flags, tracks: int) -> Rows:
        """Tracks for the boxes that are nobody's, the surest first."""
        chosen = np.flatnonzero(free & (scores >= self._tuning.birth))
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
        room = max(0, self._tuning.most - tracks)
        self.turned_away += max(0, len(chosen) - room)
        chosen = chosen[:room]
        new = np.zeros(len(chosen), _TRACK)
        walk.begin(new, boxes[chosen], self._tuning)
        new["score"] = new["evidence"] = scores[chosen]
        new["hits"] = 1
        new["born_ns"] = new["seen_ns"] = self._now_ns
        return new


def _sound(boxes: Boxes, scores: Numbers) -> Flags:
    """Boxes that are boxes: finite, and a pixel wide and high at least."""
    finite = np.isfinite(scores) & (np.abs(boxes) <= LARGEST_px).all(axis=1)  # a comparison with what is no number is False
    return finite & (boxes[:, 2:] >= SMALLEST_px).all(axis=1)
