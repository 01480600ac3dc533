"""What looking for faces costs: CPU time of one look by engine, size and kind of picture, of the gate before it, and memory.

python -m tests.benchmarks.detect
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.workers.faces import astronaut, planes
from workers.camera.convert import luma, shrunk
from workers.camera.detect import Detector, fit, open_detector
from workers.camera.detect.motion import Motion
from workers.camera.picture import Pixels, size

ROUNDS = 40
LOOKED_AT = ((640, 360), (1920, 1080), (4056, 3040))
WIDTHS_px = (320, 640)


def main() -> None:
    """Measure and print."""
    console = Console(width=110)
    before = memory()
    ours = {width: open_detector(None, width) for width in WIDTHS_px}
    first = ours[WIDTHS_px[0]]
    first.faces(scene(640, 360), 0.5)
    after = memory()
    console.print(looks({**{name(one): one for one in ours.values()}, **{name(one): one for one in opencvs()}}))
    console.print(gate())
    console.print(f"memory of onnxruntime with its session, beside numpy and OpenCV: {after - before:.1f} MiB (PSS)")


def opencvs() -> list[Detector]:
    """The same detectors without onnxruntime."""
    with mock.patch.dict(sys.modules, {"onnxruntime": None}):
        return [open_detector(None, width) for width in WIDTHS_px]


def name(detector: Detector) -> str:
    return detector.name.removeprefix("YuNet in ")


def looks(detectors: dict[str, Detector]) -> Table:
    """One row for each detector and picture."""
    table = Table("detector", "picture", "shown as", "BGR, ms: least", "median", "planes, ms: least", "median", title="One look, CPU time")
    for title, detector in detectors.items():
        for wide, high in LOOKED_AT:
            pixels = scene(wide, high)
            as_planes = planes(pixels)
            shown = fit(size(pixels), int(title.split()[-2])).outer
            figures = [*cpu_ms(lambda: detector.faces(pixels, 0.5)), *cpu_ms(lambda: detector.faces(as_planes, 0.5))]  # noqa: B023 # called before the loop goes on
            table.add_row(title, f"{wide}×{high}", "{}×{}".format(*shown), *(f"{figure:.2f}" for figure in figures))
    return table


def gate() -> Table:
    """The motion gate for one frame, luma included."""
    table = Table("picture", "planes, ms: least", "median", title="The gate, CPU time")
    for wide, high in LOOKED_AT:
        picture, motion = planes(scene(wide, high)), Motion()
        table.add_row(f"{wide}×{high}", *(f"{figure:.3f}" for figure in cpu_ms(lambda: motion.moved(luma(picture), 0))))  # noqa: B023 # as above
    return table


def scene(width_px: int, height_px: int) -> Pixels:
    """A person in front of noise, as large as a picture of that size would have her."""
    pixels = np.random.default_rng(1).integers(80, 120, (height_px, width_px, 3), np.uint8)
    side = height_px // 2
    pixels[height_px - side :, :side] = shrunk(np.asarray(cv2.GaussianBlur(astronaut(), (3, 3), 0), np.uint8), side, side)
    return pixels


def cpu_ms(work: Callable[[], object]) -> tuple[float, float]:
    """Of the thread that calls, which is the only one at work: the least and the median."""
    work()

    def once() -> float:
        begun_s = time.thread_time()
        work()
        return 1000 * (time.thread_time() - begun_s)

    rounds = [once() for _ in range(ROUNDS)]
    return min(rounds), statistics.median(rounds)


def memory() -> float:
    """PSS of this process, MiB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
