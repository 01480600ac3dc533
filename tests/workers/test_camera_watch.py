"""The pace of measurements and what is said of frames, with a clock that stands still unless somebody waits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import cast

import msgspec
import numpy as np
import pytest

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from edgegw.testing import FakeClock
from tests.workers.camera_scenes import planted
from workers.camera.capture import Frame, Progress
from workers.camera.fields import FIELDS
from workers.camera.measure import Look
from workers.camera.options import Options
from workers.camera.picture import Pixels
from workers.camera.verdict import FROZEN_s, Judge, Rate, Verdict
from workers.camera.watch import BEAT_s, FIRST_s, Guest, Watch

SECOND = NS_PER_S
LIVE = np.random.default_rng(1).integers(40, 60, (48, 64, 3), np.uint8)


class Feed:
    """A camera of `fps` frames a second; `alive` says until when, `picture` what it sees at a time."""

    def __init__(self, clock: FakeClock, fps: float) -> None:
        self.clock = clock
        self.period_ns = round(SECOND / fps)
        self.born_ns = clock.monotonic_ns()
        self.dead_s = float("inf")
        self.spoilt = 0
        self.noise = itertools.count()
        self.picture: Callable[[], object] = lambda: LIVE + np.uint8(next(self.noise) % 100)

    def progress(self) -> Progress:
        until_ns = min(self.clock.monotonic_ns() - self.born_ns, self.dead_s * SECOND)
        captured = int(until_ns // self.period_ns)
        return Progress(captured, 0, self.spoilt, self.born_ns + captured * self.period_ns if captured else 0)

    def frame(self, within_s: float) -> Frame | None:
        now_ns = self.clock.monotonic_ns()
        next_ns = self.born_ns + ((now_ns - self.born_ns) // self.period_ns + 1) * self.period_ns
        if next_ns > now_ns + within_s * SECOND or next_ns - self.born_ns > self.dead_s * SECOND:
            self.clock.sleep_until(now_ns + round(within_s * SECOND))
            return None
        self.clock.sleep_until(next_ns)
        return Frame(self.picture(), next_ns)  # type: ignore[arg-type] # a test may put in what it likes


def watched(fps: float = 15, *guests: Guest, **options: object) -> tuple[Feed, Iterator[Sample | None]]:
    clock = FakeClock(1)
    feed = Feed(clock, fps)
    return feed, Watch(feed, Options(source="test", **options), clock, guests).samples()  # type: ignore[arg-type] # as a configuration has them


def for_s(feed: Feed, samples: Iterator[Sample | None], seconds: float) -> list[Sample]:
    """What comes within that time; every silence is checked to be short."""
    got, until_ns, was_ns = [], feed.clock.now_ns + round(seconds * SECOND), feed.clock.now_ns
    for sample in samples:
        assert feed.clock.now_ns - was_ns <= BEAT_s * SECOND
        was_ns = feed.clock.now_ns
        got += [sample] if sample else []
        if was_ns >= until_ns:
            break
    return got


@pytest.mark.parametrize(("rate_hz", "fps"), [(2, 15), (10, 15), (0.5, 30), (5, 7)])
def test_so_many_samples_a_second(rate_hz: float, fps: float) -> None:
    """As often as asked for, each of a fresh frame, with the rate of the camera and not of the measuring."""
    feed, samples = watched(fps, rate_hz=rate_hz)
    got = for_s(feed, samples, 20)
    assert len(got) == pytest.approx(20 * rate_hz, abs=2)
    assert {sample.quality for sample in got} == {Quality.GOOD}
    assert {sample.age_ns for sample in got} == {0}
    assert got[-1].values["fps"] == pytest.approx(fps, rel=1e-6)


def test_a_camera_slower_than_asked_gives_each_frame_once() -> None:
    """One frame a second, two measurements asked for: one sample a second, and none of them bad."""
    feed, samples = watched(1, rate_hz=2)
    got = for_s(feed, samples, 20)
    assert len(got) == pytest.approx(20, abs=2)
    assert {sample.quality for sample in got} == {Quality.GOOD}


def test_a_sample_has_the_fields() -> None:
    """All of them, in their order; nobody looks for faces yet."""
    feed, samples = watched()
    feed.picture = lambda: planted(LIVE, (20.5, 30.25), 5, 2)
    values = for_s(feed, samples, 1)[-1].values
    assert list(values) == list(FIELDS["camera"])
    assert (values["width_px"], values["height_px"], values["faces"]) == (64, 48, None)
    assert (values["laser_x_px"], values["laser_y_px"]) == pytest.approx((20.5, 30.25), abs=0.1)


def test_the_dot_is_looked_for_only_when_asked() -> None:
    """laser = false leaves its columns null."""
    feed, samples = watched(laser=False)
    feed.picture = lambda: planted(LIVE, (20.5, 30.25), 5, 2)
    values = for_s(feed, samples, 1)[-1].values
    assert [values[f"laser_{name}_px"] for name in ("x", "y", "area")] == [None] * 3


def test_a_frozen_picture_is_bad_and_keeps_its_size() -> None:
    """From 2 s on; its measurements are null, for they are of long ago. A new picture is good at once."""
    feed, samples = watched(rate_hz=5)
    feed.picture = lambda: LIVE
    before, after = for_s(feed, samples, FROZEN_s - 0.2), for_s(feed, samples, 2)[3:]
    assert {sample.quality for sample in before} == {Quality.GOOD}
    assert {sample.quality for sample in after} == {Quality.BAD}
    values = after[-1].values
    assert {name for name, value in values.items() if value is not None} == {"fps", "width_px", "height_px"}
    feed.picture = lambda: LIVE + np.uint8(1)
    assert for_s(feed, samples, 0.3)[-1].quality is Quality.GOOD


def test_a_camera_that_stops_is_bad_and_then_an_error() -> None:
    """After 1 s a slot is unfilled: all null. After 4 s the camera is given up."""
    feed, samples = watched(rate_hz=5)
    feed.dead_s = 5.0
    good = for_s(feed, samples, 5.5)
    assert {sample.quality for sample in good} == {Quality.GOOD}
    bad = for_s(feed, samples, 2)
    assert len(bad) >= 3
    assert {(sample.quality, *sample.values.values()) for sample in bad} == {(Quality.BAD, *[None] * len(FIELDS["camera"]))}
    with pytest.raises(DeviceError, match="no picture comes from the camera for 4 s"):
        for_s(feed, samples, 2)


def test_a_slow_camera_has_more_time() -> None:
    """At a frame in 2 s the patience is five periods."""
    feed, samples = watched(0.5, rate_hz=1)
    feed.dead_s = 20.0
    for_s(feed, samples, 28)
    with pytest.raises(DeviceError, match="for 10 s"):
        for_s(feed, samples, 3)


def test_the_first_picture_may_take_longer() -> None:
    """Opening a stream takes its time; in the end it is an error, too."""
    feed, samples = watched()
    feed.dead_s = 0.0
    assert for_s(feed, samples, FIRST_s - 0.5) == []
    with pytest.raises(DeviceError, match=f"no picture comes from the camera since it was opened, for {FIRST_s:.0f} s"):
        for_s(feed, samples, 2)


def test_a_pause_of_the_process_is_no_silence() -> None:
    """A minute in which nobody ran, in the middle of a wait: the camera is not to blame, and what was missed is not made up for."""
    feed, samples = watched(rate_hz=5)
    for_s(feed, samples, 3)

    def paused(within_s: float) -> Frame | None:
        feed.frame = usual  # type: ignore[method-assign] # once only
        feed.clock.now_ns += 60 * SECOND
        feed.born_ns += 60 * SECOND  # its thread did not run either
        return None

    usual, feed.frame = feed.frame, paused  # type: ignore[method-assign] # put back by the first call
    assert all(sample is None or sample.quality is Quality.GOOD for sample, _ in zip(samples, range(3), strict=False))
    got = for_s(feed, samples, 4)
    assert {sample.quality for sample in got} == {Quality.GOOD}
    assert len(got) <= 22


def test_spoilt_frames_travel_with_the_next_sample() -> None:
    """Each is told once."""
    feed, samples = watched()
    for_s(feed, samples, 1)
    feed.spoilt = 3
    assert [sample.faults for sample in for_s(feed, samples, 2)][:3] == [3, 0, 0]


def _look(luminosity: float, contrast: float, digest: int = 0) -> Look:
    return Look(luminosity, contrast, 0.0, digest)


@pytest.mark.parametrize(
    ("look", "since_s", "verdict"),
    [
        (_look(100, 30), 0, Verdict.GOOD),
        (_look(100, 30), 2.0, Verdict.GOOD),
        (_look(100, 30), 2.1, Verdict.FROZEN),
        (_look(1.9, 1.9), 0, Verdict.BLACK),
        (_look(1.9, 1.9), 100, Verdict.BLACK),  # a black picture stays the same, and says nothing of the camera
        (_look(1.9, 30), 0, Verdict.GOOD),  # a lamp in the night
        (_look(2.1, 0.5), 0, Verdict.GOOD),
        (_look(1.9, 30), 9, Verdict.FROZEN),
    ],
)
def test_what_a_picture_is_worth(look: Look, since_s: float, verdict: Verdict) -> None:
    """By its brightness, its contrast, and for how long it has been the same."""
    judge = Judge()
    judge.judge(look, 0)
    assert judge.judge(look, round(since_s * SECOND)) is verdict


def test_a_camera_that_is_stuck_is_opened_anew() -> None:
    """After ten seconds of one picture, and not of a black one; another picture in between begins a new count."""
    judge = Judge()
    judge.judge(_look(100, 30), 0)
    judge.judge(_look(100, 30, digest=1), 9 * SECOND)
    assert judge.judge(_look(100, 30, digest=1), 18 * SECOND) is Verdict.FROZEN
    with pytest.raises(DeviceError, match="for 11 s the camera has given one and the same picture"):
        judge.judge(_look(100, 30, digest=1), 20 * SECOND)


class Visitor:
    """A guest who tells of each frame, and of the end."""

    note = ""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def seen(self, frame: Frame) -> Iterator[Sample]:
        self.frames.append(frame)
        yield Sample({"track": "seen"}, kind="face")

    def told(self, sample: Sample) -> Sample:
        return msgspec.structs.replace(sample, values={**sample.values, "faces": 7})

    def lost(self) -> Iterator[Sample]:
        yield Sample({"track": "lost"}, kind="face")


def test_a_guest_sees_every_frame_and_measurements_keep_their_rate() -> None:
    """Fifteen a second to the guest, two a second measured, with what he adds; what he has to say comes when he says it."""
    visitor = Visitor()
    feed, samples = watched(15, visitor, rate_hz=2)
    got = for_s(feed, samples, 10)
    assert len(visitor.frames) == pytest.approx(150, abs=2)
    measured = [sample for sample in got if sample.kind == "camera"]
    assert len(measured) == pytest.approx(20, abs=1)
    assert {sample.values["faces"] for sample in measured} == {7}
    assert len(got) - len(measured) == len(visitor.frames)


def test_a_guest_has_the_last_word() -> None:
    """When the camera is given up, before the error."""
    feed, samples = watched(15, Visitor())
    feed.dead_s = 3
    got: list[Sample | None] = []
    with pytest.raises(DeviceError):
        got.extend(samples)
    assert got[-1] == Sample({"track": "lost"}, kind="face")


def test_a_note_stays_as_long_as_its_cause() -> None:
    """In every measurement, so that status shows it, and in none afterwards."""
    visitor = Visitor()
    feed, samples = watched(15, visitor)
    visitor.note = "no detector"
    assert {sample.note for sample in for_s(feed, samples, 2) if sample.kind == "camera"} == {"no detector"}
    visitor.note = ""
    assert {sample.note for sample in for_s(feed, samples, 2) if sample.kind == "camera"} == {""}


def test_a_guest_sees_nothing_of_what_is_masked() -> None:
    """It is measured whole, and shown to nobody."""
    visitor = Visitor()
    feed, samples = watched(15, visitor, masks=((0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0),))
    (first, *_) = [sample for sample in for_s(feed, samples, 1) if sample.kind == "camera"]
    pictures = [cast("Pixels", frame.picture) for frame in visitor.frames]
    assert all(not picture[:, :32].any() and picture[:, 33:].all() for picture in pictures)
    assert cast("float", first.values["luminosity"]) > 40


def test_a_switched_laser_is_told_from_a_red_lamp() -> None:
    """What stands still is no dot; what comes and goes is, though nobody said when it is on."""
    feed, samples = watched(15, laser_switched=True)
    wall = np.random.default_rng(1).integers(20, 26, (96, 128, 3), np.uint8)
    lamps = [planted(wall + np.uint8(day), (30.0, 40.0), 6.0, 2.0) for day in range(2)]
    pictures = itertools.cycle([picture for lamp in lamps for picture in (lamp, planted(lamp, (90.0, 50.0), 6.0, 2.0))])
    feed.picture = lambda: next(pictures)
    dots = [sample.values["laser_x_px"] for sample in for_s(feed, samples, 5)][1:]
    assert dots == [pytest.approx(90, abs=0.5)] * len(dots)


def test_the_rate_follows_the_camera() -> None:
    """None before the second frame; the mean of the last seconds; a new rate is all there is 4 s later."""
    rate = Rate()
    assert rate.fps(Progress(0, 0, 0, 0)) is None
    assert rate.fps(Progress(1, 0, 0, SECOND)) is None
    for i in range(1, 100):
        rate.fps(Progress(1 + i, 0, 0, SECOND + i * SECOND // 10))
    assert rate.fps(Progress(101, 0, 0, 11 * SECOND)) == pytest.approx(10)
    found = [rate.fps(Progress(101 + i, 0, 0, 11 * SECOND + i * SECOND // 2)) for i in range(1, 9)]
    assert found[-1] == pytest.approx(2)
