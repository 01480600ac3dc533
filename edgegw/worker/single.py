"""One sensor from its configuration to its loop: finds the driver, opens what its readings go through, closes it again."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Generator

import msgspec

from edgegw import calibration, clock, driver
from edgegw.bus import WorkerEnd
from edgegw.config import SensorSettings, Settings
from edgegw.process import Process
from edgegw.reading import Run, Sample
from edgegw.tally import Tally
from edgegw.worker.body import Worker
from edgegw.worker.link import Link
from edgegw.worker.outlet import Outlet
from edgegw.worker.pulse import Pulse
from edgegw.worker.recovery import Recovery
from edgegw.worker.stamp import Stamp
from edgegw.worker.window import Window


def work_on(sensor: SensorSettings, settings: Settings, process: Process, *, may_restart: bool) -> bool:
    """Read `sensor` until told to stop (True), or until only a fresh process is left to try (False)."""
    found = driver.find(sensor.driver)
    run = _run(found, sensor, settings, process)
    file = settings.paths.receipts / f"{sensor.name}.json"
    recovery = Recovery(process.clock, can_reset=found.reset is not None, may_restart=may_restart, file=file)
    window = Window(run.id, sensor.window, drops_oldest=sensor.on_full == "drop_oldest")
    end = WorkerEnd(settings.paths.bus)
    tally = Tally(settings.paths.tally, run)
    process.log.info("worker_starts", run=run.id, driver=run.driver)
    try:
        link = Link(run, window, end, process.clock)
        pulse = Pulse(run, window, link, recovery, process.notifier, process.clock)
        outlet = Outlet(window, link, tally, pulse, sensor.linger_s, process.clock)
        stamp = Stamp(run, sensor, process.clock)
        told = Worker(_calibrated(found, sensor, settings), stamp, outlet, recovery, process).work(sensor.options)
        tally.leave(window.size)
        return told
    finally:
        end.close()
        tally.close()


def _calibrated(found: driver.Driver, sensor: SensorSettings, settings: Settings) -> driver.Driver:
    """`found`, given what calibrate has left for this sensor whenever it is opened: a new calibration needs no restart."""
    if found.calibration is None:
        return found

    def read(options: driver.Options) -> Generator[Sample | None, None, None]:
        return found.read(calibration.applied(found, options, settings.paths.calibration, sensor.name))

    return msgspec.structs.replace(found, read=read)


def _run(found: driver.Driver, sensor: SensorSettings, settings: Settings, process: Process) -> Run:
    return Run(
        gateway=settings.gateway.id,
        sensor=sensor.name,
        driver=found.name,
        id=str(uuid7(process.clock.wall_ns())),
        boot_id=clock.boot_id(),
        started_ns=process.clock.wall_ns(),
        fields=found.field_names(),
        window=sensor.window,
    )


def uuid7(wall_ns: int) -> uuid.UUID:
    """RFC 9562, version 7: milliseconds first, so that runs sort by their start (the standard library has it from 3.14 on)."""
    value = (wall_ns // 1_000_000) << 80 | secrets.randbits(80)
    return uuid.UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)
