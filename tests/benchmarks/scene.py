"""What the virtual camera costs: CPU of drawing a frame by format, size and people; and eight of them at 30 frames a second.

python -m tests.benchmarks.scene [SECONDS]    SECONDS of the eight cameras, 10 without it
"""

from __future__ import annotations

import platform
import statistics
import sys
import threading
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from workers.virtual.camera import Behaviour, Camera
from workers.virtual.cameracanvas import Format
from workers.virtual.camerascene import Scene

SIZES = ((640, 360), (1280, 720))
FORMATS: tuple[Format, ...] = ("bgr", "yuv420")
FACES = (0, 2, 4)
FRAMES, FPS, CAMERAS = 600, 30.0, 8


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    console = Console(width=100)
    drawing = Table("size", "format", "people", "ms a frame, p50", "p99", "cores for 240 frames/s", title=f"drawing, {platform.machine()}")
    for width_px, height_px in SIZES:
        for format_ in FORMATS:
            for faces in FACES:
                drawing.add_row(f"{width_px} × {height_px}", format_, str(faces), *drawn((width_px, height_px), format_, faces))
    console.print(drawing)
    pace = Table("cameras", "s", "made", "missed", "CPU %", title=f"640 × 360, yuv420, 2 people, {FPS:g} frames/s")
    pace.add_row(*paced(seconds))
    console.print(pace)


def drawn(size: tuple[int, int], format_: Format, faces: int) -> list[str]:
    """One row of costs, after a second's running in."""
    scene = Scene(*size, True, 1, format=format_, faces=faces)
    costs_ms = []
    for number in range(FRAMES + round(FPS)):
        begun_s = time.thread_time()
        scene.drawn(number / FPS)
        costs_ms.append((time.thread_time() - begun_s) * 1000)
    settled = sorted(costs_ms[round(FPS) :])
    return [f"{statistics.median(settled):.3f}", f"{settled[-FRAMES // 100]:.3f}", f"{statistics.mean(settled) * 240 / 1000:.3f}"]


def paced(seconds: float) -> list[str]:
    """What eight readers get who ask for every frame."""
    cameras = [Camera(Behaviour(fps=FPS, format="yuv420", faces=2, seed=seed), 640, 360) for seed in range(CAMERAS)]
    readers = [threading.Thread(target=_read, args=(camera, seconds)) for camera in cameras]
    for camera in cameras:
        camera.scene()  # people are painted once, which is not what is measured here
    begun_s = time.process_time()
    _all(readers)
    used_s = time.process_time() - begun_s
    made, missed = (sum(getattr(camera, name) for camera in cameras) for name in ("made", "missed"))
    return [str(CAMERAS), f"{seconds:g}", str(made), str(missed), f"{100 * used_s / seconds:.1f}"]


def _read(camera: Camera, seconds: float) -> None:
    opened = camera.open()
    while camera.made < seconds * FPS:
        opened.grab()
        opened.retrieve()


def _all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
