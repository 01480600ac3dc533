"""What measuring a picture costs, beside the naive way in one run; and how well a laser's dot is found in many scenes.

python -m tests.benchmarks.measure [ROUNDS [SCENES]]    OpenCV, for the naive way, with one thread
"""

from __future__ import annotations

import math
import platform
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tests.workers.camera_scenes import Siting, planes, scene
from workers.camera.laser import find, hotspots
from workers.camera.measure import look
from workers.camera.picture import Picture

SIZES = ((4056, 3040), (1920, 1080))
EMPTY = 2_000_000  # seeds from here on are of pictures without a dot
Pixels = NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    scenes = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    cv2.setNumThreads(1)
    console = Console(width=120)
    for width_px, height_px in SIZES:
        console.print(costs(scene(7, dot=True, width_px=width_px, height_px=height_px).pixels, rounds))
    console.print(accuracy(scenes))


def costs(pixels: Pixels, rounds: int) -> Table:
    """One row for each way; the ways take turns, so that they suffer alike from what else the machine does."""
    yuv = planes(pixels)
    ways: dict[str, Callable[[], object]] = {
        "naive: luminosity": lambda: naive_luminosity(pixels),
        "naive: sharpness": lambda: naive_sharpness(pixels),
        "naive: dot": lambda: naive_dot(pixels),
        "naive: all": lambda: (naive_luminosity(pixels), naive_sharpness(pixels), naive_dot(pixels)),
        "exact, BGR: luminosity, sharpness": lambda: look(pixels, exact=True),
        "sampled, BGR: luminosity, sharpness": lambda: look(pixels),
        "sampled, BGR: dot": lambda: find(pixels),
        "sampled, BGR: all": lambda: (look(pixels), find(pixels)),
        "exact, BGR: all": lambda: (look(pixels, exact=True), find(pixels)),
        "sampled, YUV: all": lambda: (look(yuv), find(yuv)),
        "exact, YUV: all": lambda: (look(yuv, exact=True), find(yuv)),
    }
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            if turn < rounds // 10 + 1 or not name.startswith(("naive", "exact")):  # the slow ones need fewer
                times_s[name].append(took_s(way))
    naive_s = statistics.median(times_s["naive: all"])
    title = f"{pixels.shape[1]} × {pixels.shape[0]}, {platform.machine()}, {rounds} rounds"
    table = Table("", "best, ms", "median, ms", "p99, ms", "of naive, all", title=title)
    for name, took in times_s.items():
        took.sort()
        middle_s = statistics.median(took)
        figures = (took[0], middle_s, took[math.ceil(0.99 * len(took)) - 1])
        table.add_row(name, *(f"{figure * 1e3:.2f}" for figure in figures), f"{middle_s / naive_s:.3f}")
    return table


def took_s(way: Callable[[], object]) -> float:
    """Of one call."""
    begun_s = time.perf_counter()
    way()
    return time.perf_counter() - begun_s


def naive_luminosity(pixels: Pixels) -> float:
    """Mean of the luma."""
    return float(np.mean(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)))


def naive_sharpness(pixels: Pixels) -> float:
    """Variance of its Laplacian."""
    return float(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())


def naive_dot(pixels: Pixels) -> int:
    """Red by hue, opened, in outlines."""
    hue = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    red = np.bitwise_or(*(cv2.inRange(hue, (least, 100, 100), (most, 255, 255)) for least, most in ((0, 10), (160, 180))))
    opened = cv2.morphologyEx(red, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return len(cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0])


def jpeg(pixels: Pixels) -> Pixels:
    """As a camera sends it."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR), np.uint8)


def accuracy(scenes: int) -> Table:
    """One row for each kind of picture, of the same scenes."""
    kinds: dict[str, Callable[[Pixels], Picture]] = {
        "BGR": lambda pixels: pixels,
        "BGR, searched in some rows and columns": lambda pixels: pixels,
        "JPEG, quality 80": jpeg,
        "YUV, full range": planes,
        "YUV, video, colours in the middle": lambda pixels: planes(pixels, False),
        "YUV, video, colours at the left": lambda pixels: planes(pixels, False, Siting.LEFT),
        "YUV, video, colours in the corner": lambda pixels: planes(pixels, False, Siting.CORNER),
    }
    columns = ("dots of 3 to 15 px", "recall, %", "within 0.5 px, %", "median, px", "p99, px", "worst, px", "false, %")
    table = Table(*columns, title=f"{scenes} scenes with and as many without")
    threshold_px = hotspots.SAMPLED_px
    for name, made in kinds.items():
        hotspots.SAMPLED_px = 0 if "searched" in name else threshold_px
        table.add_row(name, *found_in(made, scenes))
    hotspots.SAMPLED_px = threshold_px
    return table


def found_in(made: Callable[[Pixels], Picture], scenes: int) -> list[str]:
    """One kind's figures; what is further off than 5 px is another thing, and counts as false."""
    errors: list[float] = []
    others = 0
    for seed in range(scenes):
        one = scene(seed, dot=True)
        dot = find(made(one.pixels))
        if dot and one.dot:
            error_px = math.dist(dot[:2], one.dot)
            others += error_px >= 5
            errors += [error_px] * (error_px < 5)
    others += sum(find(made(scene(seed, dot=False).pixels)) is not None for seed in range(EMPTY, EMPTY + scenes))
    errors.sort()
    within = sum(error <= 0.5 for error in errors)
    figures = (
        100 * len(errors) / scenes,
        100 * within / scenes,
        statistics.median(errors),
        errors[int(0.99 * len(errors)) - 1],
        errors[-1],
    )
    return [*(f"{figure:.2f}" for figure in figures), f"{50 * others / scenes:.2f}"]


if __name__ == "__main__":
    main()
