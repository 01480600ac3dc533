"""The tracker on boxes whose owners are known: who is who, at any pace of looks, and whatever comes in."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from workers.camera.track import LARGEST_ID, Tracker, random_id
from workers.camera.track.tuning import FACES, Tuning

S = 1_000_000_000
BOX = (100.0, 100.0, 60.0, 80.0)


def tracker(tuning: Tuning = FACES) -> Tracker:
    """With ids 1, 2, 3, …"""
    return Tracker(tuning, itertools.count(1).__next__)


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float64]:
    return np.array(rows, float).reshape(-1, 4)


def look(one: Tracker, at_s: float, *rows: tuple[float, float, float, float], score: float = 0.9) -> list[int]:
    """The ids of the tracks that the boxes belong to, 0 for none."""
    found = one.update(boxes(*rows), np.full(len(rows), score), round(at_s * S))
    return [int(one.live.ids[row]) if row >= 0 else 0 for row in found]


def walking(speed_px_s: float, hz: float, seconds: float = 4.0) -> Iterable[tuple[float, tuple[float, float, float, float]]]:
    for i in range(round(seconds * hz)):
        yield i / hz, (100 + speed_px_s * i / hz, 100.0, 60.0, 80.0)


def test_a_face_is_followed_from_its_second_sure_box() -> None:
    """One box is nobody, two are somebody."""
    one = tracker()
    assert look(one, 0.0, BOX) == [0]
    assert look(one, 0.1, BOX) == [1]
    assert one.live.hits.tolist() == [2]


def test_unsure_boxes_take_longer() -> None:
    """At a score of 0.65 it takes three boxes."""
    one = tracker()
    assert [look(one, i / 10, BOX, score=0.65) for i in range(4)] == [[0], [0], [1], [1]]


def test_a_low_score_begins_nothing() -> None:
    """However often it comes."""
    one = tracker()
    assert all(look(one, i / 10, BOX, score=0.5) == [0] for i in range(20))


def test_a_low_score_keeps_what_is_there() -> None:
    """Half hidden is not gone."""
    one = tracker()
    for i in range(3):
        look(one, i / 10, BOX)
    assert all(look(one, i / 10, BOX, score=0.3) == [1] for i in range(3, 40))


@pytest.mark.parametrize("hz", [3, 6, 15, 30])
@pytest.mark.parametrize("speed_px_s", [0, 80, 240])
def test_somebody_who_walks_is_one_person(hz: float, speed_px_s: float) -> None:
    """Up to three face heights a second, at any pace of looks: one id."""
    one = tracker()
    ids = {id_ for at_s, box in walking(speed_px_s, hz) for id_ in look(one, at_s, box)}
    assert ids == {0, 1}


def test_two_who_pass_each_other_keep_their_ids() -> None:
    """Their boxes lie upon each other for a moment."""
    one, ids = tracker(), list[int]()
    for i in range(40):
        there, back = (100.0 + 8 * i, 100.0, 60.0, 80.0), (420.0 - 8 * i, 104.0, 60.0, 80.0)
        ids = look(one, i / 15, there, back)
    assert ids == [1, 2]


def test_who_is_hidden_for_a_moment_is_the_same() -> None:
    """Half a second without a box: not present for the last part of it, but the same id afterwards, where the walk leads."""
    one, ids = tracker(), list[int]()
    for at_s, box in walking(60, 10):
        if 2.0 <= at_s < 2.5:
            look(one, at_s)
        else:
            ids = look(one, at_s, box)
        if at_s == 2.4:
            assert one.live.ids.tolist() == [1]
            assert not one.live.present.any()
    assert ids == [1]


def test_who_is_away_for_longer_is_somebody_else() -> None:
    """Lost after lost_s, whatever the pace of looks; and never the old id again."""
    for hz in (2, 10, 30):
        one, ids = tracker(), list[int]()
        for i in range(3 * hz):
            look(one, i / hz, BOX)
        for i in range(3 * hz, 6 * hz):
            look(one, i / hz)
            gone_s = (i - 3 * hz + 1) / hz
            assert len(one.live.ids) == (gone_s <= 1.0), f"{hz} Hz, {gone_s} s"
        for i in range(6 * hz, 9 * hz):
            ids = look(one, i / hz, BOX)
        assert ids == [2]


def test_a_pause_of_looks_loses_nobody() -> None:
    """Nobody looked for ten seconds: who is still there at the next look is the same."""
    one = tracker()
    for i in range(5):
        look(one, i / 10, BOX)
    assert look(one, 10.4, BOX) == [1]


def test_between_looks_a_walk_goes_on() -> None:
    """Where the box will be, within a tenth of its width; and asking changes nothing."""
    one = tracker()
    for at_s, box in walking(120, 5):
        look(one, at_s, box)
    ahead = one.boxes_at(round((at_s + 0.1) * S))
    assert ahead == pytest.approx(boxes((box[0] + 12, *box[1:])), abs=6)
    assert one.boxes_at(round(at_s * S)).tolist() == one.live.boxes.tolist()


def test_a_lost_box_keeps_its_size() -> None:
    """Somebody who came nearer stays as large as he was when he was lost."""
    one = tracker()
    for i in range(20):
        look(one, i / 10, (100.0, 100.0, 60.0 + i, 80.0 + i))
    size = one.live.boxes[0, 2:].tolist()
    look(one, 2.5)
    assert one.live.boxes[0, 2:].tolist() == size


def test_time_that_stands_still_or_runs_back_is_taken_as_it_is() -> None:
    """The same answers as for looks at one moment; nothing moves backwards."""
    one, other = tracker(), tracker()
    for i in range(6):
        assert look(one, 5.0 - i, BOX) == look(other, 5.0, BOX)
    assert one.live.boxes.tolist() == other.live.boxes.tolist()
    assert one.live.seen_ns.tolist() == other.live.seen_ns.tolist()


def test_what_is_no_box_is_nobodys() -> None:
    """Not finite, without size, absurdly large, or of no score: it begins nothing and disturbs nobody."""
    nan, inf = float("nan"), float("inf")
    bad = [(nan, 0, 1, 1), (0, inf, 1, 1), (100, 100, 0, 80), (100, 100, 60, -80), (1e9, 0, 60, 80), (0, 0, 60, 1e300)]
    one, ids = tracker(), list[int]()
    for i in range(10):
        ids = look(one, i / 10, *bad[:3], BOX, *bad[3:])
    assert ids == [0, 0, 0, 1, 0, 0, 0]
    assert one.update(boxes(BOX), np.array([nan]), S).tolist() == [-1]


def test_nothing_at_all_is_fine() -> None:
    """Looks without boxes, and a tracker that was never asked to look."""
    one = tracker()
    assert one.boxes_at(5).shape == (0, 4)
    assert look(one, 0.0) == []
    assert one.live.boxes.shape == (0, 4)


def test_a_crowd_is_bounded_and_counted() -> None:
    """Of 300 boxes 256 are followed, and the others are counted at every look that they come in."""
    crowd = [(200.0 * (i % 20), 200.0 * (i // 20), 60.0, 80.0) for i in range(300)]
    one, ids = tracker(), list[int]()
    for i in range(3):
        ids = look(one, i / 10, *crowd)
    assert sum(id_ > 0 for id_ in ids) == FACES.most == len(one.live.ids)
    assert one.turned_away == 3 * (300 - FACES.most)


def test_ids_are_random_and_of_this_start_only() -> None:
    """Two trackers that see the same do not call them the same; ids stay within what a float tells apart."""
    names = []
    for one in (Tracker(), Tracker()):
        for i in range(3):
            look(one, i / 10, BOX, (500.0, 100.0, 60.0, 80.0))
        names += one.live.ids.tolist()
    assert len(set(names)) == 4
    assert all(1 <= random_id() <= LARGEST_ID for _ in range(1000))
    assert len({random_id() for _ in range(1000)}) == 1000


NUMBERS = st.floats(-1e7, 1e7) | st.sampled_from([float("nan"), float("inf"), 0.0, 50.0, 60.0])
LOOKS = st.lists(
    st.tuples(
        st.integers(0, 12).flatmap(lambda n: arrays(float, (n, 5), elements=NUMBERS | st.floats(0, 100))), st.integers(-2 * S, 2 * S)
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(LOOKS)
def test_whatever_comes_the_books_are_in_order(looks: list[tuple[NDArray[np.float64], int]]) -> None:
    """Rows point to live tracks, one box each; ids are never given twice; all numbers stay finite."""
    given_ids: list[int] = []

    def ids() -> int:
        given_ids.append(len(given_ids) + 1)
        return given_ids[-1]

    one, at_ns, before = Tracker(msgspec.structs.replace(FACES, most=8), ids), 0, set[int]()
    gone: set[int] = set()
    for rows, step_ns in looks:
        at_ns += step_ns
        owners = one.update(rows[:, :4], np.clip(rows[:, 4], 0, 1), at_ns)
        live = one.live
        assert len(owners) == len(rows)
        owned = owners[owners >= 0].tolist()
        assert len(set(owned)) == len(owned) <= len(live.ids) <= 8
        assert all(row < len(live.ids) for row in owned)
        assert np.isfinite(live.boxes).all()
        assert (live.boxes[:, 2:] >= 1).all()
        assert np.isfinite(one.boxes_at(at_ns + S)).all()
        now = set(live.ids.tolist())
        gone |= before - now
        assert not gone & now
        before = now
