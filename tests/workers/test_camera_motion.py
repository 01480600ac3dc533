"""The gate before the detector: what moves passes, what only looks different does not. Pictures of 640 × 360 at 30 a second, with noise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edgegw.clock import NS_PER_S
from tests.workers.faces import astronaut
from workers.camera.convert import luma, shrunk
from workers.camera.detect import open_detector
from workers.camera.detect.motion import MEMORY_s, Motion
from workers.camera.picture import Pixels

FPS = 30
WARM_UP = 2 * FPS  # frames; by then the running mean is free of the first frame's noise
NIGHT = 0.15
Light = NDArray[np.float32]
Scene = Callable[[int], Light]


@pytest.fixture(scope="module")
def room() -> Scene:
    """Tiles of all shades, 40 px wide, the same in each frame."""
    tiles = np.random.default_rng(7).uniform(20, 200, (9, 16)).repeat(40, axis=0).repeat(40, axis=1).astype(np.float32)
    return lambda _: tiles


@pytest.fixture(scope="module")
def head() -> Light:
    """A face, 40 px high."""
    return luma(shrunk(astronaut()[50:190, 155:295], 40, 40)).astype(np.float32)


def share(scene: Scene, frames: int = 60, noise: float = 3.0) -> float:
    """In what part of the frames after the warm-up something has moved."""
    return moved(scene, frames, noise).count(True) / frames


def moved(scene: Scene, frames: int, noise: float = 3.0) -> list[bool]:
    """For each frame after the warm-up, which shows the first one standing still. `noise` is its standard deviation."""
    motion, drawing = Motion(), np.random.default_rng(1)
    grain = [drawing.standard_normal((360, 640), np.float32) * np.float32(noise) for _ in range(16)]
    seen = []
    for at in range(-WARM_UP, frames):
        light = scene(max(0, at)) + grain[drawing.integers(len(grain))]
        seen.append(motion.moved(as_bytes(light), (at + WARM_UP) * NS_PER_S // FPS))
    return seen[WARM_UP:]


def as_bytes(light: Light) -> Pixels:
    return np.clip(light, 0, 255).astype(np.uint8)


def walking(room: Scene, head: Light, speed_px: float, light: float = 1.0) -> Scene:
    """From left to right, so many pixels a frame."""

    def scene(at: int) -> Light:
        canvas = room(at).copy()
        x = 20 + round(at * speed_px)
        canvas[100 : 100 + len(head), x : x + head.shape[1]] = head
        return canvas * np.float32(light)

    return scene


@pytest.mark.parametrize("noise", [0.0, 1.0, 5.0, 15.0])
@pytest.mark.parametrize("light", [1.0, NIGHT], ids=["day", "night"])
def test_noise_is_not_motion(room: Scene, light: float, noise: float) -> None:
    """From none at all to that of a camera at its limit, by day and by night: less than one frame in fifty."""
    assert share(lambda at: room(at) * np.float32(light), noise=noise) < 0.02


@pytest.mark.parametrize("speed_px", [0.4, 2, 5])
@pytest.mark.parametrize("light", [1.0, NIGHT], ids=["day", "night"])
def test_a_person_who_walks_is_motion(room: Scene, head: Light, light: float, speed_px: float) -> None:
    """Slowly or quickly, in most frames; by night, when everything differs by a seventh of what it does by day, as well."""
    assert share(walking(room, head, speed_px, light), noise=2.0) > 0.7


def test_a_person_who_comes_in_is_seen_at_once(room: Scene, head: Light) -> None:
    """With the first frame that shows her."""

    def scene(at: int) -> Light:
        canvas = room(at).copy()
        if at >= 10:
            canvas[100:140, 300:340] = head
        return canvas

    seen = moved(scene, 20)
    assert seen[:10] == [False] * 10
    assert seen[10:] == [True] * 10


def test_who_stands_still_becomes_part_of_the_picture(room: Scene, head: Light) -> None:
    """After some times the memory: then nothing moves; and when she leaves, that is motion again."""

    def scene(at: int) -> Light:
        canvas = room(at).copy()
        if 1 <= at < 6 * MEMORY_s * FPS:
            canvas[100:140, 300:340] = head
        return canvas

    seen = moved(scene, round(6 * MEMORY_s * FPS) + 5)
    assert seen[1:FPS] == [True] * (FPS - 1)
    assert not any(seen[-FPS - 5 : -5])
    assert seen[-5:] == [True] * 5


@pytest.mark.parametrize("change", ["brighter by a tenth at once", "slowly brighter and darker", "flickering"])
def test_the_cameras_exposure_is_not_motion(room: Scene, change: str) -> None:
    """Whatever it does within a tenth."""

    def gain(at: int) -> float:
        if change == "flickering":
            return 1 + 0.03 * (at % 2)
        return 1 + 0.1 * math.sin(at / 10) if change.startswith("slowly") else 1 + 0.1 * (at > 20)

    assert share(lambda at: room(at) * np.float32(gain(at))) < 0.02


def test_a_bright_window_that_flickers_is_not_motion() -> None:
    """By 3 %, in a corner of a wall that is much darker: of a picture with contrast a little more may change."""
    wall = np.full((360, 640), 60, np.float32)
    wall[:120, :200] = 220
    assert share(lambda at: wall * np.float32(1 + 0.03 * (at % 2)), noise=1) < 0.02


def test_a_person_who_walks_while_the_exposure_changes_is_motion(room: Scene, head: Light) -> None:
    """The whole picture grows lighter and darker by a few steps: what moves in it is seen all the same."""
    person = walking(room, head, 2, light=0.3)
    assert share(lambda at: person(at) + np.float32(10 * math.sin(at / 5)), noise=1) > 0.7


def test_a_crowd_is_motion(room: Scene) -> None:
    """Also where it fills most of the picture, so that most of what changes is no noise."""

    def scene(at: int) -> Light:
        canvas = room(at).copy()
        canvas[80:] = np.roll(canvas[80:], 5 * at, axis=1)
        return canvas

    assert share(scene) > 0.9


def test_a_lamp_is_not_motion_but_what_moves_in_its_light_is(room: Scene, head: Light) -> None:
    """When the light is switched, the picture is learnt anew at once, and motion is found in it with the next frame."""
    dark = walking(room, head, 0, 0.3)
    light = walking(lambda at: 255 - room(at), head, 3)
    seen = moved(lambda at: light(at) if at >= 20 else dark(at), 40)
    assert not any(seen[:21])
    assert all(seen[23:])


def test_the_first_picture_is_motion() -> None:
    """Nothing is known of it; and so is the first one of another size."""
    motion = Motion()
    pictures = [np.zeros(shape, np.uint8) for shape in ((360, 640), (360, 640), (480, 640), (480, 640))]
    assert [motion.moved(picture, at) for at, picture in enumerate(pictures)] == [True, False, True, False]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (4, 4), (101, 99), (3040, 4056)], ids="{0[0]}×{0[1]}".format)
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    """From one pixel to twelve million; what turns from black to white in a corner is seen."""
    motion, picture = Motion(), np.full(shape, 60, np.uint8)
    assert motion.moved(picture, 1000)
    assert not motion.moved(picture, 1000)
    changed = picture.copy()
    changed[: (shape[0] + 3) // 4, : (shape[1] + 3) // 4] = 255
    assert motion.moved(changed, 2000) or min(shape) < 50


def test_a_clock_that_runs_back_does_no_harm() -> None:
    """What a frame of before weighs is not counted twice."""
    motion, picture = Motion(), np.full((360, 640), 60, np.uint8)
    fainter = picture.copy()
    fainter[:60, :60] += 2
    assert [motion.moved(one, at_ns) for one, at_ns in ((picture, 20 * NS_PER_S), (fainter, 0), (picture, 1))] == [True, False, False]


def test_looking_at_the_gate_costs_little(room: Scene) -> None:
    """Less than a fifth of a look for faces in the smallest usual size."""
    picture = as_bytes(room(0))
    motion, detector = Motion(), open_detector(None, 320)

    def cpu_s(work: Callable[[], object]) -> float:
        """Of the quickest of twenty."""

        def once() -> float:
            begun_s = time.thread_time()
            work()
            return time.thread_time() - begun_s

        return min(once() for _ in range(20))

    assert 5 * cpu_s(lambda: motion.moved(picture, 0)) < cpu_s(lambda: detector.faces(picture, 0.5))
