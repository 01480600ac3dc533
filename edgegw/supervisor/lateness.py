"""How much of a late turn of the loop is nobody's fault: what tells a hanging child from a busy or a suspended machine."""

from __future__ import annotations

_NOISE_s = 0.1
_PAUSE_s = 1.0


def excused_s(elapsed_s: float, planned_s: float) -> float:
    """Of the time since the last turn of the loop, how much no child is to blame for, given how long the turn should have taken.

    A loop that was late was not listening, and what held it up (a busy machine, a suspended one) held up the children as well.
    Scheduling noise is nobody's excuse; after a pause everyone gets the whole time, since all woke up together.
    """
    late_s = elapsed_s - planned_s
    if late_s < _NOISE_s:
        return 0.0
    return elapsed_s if late_s > _PAUSE_s else late_s
