"""What reading an MPU6050 costs: CPU of the reading process by rate and mode, over unmodified smbus2 and a simulated /dev/i2c-1.

python -m tests.benchmarks.fifo [SECONDS]    the chip and the bus are another process's, which does not count
"""

from __future__ import annotations

import platform
import sys
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from tests.services.umockdev import attached, reader

RUNS = (("burst", 50), ("burst", 100), ("burst", 200), ("fifo", 100), ("fifo", 200), ("fifo", 500), ("fifo", 1000))


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    table = Table("mode", "Hz", "CPU %", "samples", "bad", "widest gap, periods", title=f"{platform.machine()}, {seconds:g} s each")
    for mode, rate_hz in RUNS:
        table.add_row(mode, str(rate_hz), *measured(mode, rate_hz, seconds))
    Console(width=100).print(table)


def measured(mode: str, rate_hz: float, seconds: float) -> list[str]:
    """One run's row."""
    options = {"bus": 1, "mode": mode, "rate_hz": rate_hz}
    with attached(reader(options, "--seconds", str(seconds)), {"clock_error": 0.0}) as device:
        device.wait(seconds + 60)
        *lines, cost = device.lines()
    moments = [line[0] for line in lines]
    gaps = [(after - before) * rate_hz / 1e9 for before, after in pairwise(moments)]
    bad = sum(line[1] == "bad" for line in lines)
    return [f"{100 * cost['cpu_s'] / cost['took_s']:.1f}", str(len(lines)), str(bad), f"{max(gaps):.2f}"]


if __name__ == "__main__":
    main()
