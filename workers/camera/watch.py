"""The pace of the measurements, and what a frame, or the want of one, says of the camera."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample, Value
from workers.camera.capture import Frame, Progress
from workers.camera.options import Options

if TYPE_CHECKING:
    from workers.camera.measure import Look

FIELDS: dict[str, dict[str, type[float] | type[int]]] = {
    "camera": {
        "luminosity": float,
        "sharpness": float,
        "laser_x_px": float,
        "laser_y_px": float,
        "laser_area_px": float,
        "faces": int,
        "fps": float,
        "width_px": int,
        "height_px": int,
    }
}
BEAT_s = 0.25
FIRST_s = 20.0  # for opening it and its first frame: a stream waits for its next key frame, which may be 10 s away
STALL_s, STALL_periods = 3.0, 5
MISSING_s, MISSING_periods = 1.0, 3  # when a slot counts as unfilled
FROZEN_s = 2.0
BLACK, FLAT = 2.0, 2.0  # luminosity and contrast below which there is nothing to see
RATE_s = 3.0  # over which the camera's rate is measured


class Picture(enum.Enum):
    """What a frame is worth, as the table at the top has it: the quality, and whether what was measured is kept."""

    GOOD = ("good", Quality.GOOD, True)
    BLACK = ("black", Quality.UNCERTAIN, True)
    FROZEN = ("frozen", Quality.BAD, False)

    def __init__(self, _word: str, quality: Quality, kept: bool) -> None:
        self.quality = quality
        self.kept = kept


class Judge:
    """Tells a live picture from a black one and a frozen one."""

    def __init__(self) -> None:
        self._digest: int | None = None
        self._since_ns = 0

    def judge(self, look: Look, at_ns: int) -> Picture:
        """Of a frame taken then. Every live sensor has noise: two equal pictures are one picture, unless there is no light at all."""
        if look.digest != self._digest:
            self._digest, self._since_ns = look.digest, at_ns
        if look.luminosity < BLACK and look.contrast < FLAT:
            return Picture.BLACK
        return Picture.FROZEN if at_ns - self._since_ns > FROZEN_s * NS_PER_S else Picture.GOOD


class Rate:
    """Frames a second, over the last RATE_s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def fps(self, progress: Progress) -> float | None:
        """As of now; None before the second frame."""
        newest = (progress.newest_ns, progress.captured)
        if progress.captured and (not self._seen or self._seen[-1] != newest):
            self._seen.append(newest)
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] >= RATE_s * NS_PER_S:
            self._seen.popleft()
        if not self._seen or self._seen[-1][0] <= self._seen[0][0]:
            return None
        (from_ns, before), (to_ns, now) = self._seen[0], self._seen[-1]
        return (now - before) * NS_PER_S / (to_ns - from_ns)


class Feed(Protocol):
    """The part of Capture that is watched."""

    def frame(self, within_s: float) -> Frame | None: ...
    def progress(self) -> Progress: ...


class Watch:
    """Measures `options.rate_hz` times a second, and knows how long nothing has come."""

    def __init__(self, feed: Feed, options: Options, clock: Clock) -> None:
        self._feed = feed
        self._options = options
        self._clock = clock
        self._period_ns = round(NS_PER_S / options.rate_hz)
        self._due_ns = clock.monotonic_ns()
        self._judge = Judge()
        self._rate = Rate()
        self._captured = self._spoilt_told = 0
        self._fps: float | None = None
        self._silent_ns = 0  # as waited for here: a pause of the whole process is no silence of the camera

    def samples(self) -> Generator[Sample | None, None, None]:
        """For ever; None where there is nothing to say for 0.25 s. Raises DeviceError when the camera is silent for too long."""
        while True:
            now_ns = self._clock.monotonic_ns()
            beat_ns = round(BEAT_s * NS_PER_S)
            frame = None
            if self._due_ns > now_ns:
                self._clock.sleep_until(min(self._due_ns, now_ns + beat_ns))
            else:
                frame = self._feed.frame(BEAT_s)
            progress = self._feed.progress()
            self._fps = self._rate.fps(progress)
            self._listen(progress, min(self._clock.monotonic_ns() - now_ns, beat_ns))
            yield self._sample(frame, progress)

    def _listen(self, progress: Progress, waited_ns: int) -> None:
        if progress.captured > self._captured:
            self._captured, self._silent_ns = progress.captured, 0
            return
        self._silent_ns += waited_ns
        limit_s = self._at_least(STALL_s, STALL_periods) if self._captured else FIRST_s
        if self._silent_ns > limit_s * NS_PER_S:
            since = "for" if self._captured else "since it was opened, for"
            raise DeviceError(f"no picture comes from the camera {since} {limit_s:.0f} s: cable, network, or does another program hold it?")

    def _sample(self, frame: Frame | None, progress: Progress) -> Sample | None:
        if frame is None:
            late = self._captured > 0 and self._silent_ns >= self._at_least(MISSING_s, MISSING_periods) * NS_PER_S
            if not late or self._clock.monotonic_ns() < self._due_ns:
                return None
            self._next()
            return Sample(dict.fromkeys(FIELDS["camera"]), Quality.BAD, faults=self._faults(progress))
        self._next()
        values, quality = self._measured(frame)
        values["fps"] = self._fps
        return Sample(values, quality, age_ns=max(0, self._clock.monotonic_ns() - frame.at_ns), faults=self._faults(progress))

    def _measured(self, frame: Frame) -> tuple[dict[str, Value], Quality]:
        from workers.camera import laser, measure  # here, not above: they load numpy, which the capturing thread has done by now

        values: dict[str, Value] = dict.fromkeys(FIELDS["camera"])
        values["height_px"], values["width_px"] = frame.pixels.shape[:2]
        look = measure.look(frame.pixels, self._options.exact)
        picture = self._judge.judge(look, frame.at_ns)
        if picture.kept:
            values["luminosity"], values["sharpness"] = look.luminosity, look.sharpness
            dot = laser.find(frame.pixels) if self._options.laser else None
            if dot:
                values["laser_x_px"], values["laser_y_px"], values["laser_area_px"] = dot
        return values, picture.quality

    def _at_least(self, seconds: float, periods: float) -> float:
        """That time, or so many of the camera's own periods, where it is a slow one."""
        return max(seconds, periods / self._fps if self._fps else 0.0)

    def _next(self) -> None:
        """The next slot after now; those that were missed are not made up for."""
        late = max(0, self._clock.monotonic_ns() - self._due_ns) // self._period_ns
        self._due_ns += (1 + late) * self._period_ns

    def _faults(self, progress: Progress) -> int:
        new, self._spoilt_told = progress.spoilt - self._spoilt_told, progress.spoilt
        return new
