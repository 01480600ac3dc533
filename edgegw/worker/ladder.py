"""The recovery ladder, as pure decisions: how often the device has let us down goes in, what to try next comes out.

    re-read      within the driver: a transfer is repeated, a spoilt frame skipped; counted as faults
    reopen       let go of the device, wait, take it again
    reset        the device's own reset, or its power, where its driver knows how
    restart      a fresh process, in case it is our own state that is spoilt
    quarantine   none of that helped: one look now and then, for as long as it takes

A device that is absent is only looked for: neither its reset nor a new process can plug it in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from edgegw.retry import backoff


class Rung(enum.StrEnum):
    """In the order of climbing."""

    REREAD = "re-read"
    REOPEN = "reopen"
    RESET = "reset"
    RESTART = "restart"
    QUARANTINE = "quarantine"


# For how long a rung may go without giving a sample, before the next one is tried. A first sample over a radio takes its time.
DEADLINE_s: Final[Mapping[Rung, float]] = {Rung.REOPEN: 60.0, Rung.RESET: 15.0, Rung.QUARANTINE: 60.0}
REOPEN_BASE_s, REOPEN_MAX_s = 0.2, 5.0
AFTER_RESET_s = 0.2
ABSENT_s = 0.5  # between two looks; a look costs one failed open(2)
PROBE_s = 15.0
PROBES_A_RESET = 20  # in quarantine: a reset may cost its neighbours their connection, so it is rare there

_WITH_RESET = (Rung.REOPEN, Rung.REOPEN, Rung.REOPEN, Rung.RESET, Rung.REOPEN, Rung.RESET, Rung.RESTART)
_WITHOUT_RESET = (Rung.REOPEN,) * 6 + (Rung.RESTART,)


class Means(msgspec.Struct, frozen=True):
    """Which rungs there are."""

    reset: bool  # the driver has one
    restart: bool  # the process is this sensor's alone, and has not been restarted for this trouble before


class Step(msgspec.Struct, frozen=True):
    """What to try next, and after which pause."""

    rung: Rung
    wait_s: float
    resets: bool = False  # reset the device before it is opened


def step(failures: int, means: Means, random: Callable[[], float]) -> Step:
    """After failure number `failures` (from 1) since the device was last well; `random` yields numbers in [0, 1)."""
    ladder = _WITH_RESET if means.reset else _WITHOUT_RESET
    rung = ladder[failures - 1] if failures <= len(ladder) else Rung.QUARANTINE
    if rung is Rung.RESTART and not means.restart:
        rung = Rung.QUARANTINE
    if rung is Rung.QUARANTINE:
        return Step(rung, PROBE_s, resets=means.reset and failures % PROBES_A_RESET == 0)
    if rung is Rung.REOPEN:
        return Step(rung, backoff(failures - 1, REOPEN_BASE_s, REOPEN_MAX_s, 0.2, random))
    return Step(rung, AFTER_RESET_s if rung is Rung.RESET else 0.0, resets=rung is Rung.RESET)
