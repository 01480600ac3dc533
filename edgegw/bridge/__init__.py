"""Body of the bridge process: bus → spool → tap and sinks. First up, last down."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from pathlib import Path

from edgegw.bridge.body import Bridge
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.keeper import Keeper
from edgegw.bus import BridgeEnd
from edgegw.config import Settings
from edgegw.process import Process, entered
from edgegw.sinks import Sink
from edgegw.sinks.configured import configured
from edgegw.spool import Spool

__all__ = ["run"]


def run(settings: Settings, logs: Path | None, lifeline: int = -1) -> int:
    """Bridge until told to stop; returns the exit code. Raises SpoolError when there is no spool to be had."""
    with entered("bridge", settings, logs, lifeline) as process:
        sinks = configured(settings)
        opened = functools.partial(Spool, settings.paths.spool, [sink.name for sink in sinks], settings.spool.max_bytes)
        keeper = Keeper(opened, settings.paths.tally, process.log)
        try:
            _work(settings, keeper, sinks, process)
        finally:
            keeper.close()
    return 0


def _work(settings: Settings, keeper: Keeper, sinks: Sequence[Sink], process: Process) -> None:
    forwarders = [
        Forwarder(sink, settings.paths.spool, keeper.cursor(sink.name), process.log, process.clock, random.random) for sink in sinks
    ]
    keeper.serve(forwarders)
    end = BridgeEnd(settings.paths.bus, settings.paths.tap)
    process.log.info("bridge_starts", sinks=[sink.name for sink in sinks])
    try:
        Bridge(end, keeper, forwarders, settings.gateway.linger_s, process).work()
    finally:
        end.close()
