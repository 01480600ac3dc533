"""Body of a sensor process: next, stamp, push, beat. Several slow sensors may share one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgegw.config import SensorSettings, Settings
from edgegw.errors import Exit
from edgegw.process import entered
from edgegw.worker.shared import work_together
from edgegw.worker.single import work_on

__all__ = ["run"]


def run(settings: Settings, name: str, sensors: Sequence[SensorSettings], logs: Path | None, lifeline: int = -1) -> int:
    """Read `sensors`, in a process called `name`, until told to stop; returns the exit code. Exit.IO: a fresh process should try."""
    with entered(name, settings, logs, lifeline) as process:
        if len(sensors) == 1:
            return Exit.DONE if work_on(sensors[0], settings, process, may_restart=True) else Exit.IO
        work_together(sensors, settings, process)
    return Exit.DONE
