"""Eight cameras of 640×360 at 30 frames a second, each in a process of its own as the gateway has it: what comes in, and what it costs.

    python -m tests.benchmarks.eyes [SECONDS [CAMERAS]]

For a look in every fifth frame and in every frame: frames that came and frames that were lost, the processors' time of all processes
and the detectors' part of it, how old an event was when it was told, and how the memory has grown from the first fifth to the end.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE
from typing import Any

import msgspec
import psutil

from workers.camera.options import Options

REPOSITORY = Path(__file__).parents[2]
SOON_s = 0.5
PEOPLE = 2


class Eye(msgspec.Struct, frozen=True):
    """What one camera's process has to tell of its time."""

    made: int  # frames that the camera made
    lost: int  # of these, the ones that nobody has seen
    looks: int  # for faces
    cpu_s: float  # of the process
    look_s: float  # of the detector, in it
    ages_ms: list[float]  # of the events, from the capture to the yield
    begin_bytes: int
    end_bytes: int


def options(seed: int, every: int) -> Options:
    """One camera; it looks whether anything moves or not."""
    source = f"virtual?fps=30&format=yuv420&faces={PEOPLE}&seed={seed}"
    return Options(
        source=source,
        width_px=640,
        height_px=360,
        faces=True,
        face_every=every,
        face_gate=False,
        face_budget_hz=240,
        face_update_hz=10,
        send_faces=True,
        purpose="a benchmark",
    )


def main(seconds: float, cameras: int) -> None:
    """The table."""
    print(f"{cameras} cameras, 640×360, 30 frames/s, {PEOPLE} people in each, {seconds:.0f} s, {os.cpu_count()} processors")
    print("looks in      frames/s     lost   looks/s   cores  detectors   event p50 ms    p99 ms   memory of one, MiB")
    for every in (5, 1):
        print(row(every, together(seconds, cameras, every), seconds), flush=True)


def row(every: int, eyes: list[Eye], seconds: float) -> str:
    """One line."""
    ages = sorted(age for eye in eyes for age in eye.ages_ms)
    frames, lost, looks = (sum(getattr(eye, name) for eye in eyes) for name in ("made", "lost", "looks"))
    cores, detectors = (sum(getattr(eye, name) for eye in eyes) / seconds for name in ("cpu_s", "look_s"))
    first, last = (max(getattr(eye, name) for eye in eyes) >> 20 for name in ("begin_bytes", "end_bytes"))
    what = "every frame" if every == 1 else f"every {every}th"
    p50, p99 = ages[len(ages) // 2], ages[len(ages) * 99 // 100]
    counted = f"{what:12}{frames / seconds:10.1f} {lost:8} {looks / seconds:9.1f} {cores:7.2f} {detectors:10.2f}"
    return f"{counted} {p50:14.1f} {p99:9.1f}   {first} → {last}"


def together(seconds: float, cameras: int, every: int) -> list[Eye]:
    """All of them at a time, each in a process that was started anew."""
    command = [sys.executable, "-m", "tests.benchmarks.eyes", "--one"]
    running = [
        subprocess.Popen([*command, json.dumps([seed, seconds, every])], stdin=PIPE, stdout=PIPE, text=True, cwd=REPOSITORY)
        for seed in range(cameras)
    ]
    try:
        for process in running:
            assert process.stdout
            process.stdout.readline()  # it sees its scene
        start_ns = time.monotonic_ns() + round(SOON_s * 1e9)
        for process in running:
            assert process.stdin
            process.stdin.write(f"{start_ns}\n")
            process.stdin.flush()
        told = [process.communicate(timeout=seconds + 60)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [msgspec.json.decode(text, type=Eye) for text in told]


def one(seed: int, seconds: float, every: int) -> Eye:
    """This process is a camera's: the driver's own `read`, and a count of what it does between two moments."""
    from edgegw import driver
    from workers.camera import detect, people

    looks: list[float] = []
    opened = detect.open_detector
    setattr(people, "open_detector", lambda *wanted: Timed(opened(*wanted), looks))  # noqa: B010 - mypy knows that it is imported there
    found = driver.find("camera")
    with driver.plugged(found, options(seed, every)) as real:
        camera: Any = real.source
        samples = found.read(real)
        start_ns = _told_when(samples, camera)
        faults = sum(sample.faults for sample in _until(samples, start_ns) if sample)
        made, missed, cpu_s, faults, looks[:] = camera.made, camera.missed, time.process_time(), 0, []
        ages: list[float] = []
        early_ns, begin_bytes = start_ns + round(seconds / 5 * 1e9), 0
        for sample in _until(samples, start_ns + round(seconds * 1e9)):
            if sample is not None:
                faults += sample.faults
                if sample.kind == "face":
                    ages.append(sample.age_ns / 1e6)
            if not begin_bytes and time.monotonic_ns() > early_ns:
                begin_bytes = _resident_bytes()
        cpu_s = time.process_time() - cpu_s
        eye = Eye(camera.made - made, camera.missed - missed + faults, len(looks), cpu_s, sum(looks), ages, begin_bytes, _resident_bytes())
        samples.close()
    return eye


def _told_when(samples: Any, camera: Any) -> int:
    """When to begin: said by whoever waits until all cameras see something, which takes its time on a busy machine."""
    while not camera.made:
        next(samples)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        next(samples)
    return int(sys.stdin.readline())


def _until(samples: Any, end_ns: int) -> Any:
    while time.monotonic_ns() < end_ns:
        yield next(samples)


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


class Timed:
    """A detector with a watch."""

    def __init__(self, detector: Any, looks: list[float]) -> None:
        self.name = detector.name
        self._detector = detector
        self._looks = looks

    def faces(self, picture: Any, score: float) -> Any:
        begun_s = time.thread_time()
        try:
            return self._detector.faces(picture, score)
        finally:
            self._looks.append(time.thread_time() - begun_s)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(msgspec.json.encode(one(*json.loads(sys.argv[2]))).decode())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 8)
