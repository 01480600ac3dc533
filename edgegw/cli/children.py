"""Settings as the supervisor's plan: a process for each sensor or group of them, and what of the settings each depends on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edgegw import __version__, bridge, worker
from edgegw.config import Secret, SensorSettings, Settings
from edgegw.config.sensors import DEVICE_KEYS, VIRTUAL
from edgegw.retry import RestartPolicy
from edgegw.supervisor import BRIDGE, WORKER, ChildSpec, Plan

# Of a sensor's keys, those that only the bridge looks at, with what they are when nobody says.
SHARE: dict[str, Any] = {"spool_full": "block", "spool_max_bytes": 0}

def plan(settings: Settings, logs: Path | None, keep: Callable[[int], int] | None = None) -> Plan:
    """What to run; `logs`: where processes log to instead of stderr; `keep` as Plan has it."""
    specs = [_bridge(settings, logs), *(_worker(settings, name, sensors, logs) for name, sensors in settings.processes().items())]
    about = {"gateway": settings.gateway.id, "version": __version__, "config": str(settings.sources[0]) if settings.sources else ""}
    return Plan(tuple(specs), about, keep)


def _bridge(settings: Settings, logs: Path | None) -> ChildSpec:
    return ChildSpec(
        "bridge",
        BRIDGE,
        partial(bridge.run, settings, logs),
        RestartPolicy(quarantines=False, max_s=5.0),
        stop_s=5.0,
        fingerprint=fingerprint(settings.gateway, settings.paths, settings.spool, settings.sinks, _shares(settings)),
    )


def _worker(settings: Settings, name: str, sensors: Sequence[SensorSettings], logs: Path | None) -> ChildSpec:
    # linger_s of [gateway] is the bridge's own.
    common = {"id": settings.gateway.id, "log_level": settings.gateway.log_level}
    own = [msgspec.structs.replace(sensor, **SHARE) for sensor in sensors]
    return ChildSpec(
        name,
        WORKER,
        partial(worker.run, settings, name, sensors, logs),
        RestartPolicy(),
        stop_s=3.0,
        sensors=tuple(sensor.name for sensor in sensors),
        fingerprint=fingerprint(common, settings.paths, own),
        claims=frozenset(_claims(sensors)),
    )


def _shares(settings: Settings) -> dict[str, dict[str, Any]]:
    """Each sensor's part of the spool, where it has one of its own: a sensor that comes or goes without does not concern the bridge."""
    told = {sensor.name: {key: getattr(sensor, key) for key in SHARE} for sensor in settings.sensors}
    return {name: share for name, share in told.items() if share != SHARE}


def fingerprint(*settings: object) -> str:
    """The same for equal settings and for no others. A password counts, but cannot be read from it; one in a file may be rotated."""
    return hashlib.sha256(repr(msgspec.to_builtins(settings, enc_hook=_plain)).encode(errors="surrogatepass")).hexdigest()


def _plain(value: object) -> Any:
    return value.mark if isinstance(value, Secret) else repr(value)


def _claims(sensors: Iterable[SensorSettings]) -> Iterator[str]:
    """What only one process may have: the sensor itself (its tally has one writer) and its device."""
    for sensor in sensors:
        yield f"sensor {sensor.name}"
        for keys in DEVICE_KEYS:
            values = [getattr(sensor.options, key, None) for key in keys]
            if None not in values and not any(str(value).partition("?")[0] == VIRTUAL for value in values):
                yield " ".join(f"{key}={_canonical(value)}" for key, value in zip(keys, values, strict=True))


def _canonical(value: object) -> object:
    return os.path.realpath(value) if isinstance(value, str) and value.startswith("/") else str(value).casefold()
