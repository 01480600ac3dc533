"""What one event is made of: a reading of a face that has left, and the picture that rides with it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping

import msgspec

from edgegw.reading import Attachment, Reading, Record, Run

Key = tuple[str, int]  # run id, seq
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NS_PER_MS = 1_000_000
_MARKS = 999
_SIDES = ("left_px", "top_px", "right_px", "bottom_px")


class Event(msgspec.Struct, frozen=True):
    """One face to send; the picture does not show in its repr."""

    key: Key
    position: int
    sensor: str
    track: int | None
    when_us: int  # when the picture was taken: UTC since the epoch; see moment_us
    jpeg: bytes
    roi: Box | None  # where in the picture the face is; None: nobody has said
    gone: str = ""  # why there is no picture any more
    replay: bool = False  # comes from a backlog

    @property
    def timestamp(self) -> str:
        """When the picture was taken, in ISO 8601 with offset and microseconds."""
        return (_EPOCH + datetime.timedelta(microseconds=self.when_us)).isoformat(timespec="microseconds")

    def __repr__(self) -> str:
        return f"Event({self.sensor}, run={self.key[0]}, seq={self.key[1]}, track={self.track}, {len(self.jpeg)} bytes)"


def events(record: Record) -> Iterator[Event]:
    """Of each reading in `record` that something is attached to; the others are none of FindFace's business."""
    for reading in record.batch.readings:
        attached = record.attachments.get(reading.seq)
        if attached is not None:
            yield _event(record, reading, attached)


def moment_us(taken_ns: int, seq: int) -> int:
    """The time of a picture in µs, exact to the millisecond; below that stands 1 + seq % 999.

    So no two faces of one camera have the same time, even when they were cut out of one picture, and whoever looks an event up
    by its time finds this face and no other.
    """
    return taken_ns // _NS_PER_MS * 1000 + 1 + seq % _MARKS


def parsed_us(timestamp: object) -> int | None:
    """A time as a server writes it, in µs since the epoch; without an offset it is UTC. None: it cannot be read."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    try:
        return ((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)) - _EPOCH) // datetime.timedelta(microseconds=1)
    except OverflowError:  # the year 1 with an offset to the west
        return None


def _event(record: Record, reading: Reading, attached: Attachment) -> Event:
    return Event(
        key=(record.run.id, reading.seq),
        position=record.position,
        sensor=record.run.sensor,
        track=_track(record.run, record.batch.kind, reading),
        when_us=moment_us(reading.time_ns - attached.before_ns, reading.seq),
        jpeg=attached.data,
        roi=_box(attached.about),
        gone=attached.gone,
        replay=record.replay,
    )


def _track(run: Run, kind: str, reading: Reading) -> int | None:
    values = dict(zip(run.fields.get(kind, {}), reading.values, strict=False))
    track = values.get("track")
    return track if isinstance(track, int) else None


def _box(about: Mapping[str, float]) -> Box | None:
    """Whole pixels that hold the face; None where a side is missing, or there is nothing between them."""
    sides = [about.get(side, math.nan) for side in _SIDES]
    if not all(map(math.isfinite, sides)):
        return None
    left, top, right, bottom = max(0, math.floor(sides[0])), max(0, math.floor(sides[1])), math.ceil(sides[2]), math.ceil(sides[3])
    return (left, top, right, bottom) if left < right and top < bottom else None
