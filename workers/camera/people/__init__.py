"""Who is in the picture: faces are found in some frames, followed through all, and told of when they come, stay and go.

A sample of kind face is an event of one track: enter when it is confirmed, update at a set rate, leave when it is lost or the camera is.
Its box is where the face was found in that frame, or where it should be (left, top, width and height, in pixels); score is that of the
last box that was found, age_s the time since the first. With leave, and only where that was asked for, goes the best picture there was.
Track numbers are random; they say nothing across cameras, starts and days. Where nothing can find faces, a note says what to install.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from edgegw.clock import Clock
from edgegw.reading import Attachment, Quality, Sample
from workers.camera import convert
from workers.camera.blind import Blind
from workers.camera.capture import Frame
from workers.camera.detect import Detector, Face, NoDetector, motion, open_detector
from workers.camera.detect.motion import Motion
from workers.camera.detect.schedule import Schedule, common_budget
from workers.camera.options import Options
from workers.camera.people.shot import Shots, encoded
from workers.camera.people.story import Event, Kind, Story
from workers.camera.picture import Size, size
from workers.camera.track import Tracker
from workers.camera.track.tuning import FACES
from workers.camera.watch import Guest

SIDES = ("left_px", "top_px", "right_px", "bottom_px")  # of the face, in the picture that goes with it


def followers(options: Options, clock: Clock) -> Guest:
    """Whoever follows faces as `options` ask; where nothing can find any, somebody who says why."""
    try:
        return People(options, clock, open_detector(options.face_model, options.face_size_px))
    except NoDetector as error:
        return Blind(str(error))


class People:
    """Of one camera, since it was opened. One owner, one thread, no lock."""

    note = ""

    def __init__(self, options: Options, clock: Clock, detector: Detector) -> None:
        self._options = options
        self._clock = clock
        self._detector = detector
        self._tuning = msgspec.structs.replace(FACES, birth=options.face_score)
        self._motion = Motion()
        phase = random.random()  # cameras of several processes shall not look all at once
        self._schedule = Schedule(options.face_every, phase, options.face_gate, common_budget(options.face_budget_hz))
        self._size: Size | None = None
        self._begin()

    def seen(self, frame: Frame) -> Iterator[Sample]:
        """What this frame brings."""
        if size(frame.picture) != self._size:  # where somebody was in the old one says nothing
            yield from self.lost()
            self._size = size(frame.picture)
        if self._schedule.due(frame.at_ns, self._moved(frame), bool(len(self._tracker.live.ids))):
            self._look(frame)
        live = self._tracker.live
        yield from self._told_of(self._story.events(live, self._tracker.boxes_at(frame.at_ns), frame.at_ns))

    def told(self, sample: Sample) -> Sample:
        """A measurement, with how many are in the picture; of a picture that says nothing, nothing."""
        if sample.quality is Quality.BAD:
            return sample
        return msgspec.structs.replace(sample, values={**sample.values, "faces": int(self._tracker.live.present.sum())})

    def lost(self) -> Iterator[Sample]:
        """Everybody has left, for no more frames come."""
        yield from self._told_of(self._story.ended())
        self._begin()

    def _begin(self) -> None:
        self._tracker = Tracker(self._tuning)
        self._story = Story(self._options.face_update_hz)
        self._shots = Shots()

    def _moved(self, frame: Frame) -> bool:
        if not self._options.face_gate:
            return True
        height_px = size(frame.picture).height_px
        return self._motion.moved(convert.luma(frame.picture, max(1, height_px // motion.LINES)), frame.at_ns)

    def _look(self, frame: Frame) -> None:
        faces = self._detector.faces(frame.picture, self._tuning.weak)
        boxes = np.array([face[:4] for face in faces], float).reshape(-1, 4)
        rows = self._tracker.update(boxes, np.array([face.score for face in faces], float), frame.at_ns)
        if self._options.send_faces:
            self._offer(frame, faces, rows.tolist())

    def _offer(self, frame: Frame, faces: Sequence[Face], rows: Sequence[int]) -> None:
        ids = self._tracker.live.ids.tolist()
        for face, row in zip(faces, rows, strict=True):
            if row >= 0:
                self._shots.offer(ids[row], face, frame)

    def _told_of(self, events: Sequence[Event]) -> Iterator[Sample]:
        for event in events:
            age_ns = max(0, self._clock.monotonic_ns() - event.at_ns)
            yield Sample(_values(event), kind="face", age_ns=age_ns, attachment=self._picture(event))

    def _picture(self, event: Event) -> Attachment | None:
        shot = self._shots.take(event.track) if event.kind is Kind.LEAVE else None
        if shot is None:
            return None
        jpeg = encoded(shot)
        about = dict(zip(SIDES, map(float, jpeg.roi), strict=True))
        return Attachment("image/jpeg", jpeg.data, event.at_ns - jpeg.at_ns, about)


def _values(event: Event) -> dict[str, float | int | str | None]:
    x_px, y_px, width_px, height_px = event.box
    return {
        "track": event.track,
        "event": event.kind.value,
        "x_px": x_px,
        "y_px": y_px,
        "width_px": width_px,
        "height_px": height_px,
        "score": event.score,
        "age_s": event.age_s,
    }
