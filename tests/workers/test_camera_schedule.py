"""When cameras look for faces: tables of one camera, and rooms full of them that share a budget."""

from __future__ import annotations

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from edgegw.clock import NS_PER_S
from workers.camera.detect.schedule import Budget, SAVED_s, Schedule, common_budget

FPS = 30
PLENTY_hz = 1000.0


def looks(frames: str, every: int = 5, phase: float = 0.0, gate: bool = True) -> str:
    """What one camera does at 30 frames a second: x looks, . does not. Frames: . nothing, m something moves, l somebody is followed."""
    schedule = Schedule(every, phase, gate, Budget(PLENTY_hz))
    due = (schedule.due(at * NS_PER_S // FPS, frame == "m", frame == "l") for at, frame in enumerate(frames))
    return "".join(".x"[one] for one in due)


@pytest.mark.parametrize(
    ("frames", "expected", "options"),
    [
        ("mmmmmmmmmmmm", "x....x....x.", {}),
        ("llllllllllll", "x....x....x.", {}),
        ("............", "x....x....x.", {"gate": False}),
        ("mmmmmmmmmmmm", "xxxxxxxxxxxx", {"every": 1}),
        ("mmmmmmmmmmmm", "..x....x....", {"phase": 0.4}),
        ("mmmmmmmmmmmm", "....x....x..", {"phase": 0.99}),
        ("............", "x...........", {}),  # the gate is shut, the second not over
        ("..m.........", "x....x......", {}),  # what has moved is remembered until its turn
        ("..m.....m...", "x....x....x.", {}),
        (".......m....", "x......x....", {}),  # a turn that nobody needed waits for whoever does
        (".......mm...", "x......x..x.", {}),  # and the next one comes in its own time
        (".......l....", "x......x....", {}),
        (".m..........", "x....x......", {}),  # what was seen before the look is done with
    ],
)
def test_turns_and_needs(frames: str, expected: str, options: dict[str, float]) -> None:
    """One camera with looks in plenty."""
    assert looks(frames, **options) == expected  # type: ignore[arg-type] # of each parameter's own type, which a dict cannot say


def test_once_a_second_at_least_and_at_most() -> None:
    """Where nothing moves and nobody is followed, for a minute."""
    at = [frame for frame, one in enumerate(looks("." * 60 * FPS)) if one == "x"]
    assert {after - before for before, after in itertools.pairwise(at)} == {FPS}


def test_every_so_many_th_frame_may_be_longer_than_a_second() -> None:
    """Who asks for that gets it."""
    at = [frame for frame, one in enumerate(looks("m" * 600, every=100)) if one == "x"]
    assert at == list(range(0, 600, 100))


class Camera(NamedTuple):
    """What it sees all the time."""

    moved: bool = False
    live: bool = False
    fps: float = FPS


QUIET, MOVING, FOLLOWING = Camera(), Camera(moved=True), Camera(moved=True, live=True)
SECONDS = 60


def looked(cameras: list[Camera], rate_hz: float, every: int = 5) -> list[list[float]]:
    """The times (s) at which each of these looks, with one budget for all of them."""
    budget = Budget(rate_hz)
    schedules = [Schedule(every, at / len(cameras), True, budget) for at in range(len(cameras))]
    frames = [(frame / camera.fps + at * 0.001, at) for at, camera in enumerate(cameras) for frame in range(int(camera.fps * SECONDS))]
    times: list[list[float]] = [[] for _ in cameras]
    for time_s, at in sorted(frames):
        if schedules[at].due(round(time_s * NS_PER_S), cameras[at].moved, cameras[at].live):
            times[at].append(time_s)
    return times


def a_second(times: list[float]) -> float:
    return len(times) / SECONDS


def longest_s(times: list[float]) -> float:
    """Between two looks, and before the first, and after the last."""
    return max(after - before for before, after in itertools.pairwise([0, *times, SECONDS]))


@pytest.mark.parametrize("rate_hz", [0.1, 1, 7.5, 30])
@pytest.mark.parametrize("camera", [QUIET, MOVING, FOLLOWING], ids=["quiet", "moving", "following"])
def test_no_more_than_the_budget(camera: Camera, rate_hz: float) -> None:
    """Eight cameras: never more looks within any time than its share, what was saved up, and one for each that waited."""
    times = sorted(itertools.chain(*looked([camera] * 8, rate_hz)))
    for count in range(1, len(times)):
        least_s = min(times[at + count] - times[at] for at in range(len(times) - count))
        assert count + 1 <= least_s * rate_hz + max(1, rate_hz * SAVED_s) + 8 + 1e-6


@pytest.mark.parametrize("rate_hz", [8.5, 12, 30])
def test_the_budget_is_used(rate_hz: float) -> None:
    """Where more is wished for than there is, at least 98 % of it is had."""
    times = looked([FOLLOWING] * 4 + [MOVING] * 4, rate_hz)
    assert sum(map(a_second, times)) > 0.98 * rate_hz


def test_who_follows_comes_first() -> None:
    """Two cameras that follow somebody look at each fifth frame, whatever the six others see, which share the rest evenly."""
    times = looked([FOLLOWING] * 2 + [MOVING] * 6, 20)
    assert [a_second(one) for one in times[:2]] == pytest.approx([6, 6], rel=0.02)
    assert [a_second(one) for one in times[2:]] == pytest.approx([8 / 6] * 6, rel=0.1)


def test_nobody_is_forgotten() -> None:
    """With a budget of one look a second for each, everybody has one a second, and a frame or two; whoever else is being followed."""
    times = looked([FOLLOWING] * 4 + [MOVING] * 2 + [QUIET] * 2, 8.5)
    assert max(map(longest_s, times)) < 1 + 4 / FPS


def test_a_budget_below_that_is_shared_evenly() -> None:
    """Four looks a second for eight cameras: each has one every two seconds."""
    times = looked([FOLLOWING] * 4 + [QUIET] * 4, 4)
    assert [a_second(one) for one in times] == pytest.approx([0.5] * 8, rel=0.1)
    assert max(map(longest_s, times)) < 2.5


def test_slow_cameras_hold_nobody_up() -> None:
    """Two that give one frame in a second are the most urgent for all of it; six others use the budget meanwhile."""
    times = looked([FOLLOWING._replace(fps=1)] * 2 + [FOLLOWING] * 6, 8, every=1)
    assert sum(map(a_second, times)) > 0.95 * 8
    assert max(map(longest_s, times[2:])) < 1.5


def test_a_camera_that_has_gone_is_waited_for_no_longer_than_a_second() -> None:
    """Its last wish was the most urgent, and holds back one look; then it is forgotten."""
    budget = Budget(1)
    gone, left = (Schedule(1, 0, True, budget) for _ in range(2))
    assert left.due(0, True, True)
    assert not gone.due(1, True, True)
    due = [at for at in range(1, 40) if left.due(at * NS_PER_S // 10, True, True)]
    assert due[0] <= 11
    assert due[1] - due[0] == 10


def test_cameras_look_by_turns() -> None:
    """Eight cameras that begin together, one look for each fifth frame: in no frame more than two of them look."""
    schedules = [Schedule(5, at / 8, True, Budget(PLENTY_hz)) for at in range(8)]
    for frame in range(100):
        assert sum(one.due(frame * NS_PER_S // FPS, True, True) for one in schedules) in (1, 2)


def test_one_budget_for_a_process() -> None:
    """For cameras with the same rate, for as long as there is one; and another for another rate."""
    first = common_budget(12.5)
    assert common_budget(12.5) is first
    assert common_budget(12.6) is not first


def test_threads_share_it_to_the_last_look() -> None:
    """Eight threads ask at one and the same moment, again and again: together they get what there is, and not one more."""
    budget = Budget(4000)
    schedules = [Schedule(1, 0, False, budget) for _ in range(8)]

    def asking(schedule: Schedule) -> int:
        return sum(schedule.due(NS_PER_S, True, True) for _ in range(500))

    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change places after every few instructions
    try:
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(asking, schedules)) == 4000 * SAVED_s
    finally:
        sys.setswitchinterval(usual_s)


@pytest.mark.parametrize("every", [1, 2, 5, 30])
def test_time_that_stands_still_or_runs_back_does_no_harm(every: int) -> None:
    """As threads that read the clock and then wait for each other see it: no look is won by it, none is lost."""
    schedule = Schedule(every, 0, True, Budget(2))
    times_ns = [NS_PER_S * (at + at % 2 * -3) // 10 for at in range(10, 1010)]  # 100 s
    count = sum(schedule.due(at, True, True) for at in times_ns)
    assert count == pytest.approx(min(1000 / every, 200), rel=0.05)


def test_a_thread_that_comes_late_wins_no_look() -> None:
    """Nothing is saved up between now and before."""
    budget = Budget(2)
    first, late = (Schedule(1, 0, True, budget) for _ in range(2))
    assert first.due(10 * NS_PER_S, True, True)
    assert not late.due(5 * NS_PER_S, True, True)
