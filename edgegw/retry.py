"""When to try again: backoff and RestartPolicy as pure functions; a history goes in, Restart(after) or Quarantine comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

_MAX_DOUBLINGS = 60  # beyond this, 2.0**n says nothing new and in the end overflows
_HISTORY = 32  # failures kept at least; what is older changes no decision


class RestartPolicy(msgspec.Struct, frozen=True):
    """How much trouble a process may make. A burst of failures is met with longer and longer pauses, a crash loop with quarantine."""

    burst: int = 5  # this many failures ...
    period_s: float = 60.0  # ... within this time are a crash loop
    base_s: float = 0.5  # the pause after the first failure
    max_s: float = 60.0  # no pause is longer
    jitter: float = 0.2  # share by which a pause is made longer or shorter, so that neighbours do not return in step
    probe_s: float = 300.0  # between two tries in quarantine
    forgive_s: float = 300.0  # after running this long the past is forgotten
    quarantines: bool = True  # False: never given up, whatever it does


class Restart(msgspec.Struct, frozen=True):
    """Start it again after so many seconds."""

    after_s: float


class Quarantine(msgspec.Struct, frozen=True):
    """It is in a crash loop: try again only now and then, first after so many seconds."""

    probe_after_s: float


def backoff(attempt: int, base_s: float, max_s: float, jitter: float, random: Callable[[], float]) -> float:
    """Seconds to wait after failure number `attempt` (from 0): doubles from base_s, ± the share `jitter`, never above max_s.

    `random` yields numbers in [0, 1). The doubling stops below max_s so that the jitter still spreads the longest pauses.
    """
    nominal_s = min(base_s * 2.0 ** min(attempt, _MAX_DOUBLINGS), max_s / (1 + jitter))
    return nominal_s * (1 + jitter * (2 * random() - 1))


def remember(policy: RestartPolicy, failures: Sequence[float], uptime_s: float, now: float) -> tuple[float, ...]:
    """The history after one more failure at `now` (monotonic s) of a process that had been up for uptime_s; bounded."""
    if uptime_s >= policy.forgive_s:
        return (now,)
    if _crash_loop(policy, failures):
        return tuple(failures)  # a failed probe proves nothing that is not known; the burst must stay on record
    return (*failures, now)[-max(policy.burst, _HISTORY) :]


def decide(policy: RestartPolicy, failures: Sequence[float], now: float, random: Callable[[], float]) -> Restart | Quarantine:
    """What to do about a process that has just failed; `failures` are monotonic seconds, ascending, the newest included."""
    if policy.quarantines and _crash_loop(policy, failures):
        return Quarantine(policy.probe_s)
    due = backoff(max(0, len(failures) - 1), policy.base_s, policy.max_s, policy.jitter, random)
    return Restart(max(0.0, (failures[-1] if failures else now) + due - now))


def _crash_loop(policy: RestartPolicy, failures: Sequence[float]) -> bool:
    """Whether the history holds `burst` failures within period_s, at any time: quarantine ends by forgiveness only."""
    ends = zip(failures, failures[policy.burst - 1 :], strict=False)
    return policy.quarantines and any(last - first <= policy.period_s for first, last in ends)
