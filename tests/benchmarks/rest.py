"""What the gateway costs at rest: CPU and PSS of every process, with eight TF-Lunas at 100 Hz into RabbitMQ and MariaDB.

python -m tests.benchmarks.rest [SECONDS]    private servers and virtual devices, which do not count
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.processes.rig import Rig, rig, sinks_toml
from tests.services.mariadb import MariaDB, make_database, make_template
from tests.services.rabbitmq import Rabbit

SENSORS, HZ = 8, 100
WARM_UP_s = 10.0
MIB = 1 << 20


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    console = Console(width=100)
    console.print("starting a private RabbitMQ and MariaDB …")
    template = make_template()
    rabbit, mariadb = Rabbit(), MariaDB(template)
    try:
        rabbit.start()
        mariadb.start()
        with rig(SENSORS, HZ, sinks_toml(rabbit.add_vhost("rest"), make_database(mariadb))) as gateway:
            console.print(measured(gateway, seconds))
    finally:
        mariadb.remove()
        rabbit.remove()
        shutil.rmtree(template)


def measured(gateway: Rig, seconds: float) -> Table:
    """One row a process and the sum."""
    gateway.start()
    time.sleep(WARM_UP_s)  # a benchmark, not a test
    processes = gateway.children()
    before = {name: cpu_s(process) for name, process in processes.items()}
    begun = time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - begun
    rows = {
        name: (100 * (cpu_s(process) - before[name]) / took_s, process.memory_full_info().pss / MIB) for name, process in processes.items()
    }
    gateway.stop()
    return shown(rows, took_s)


def cpu_s(process: psutil.Process) -> float:
    """User and system time of all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def shown(rows: dict[str, tuple[float, float]], took_s: float) -> Table:
    """For the terminal and the README."""
    models = (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    machine = f"{os.cpu_count()} × {next(models, platform.machine())}, Linux {platform.release()}, Python {platform.python_version()}"
    title = f"{SENSORS} × {HZ} Hz at rest, {took_s:.0f} s, {machine}"
    table = Table("process", "CPU, % of a core", "PSS, MiB", title=title, title_justify="left")
    for name, (percent, pss) in [*rows.items(), ("all", tuple(map(sum, zip(*rows.values(), strict=True))))]:
        table.add_row(name, f"{percent:.2f}", f"{pss:.1f}")
    return table


if __name__ == "__main__":
    main()
