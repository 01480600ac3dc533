"""What happens to the people who are followed, as events: each enters once, is reported now and then, and leaves once."""

from __future__ import annotations

import enum
from typing import NamedTuple

from edgegw.clock import NS_PER_S
from workers.camera.track import Live
from workers.camera.track.walk import Boxes


class Kind(enum.Enum):
    """What happened."""

    ENTER = "enter"  # confirmed
    UPDATE = "update"  # still there, and found a moment ago
    LEAVE = "leave"  # lost, or the camera closes


class Event(NamedTuple):
    """One of them."""

    kind: Kind
    track: int  # id
    box: tuple[float, float, float, float]  # left, top, width, height in pixels; of one who leaves, where he was when he was last present
    score: float  # of the last box, 0 to 1
    age_s: float  # from the first box to the last
    at_ns: int  # when it was told (monotonic, ns)


class _Chapter(NamedTuple):
    last: Event
    due_ns: int  # of the next update


class Story:
    """The events of one camera, with `update_hz` updates a second for each track (above 0)."""

    def __init__(self, update_hz: float) -> None:
        self._period_ns = round(NS_PER_S / update_hz)
        self._open: dict[int, _Chapter] = {}
        self._now_ns = 0

    def events(self, live: Live, boxes: Boxes, at_ns: int) -> list[Event]:
        """What has happened by that time (monotonic, ns), given where the live tracks are by then: who left, then the others in order."""
        self._now_ns = max(self._now_ns, at_ns)
        here = set(live.ids.tolist())
        gone = [self._left(track) for track in list(self._open) if track not in here]
        seen = [self._seen(_event(live, boxes, row, at_ns), bool(live.present[row])) for row in range(len(live.ids))]
        return gone + [event for event in seen if event]

    def ended(self) -> list[Event]:
        """Everybody leaves, as of the time that was told last: the camera is lost, or closed."""
        return [self._left(track) for track in list(self._open)]

    def _seen(self, event: Event, present: bool) -> Event | None:
        chapter = self._open.get(event.track)
        due_ns = event.at_ns if chapter is None else chapter.due_ns
        due = chapter is None or (event.at_ns >= due_ns and present)
        if due:  # on a grid, so that frames that come a little late do not slow it down; what was missed is not made up for
            due_ns += (1 + (event.at_ns - due_ns) // self._period_ns) * self._period_ns
        last = event if present or chapter is None else chapter.last  # where nobody was found, the prediction has gone astray
        self._open[event.track] = _Chapter(last, due_ns)
        return event._replace(kind=Kind.UPDATE if chapter else Kind.ENTER) if due else None

    def _left(self, track: int) -> Event:
        return self._open.pop(track).last._replace(kind=Kind.LEAVE, at_ns=self._now_ns)


def _event(live: Live, boxes: Boxes, row: int, at_ns: int) -> Event:
    left, top, width, height = boxes[row].tolist()
    age_s = int(live.seen_ns[row] - live.born_ns[row]) / NS_PER_S
    return Event(Kind.UPDATE, int(live.ids[row]), (left, top, width, height), float(live.scores[row]), age_s, at_ns)
