"""Who has which library loaded: children are forked off a supervisor that has never had OpenCV in it.

FFmpeg and OpenCV hold locks and threads that a fork does not copy: a child forked off a process that had used them hung for ever,
without an error, at 0 % CPU. So a camera's process is always a fresh fork of a process that knows neither, its successors too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from tests.processes.rig import Rig, rig
from tests.services.base import living, until

LIMIT_s = 90
FILM_s, FPS = 90, 10
# As in the paths of the files that are mapped: packages, and the libraries of FFmpeg that OpenCV carries.
HEAVY = ("cv2", "numpy", "onnxruntime", "libavcodec", "libavformat")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Longer than the test."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 48))
    noise = np.random.default_rng(1).integers(60, 190, (8, 48, 64, 3), np.uint8)
    for number in range(FILM_s * FPS):
        writer.write(noise[number % len(noise)])
    writer.release()
    return path


@pytest.fixture
def gateway(film: Path) -> Iterator[Rig]:
    with rig(1, 10, f'[sensors.eye]\ndriver = "camera"\nsource = "{film}"\nrate_hz = 5') as made:
        made.start()
        yield made


def heavy(process: psutil.Process) -> set[str]:
    """Which of them are mapped into that process."""
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    return {library for library in HEAVY if library in maps}


def reading(gateway: Rig, before: int = 0) -> psutil.Process:
    """The camera's process, once it measures; not the one of that pid, whose health is shown until its successor has told its own."""

    def measures() -> int:
        (eye,) = [child for child in gateway.status()["children"] if child["name"] == "eye"]
        fresh = eye["pid"] != before and (eye["health"] or {}).get("rate_hz")
        return int(eye["pid"] or 0) if fresh else 0

    return psutil.Process(until(measures, LIMIT_s, "the camera to be read"))


def test_a_camera_is_a_fresh_fork_of_a_clean_supervisor(gateway: Rig) -> None:
    """FFmpeg is in the camera's process only; when that is killed, its successor reads again, and the supervisor is as clean as before."""
    first = reading(gateway)
    processes = gateway.children()
    assert {"cv2", "numpy", "libavcodec"} <= heavy(first), "else this would prove nothing"
    others = {name: heavy(process) for name, process in processes.items() if name != "eye"}
    assert others == {"supervisor": set(), "bridge": set(), "s0": set()}
    first.kill()
    until(lambda: not living(first), LIMIT_s, "its end")
    second = reading(gateway, first.pid)
    assert {"cv2", "numpy", "libavcodec"} <= heavy(second)
    assert heavy(gateway.children()["supervisor"]) == set()
    assert second.ppid() == processes["supervisor"].pid
