"""Events of tracks: who entered leaves once, and is reported at the set rate in between."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.camera.people.story import Event, Kind, Story
from workers.camera.track import Live, Tracker

S = 1_000_000_000
Here = dict[int, bool]  # id → present


def live(here: Here, seen_s: float = 0.0) -> Live:
    n = len(here)
    boxes = np.array([(10.0 * id_, 0.0, 60.0, 80.0) for id_ in here]).reshape(-1, 4)
    ids, present = np.array(list(here), np.int64), np.array(list(here.values()), bool)
    seen_ns = np.full(n, round(seen_s * S))
    return Live(ids, boxes, np.full(n, 0.9), np.full(n, 3), np.zeros(n, np.int64), seen_ns, present)


def events(story: Story, here: Here, at_s: float) -> list[Event]:
    tracks = live(here, at_s)
    return story.events(tracks, tracks.boxes, round(at_s * S))


def told(found: list[Event]) -> list[tuple[str, int]]:
    return [(event.kind.value, event.track) for event in found]


def test_enter_update_leave() -> None:
    """The life of one track, with what it says of it."""
    story = Story(update_hz=1.0)
    assert told(events(story, {7: True}, 1.0)) == [("enter", 7)]
    assert told(events(story, {7: True}, 1.5)) == []
    (update,) = events(story, {7: True}, 2.0)
    assert update == Event(Kind.UPDATE, 7, (70.0, 0.0, 60.0, 80.0), 0.9, 2.0, 2 * S)
    (leave,) = events(story, {}, 3.25)
    assert leave == Event(Kind.LEAVE, 7, (70.0, 0.0, 60.0, 80.0), 0.9, 2.0, round(3.25 * S))
    assert story.ended() == []


@pytest.mark.parametrize("fps", [5, 14, 15, 29.97, 30])
@pytest.mark.parametrize("update_hz", [0.5, 1, 3])
def test_updates_come_at_the_set_rate(fps: float, update_hz: float) -> None:
    """At any rate of frames that is no lower: as many in 60 s as were asked for, but for one."""
    story = Story(update_hz)
    found = [event for i in range(round(60 * fps)) for event in events(story, {1: True}, i / fps)]
    count = Counter(event.kind for event in found)
    assert count[Kind.UPDATE] == pytest.approx(60 * update_hz, abs=1)


def test_a_pause_is_not_made_up_for() -> None:
    """One update after it, and then the old pace."""
    story = Story(update_hz=2.0)
    events(story, {1: True}, 0.0)
    assert told(events(story, {1: True}, 30.1)) == [("update", 1)]
    assert told(events(story, {1: True}, 30.2)) == []


def test_who_is_not_present_is_not_reported() -> None:
    """Until found again; and leaving, the box is the one from when he was."""
    story = Story(update_hz=10.0)
    events(story, {1: True}, 0.0)
    tracks = live({1: False})
    assert story.events(tracks, tracks.boxes + 500, S) == []
    (leave,) = events(story, {}, 2.0)
    assert leave.box == (10.0, 0.0, 60.0, 80.0)


def test_when_the_camera_ends_everybody_leaves() -> None:
    """As of the last frame."""
    story = Story(update_hz=1.0)
    events(story, {1: True, 2: False}, 4.0)
    found = story.ended()
    assert told(found) == [("leave", 1), ("leave", 2)]
    assert {event.at_ns for event in found} == {4 * S}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.dictionaries(st.integers(1, 6), st.booleans(), max_size=6), max_size=25), st.floats(0.1, 30))
def test_every_track_that_entered_leaves_exactly_once(frames: list[Here], update_hz: float) -> None:
    """Whatever comes and goes: enter before update before leave, and after the end nobody is left."""
    story, state = Story(update_hz), dict[int, bool]()
    gone = 0
    for i, here in enumerate(frames):
        here = {id_ + 10 * gone: present for id_, present in here.items()}
        _check(events(story, here, i / 10), state)
        assert set(here) == {id_ for id_, inside in state.items() if inside}
        gone += not here
    _check(story.ended(), state)
    assert not any(state.values())
    assert story.ended() == []


def _check(found: list[Event], inside: dict[int, bool]) -> None:
    for event in found:
        assert inside.get(event.track, False) == (event.kind is not Kind.ENTER)
        inside[event.track] = event.kind is not Kind.LEAVE


def test_a_tracker_and_its_story_agree() -> None:
    """On a tracker's own tracks: one who comes, stays and goes gives one enter, some updates and one leave."""
    tracker, story = Tracker(), Story(update_hz=1.0)
    found: list[Event] = []
    for i in range(60):
        box = np.array([(100.0, 100.0, 60.0, 80.0)] if 10 <= i < 40 else []).reshape(-1, 4)
        tracker.update(box, np.full(len(box), 0.9), i * S // 10)
        found += story.events(tracker.live, tracker.boxes_at(i * S // 10), i * S // 10)
    assert [event.kind.value for event in found] == ["enter", "update", "update", "update", "leave"]
    assert len({event.track for event in found}) == 1
    assert found[-1].age_s == pytest.approx(2.9)
