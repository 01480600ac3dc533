"""Eight cameras of 640×360 at 30 frames a second on this machine's processors, each in its own process. The long form: make bench."""

from __future__ import annotations

from tests.benchmarks.eyes import together

SECONDS = 6.0
CAMERAS, FPS, EVERY = 8, 30, 5


def test_eight_cameras_lose_no_frame() -> None:
    """Each frame that a camera makes is seen, each fifth one looked at, and people are told of; the processes do not grow."""
    eyes = together(SECONDS, CAMERAS, EVERY)
    frames = sum(eye.made for eye in eyes)
    assert abs(frames - CAMERAS * FPS * SECONDS) <= CAMERAS * 2
    assert sum(eye.lost for eye in eyes) <= frames // 100, "more than a busy machine explains"
    assert abs(sum(eye.looks for eye in eyes) - frames / EVERY) <= CAMERAS * 2
    assert all(eye.ages_ms for eye in eyes), "a camera has told of nobody"
    assert max(eye.end_bytes - eye.begin_bytes for eye in eyes) < 16 << 20
    assert sum(eye.look_s for eye in eyes) < sum(eye.cpu_s for eye in eyes)
