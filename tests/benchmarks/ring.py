"""What showing a picture to other processes costs, and what seeing it does: by size, and beside what a checksum of it would.

python -m tests.benchmarks.ring [ROUNDS]    the last figure is a reader's, who waits for a camera of 30 pictures a second
"""

from __future__ import annotations

import platform
import sys
import threading
import time
import zlib
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from edgegw.clock import every
from tests.workers.ring_writer import filled, memory
from workers.camera.share import barrier
from workers.camera.share.packing import Format, packed, packing
from workers.camera.share.ring import Reader, Writer
from workers.camera.sources.shared import Shared

SIZES = (
    ("640 × 360 YUV420", (640, 360), Format.VIDEO),
    ("1280 × 720 YUV420", (1280, 720), Format.VIDEO),
    ("4056 × 3040 YUV420", (4056, 3040), Format.VIDEO),
    ("4056 × 3040 BGR", (4056, 3040), Format.BGR),
)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    table = Table("picture", "MB", "show ms", "see ms", "copy ms", "CRC-32 ms", title=f"{platform.machine()}, median of {rounds}")
    for name, size, form in SIZES:
        table.add_row(name, *(f"{figure:.3f}" for figure in measured(size, form, rounds)))
    console = Console(width=100)
    console.print(table)
    console.print(f"a barrier: {1000 * median_ms(barrier.opened(), 1000):.1f} µs")
    console.print(f"waiting for pictures: {100 * waiting(5.0):.2f} % of a core")


def measured(size: tuple[int, int], form: Format, rounds: int) -> list[float]:
    """Megabytes, and milliseconds."""
    picture = filled(7, size, form)
    data = np.concatenate([np.frombuffer(part, np.uint8) for part in packed(picture)])
    with memory() as directory, Writer("bench", directory) as writer, Reader("bench", directory) as reader:
        calls = (lambda: writer.write(picture, 1), lambda: (reader.newest(), reader.picture()), data.copy, lambda: zlib.crc32(data.data))
        return [packing(picture).bytes / 1e6, *(median_ms(call, rounds) for call in calls)]


def waiting(seconds: float) -> float:
    """The share of a core that a reader takes which waits for a camera of 30 pictures a second."""
    took_s: list[float] = []
    with memory() as directory, Writer("bench", directory) as writer:
        picture = filled(7, (640, 360), Format.VIDEO)
        writer.write(picture, 1)
        source = Shared("bench", directory=directory)

        def wait() -> None:
            begun_s = time.thread_time()
            while source.grab():
                pass
            took_s.append(time.thread_time() - begun_s)

        thread = threading.Thread(target=wait)
        thread.start()
        for _ in zip(range(round(30 * seconds)), every(1 / 30), strict=False):
            writer.write(picture, 1)
        source.interrupt()
        thread.join()
        source.close()
    return took_s[0] / seconds


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """Of that many calls, after one that is not counted."""
    call()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begun)
    return float(np.median(times)) / 1e6


if __name__ == "__main__":
    main()
