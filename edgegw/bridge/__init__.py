"""Body of the bridge process: bus → spool → tap and sinks. First up, last down."""

from __future__ import annotations

import functools
import random
import resource
from collections.abc import Sequence
from pathlib import Path

from edgegw.bridge.body import Bridge
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.keeper import Keeper
from edgegw.bridge.letterbox import LETTER_bytes
from edgegw.bus import BridgeEnd
from edgegw.clock import NS_PER_S, boot_id
from edgegw.config import Settings
from edgegw.process import Process, entered
from edgegw.sinks import Outbox, Sink
from edgegw.sinks.configured import configured
from edgegw.spool import Share, Spool, moment

__all__ = ["run"]

MOST_files = 1 << 16


def run(settings: Settings, logs: Path | None, lifeline: int = -1) -> int:
    """Bridge until told to stop; returns the exit code. Raises SpoolError when there is no spool to be had."""
    _take_files()
    with entered("bridge", settings, logs, lifeline) as process:
        sinks = configured(settings, process.log)
        names, outboxes = [sink.name for sink in sinks], [sink.name for sink in sinks if isinstance(sink, Outbox)]
        opened = functools.partial(Spool, settings.paths.spool, names, settings.spool.max_bytes, outboxes, _shares(settings))
        now = functools.partial(moment, process.clock, boot_id())
        keeper = Keeper(opened, settings.paths.tally, process.log, now, round(settings.spool.attachments_h * 3600 * NS_PER_S))
        try:
            _work(settings, keeper, sinks, process)
        finally:
            keeper.close()
    return 0


def _work(settings: Settings, keeper: Keeper, sinks: Sequence[Sink], process: Process) -> None:
    letters = settings.spool.max_bytes // 32 // LETTER_bytes  # per sink; readings cannot have what these take of the spool
    forwarders = [
        Forwarder(sink, settings.paths.spool, keeper.reach(sink.name), process.log, process.clock, random.random, letters) for sink in sinks
    ]
    keeper.serve(forwarders)
    end = BridgeEnd(settings.paths.bus, settings.paths.tap)
    process.log.info("bridge_starts", sinks=[sink.name for sink in sinks])
    try:
        Bridge(end, keeper, forwarders, settings.gateway.linger_s, process, settings.spool, len(settings.sensors)).work()
    finally:
        end.close()


def _take_files() -> None:
    """As many as we may have: libzmq ends the process when somebody connects and there is none (4.3.5: ipc_listener.cpp asserts)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_files if hard == resource.RLIM_INFINITY else min(hard, MOST_files)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _shares(settings: Settings) -> dict[str, Share]:
    return {sensor.name: Share(sensor.spool_full, sensor.spool_max_bytes) for sensor in settings.sensors}
