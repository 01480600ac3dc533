"""Body of a sensor process: next, stamp, push, beat."""

from __future__ import annotations

import secrets
import uuid
from pathlib import Path

from edgegw import clock, driver
from edgegw.bus import WorkerEnd
from edgegw.config import SensorSettings, Settings
from edgegw.process import Process, entered
from edgegw.reading import Run
from edgegw.tally import Tally
from edgegw.worker.body import Worker
from edgegw.worker.link import Link
from edgegw.worker.window import Window

__all__ = ["run"]


def run(settings: Settings, sensor: SensorSettings, logs: Path | None, lifeline: int = -1) -> int:
    """Read `sensor` until told to stop; returns the exit code."""
    with entered(sensor.name, settings, logs, lifeline) as process:
        found = driver.find(sensor.driver)
        this = Run(
            gateway=settings.gateway.id,
            sensor=sensor.name,
            driver=found.name,
            id=str(uuid7(process.clock.wall_ns())),
            boot_id=clock.boot_id(),
            started_ns=process.clock.wall_ns(),
            fields=found.field_names(),
        )
        _work(this, found, settings, sensor, process)
    return 0


def _work(this: Run, found: driver.Driver, settings: Settings, sensor: SensorSettings, process: Process) -> None:
    window = Window(this.id, sensor.window, drops_oldest=sensor.on_full == "drop_oldest")
    end = WorkerEnd(settings.paths.bus)
    tally = Tally(settings.paths.tally, this)
    process.log.info("worker_starts", run=this.id, driver=this.driver)
    try:
        Worker(this, found, window, Link(this, window, end, process.clock), tally, sensor.linger_s, process).work(sensor.options)
    finally:
        end.close()
        tally.close()


def uuid7(wall_ns: int) -> uuid.UUID:
    """RFC 9562, version 7: milliseconds first, so that runs sort by their start (the standard library has it from 3.14 on)."""
    value = (wall_ns // 1_000_000) << 80 | secrets.randbits(80)
    return uuid.UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)
