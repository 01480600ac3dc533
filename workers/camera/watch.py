"""The pace of a camera: measurements at their rate, every frame to those who want every frame, and how long none may be missing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from workers.camera.capture import Frame, Progress
from workers.camera.fields import FIELDS
from workers.camera.options import Options
from workers.camera.verdict import Rate

if TYPE_CHECKING:
    from workers.camera.figures import Figures

BEAT_s = 0.25
FIRST_s = 20.0  # for opening it and its first frame: a stream waits for its next key frame, which may be 10 s away
STALL_s, STALL_periods = 4.0, 5  # a source that can tell why it gives nothing has a second to say so first
MISSING_s, MISSING_periods = 1.0, 3  # when a slot counts as unfilled


class Feed(Protocol):
    """The part of Capture that is watched."""

    def frame(self, within_s: float) -> Frame | None: ...
    def progress(self) -> Progress: ...


class Guest(Protocol):
    """Somebody who wants to see every frame."""

    note: str  # what the operator has to do before it can do all that was asked of it; "" for nothing

    def seen(self, frame: Frame) -> Iterator[Sample]:
        """What it has to say of the newest frame, in which what is masked is black."""

    def told(self, sample: Sample) -> Sample:
        """A measurement, with what it has to add."""

    def lost(self) -> Iterator[Sample]:
        """What it has to say when no frame will come any more."""


class Watch:
    """Measures `options.rate_hz` times a second, and knows how long nothing has come."""

    def __init__(self, feed: Feed, options: Options, clock: Clock, guests: tuple[Guest, ...] = ()) -> None:
        self._feed = feed
        self._options = options
        self._clock = clock
        self._guests = guests
        self._every = bool(guests) or options.laser_switched
        self._period_ns = round(NS_PER_S / options.rate_hz)
        self._due_ns = clock.monotonic_ns()
        self._figures: Figures | None = None
        self._rate = Rate()
        self._captured = self._lost_told = 0
        self._fps: float | None = None
        self._silent_ns = 0  # as waited for here: a pause of the whole process is no silence of the camera

    def samples(self) -> Generator[Sample | None, None, None]:
        """For ever; None where there is nothing to say for 0.25 s. Raises DeviceError when the camera is silent for too long."""
        try:
            while True:
                yield from self._turn()
        except (DeviceError, OSError):
            for guest in self._guests:
                yield from guest.lost()
            raise

    def _turn(self) -> Iterator[Sample | None]:
        now_ns = self._clock.monotonic_ns()
        frame = self._next(now_ns)
        progress = self._feed.progress()
        self._fps = self._rate.fps(progress)
        self._listen(progress, min(self._clock.monotonic_ns() - now_ns, round(BEAT_s * NS_PER_S)))
        if frame is None:
            yield self._missing(progress)
            return
        figures = self._figures = self._figures or _figures(self._options)
        measured = self._measured(frame, figures, progress)
        if self._guests:
            masked = figures.masked(frame)
            for guest in self._guests:
                yield from guest.seen(masked)
        yield self._with_guests(measured) if measured else None

    def _next(self, now_ns: int) -> Frame | None:
        """The next frame that is wanted, waited for; None where it takes longer than a heartbeat may."""
        if self._every or self._due_ns <= now_ns:
            return self._feed.frame(BEAT_s)
        self._clock.sleep_until(min(self._due_ns, now_ns + round(BEAT_s * NS_PER_S)))
        return None

    def _listen(self, progress: Progress, waited_ns: int) -> None:
        if progress.captured > self._captured:
            self._captured, self._silent_ns = progress.captured, 0
            return
        self._silent_ns += waited_ns
        limit_s = self._at_least(STALL_s, STALL_periods) if self._captured else FIRST_s
        if self._silent_ns > limit_s * NS_PER_S:
            since = "for" if self._captured else "since it was opened, for"
            raise DeviceError(f"no picture comes from the camera {since} {limit_s:.0f} s: cable, network, or does another program hold it?")

    def _measured(self, frame: Frame, figures: Figures, progress: Progress) -> Sample | None:
        """Of a frame that fills a slot, and of no other."""
        sample = None
        if self._clock.monotonic_ns() >= self._due_ns:
            self._next_slot()
            values, quality = figures.of(frame)
            values["fps"] = self._fps
            age_ns = max(0, self._clock.monotonic_ns() - frame.at_ns)
            sample = Sample(values, quality, "camera", age_ns, self._faults(progress))
        figures.passed(frame)
        return sample

    def _missing(self, progress: Progress) -> Sample | None:
        late = self._captured > 0 and self._silent_ns >= self._at_least(MISSING_s, MISSING_periods) * NS_PER_S
        if not late or self._clock.monotonic_ns() < self._due_ns:
            return None
        self._next_slot()
        return Sample(dict.fromkeys(FIELDS["camera"]), Quality.BAD, "camera", faults=self._faults(progress))

    def _with_guests(self, sample: Sample) -> Sample:
        for guest in self._guests:
            sample = guest.told(sample)
        notes = " ".join(guest.note for guest in self._guests if guest.note)
        return msgspec.structs.replace(sample, note=notes) if notes else sample

    def _at_least(self, seconds: float, periods: float) -> float:
        """That time, or so many of the camera's own periods, where it is a slow one."""
        return max(seconds, periods / self._fps if self._fps else 0.0)

    def _next_slot(self) -> None:
        """The one after now; those that were missed are not made up for."""
        late = max(0, self._clock.monotonic_ns() - self._due_ns) // self._period_ns
        self._due_ns += (1 + late) * self._period_ns

    def _faults(self, progress: Progress) -> int:
        """Frames that could not be read, and those that nobody had time to look at although they were wanted."""
        lost = progress.spoilt + progress.late
        new, self._lost_told = lost - self._lost_told, lost
        return new


def _figures(options: Options) -> Figures:
    from workers.camera.figures import Figures  # here, not above: it loads numpy, which the capturing thread has done by now
    from workers.camera.masks import Masks

    return Figures(options, Masks(options.masks))
