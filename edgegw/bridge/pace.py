"""How fast a sink is given what it lacks, and how long it is left alone after trouble. Pure; times in seconds.

A server that has just come back is cold, and it comes back to all its gateways at once. So it is given little at first and more as
it keeps up, the backlog leaves it time for others, and nobody returns in step with his neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

from edgegw.errors import Busy, Refused
from edgegw.retry import backoff

FIRST_readings, FULL_readings = 50, 1000  # in one delivery
_FAST_s = 0.5
_BACKLOG_share = 0.8  # of a sink's time
_AWAY_BASE_s, _AWAY_MAX_s, _AWAY_jitter = 0.5, 10.0, 0.2
_BUSY_s = 1.0, 1.2
_REFUSED_s = 30.0, 33.0  # twice a minute: somebody has to act first, and more would only fill the other side's log


def grown(readings: int, took_s: float) -> int:
    """How much to deliver next, after a delivery of so much went well in so long: it grows in any case, and doubles while that is fast."""
    return min(FULL_readings, readings * 2 if took_s < _FAST_s else readings + max(1, readings // 4))


def rest_s(took_s: float) -> float:
    """How long the backlog waits after a piece of it that took so long."""
    return took_s * (1 - _BACKLOG_share) / _BACKLOG_share


def pause_s(error: Exception, failures: int, random: Callable[[], float]) -> float:
    """How long to leave a sink alone after `error`, when so many had come before it in a row; `random` yields numbers in [0, 1)."""
    if isinstance(error, Refused):
        return _between(_REFUSED_s, random)
    if isinstance(error, Busy):
        return _between(_BUSY_s, random)
    return backoff(failures, _AWAY_BASE_s, _AWAY_MAX_s, _AWAY_jitter, random)


def _between(ends: tuple[float, float], random: Callable[[], float]) -> float:
    least, most = ends
    return least + (most - least) * random()
