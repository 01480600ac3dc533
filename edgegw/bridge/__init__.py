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
from edgegw.clock import NS_PER_S, boot_id
from edgegw.config import Settings
from edgegw.process import Process, entered
from edgegw.sinks import Outbox, Sink
from edgegw.sinks.configured import configured
from edgegw.spool import Spool, moment

__all__ = ["run"]


def run(settings: Settings, logs: Path | None, lifeline: int = -1) -> int:
    """Bridge until told to stop; returns the exit code. Raises SpoolError when there is no spool to be had."""
    with entered("bridge", settings, logs, lifeline) as process:
        sinks = configured(settings, process.log)
        names, outboxes = [sink.name for sink in sinks], [sink.name for sink in sinks if isinstance(sink, Outbox)]
        opened = functools.partial(Spool, settings.paths.spool, names, settings.spool.max_bytes, outboxes)
        now = functools.partial(moment, process.clock, boot_id())
        keeper = Keeper(opened, settings.paths.tally, process.log, now, round(settings.spool.attachments_h * 3600 * NS_PER_S))
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
