"""Named places before and after every durable step where a tester makes a process die, fail, wait or hang; armed by the environment only.

    EDGEGW_FAILPOINTS="spool.before_commit=kill#1; bridge:sink.after_deliver=sleep:30@3; spool.after_commit=error:EIO@2+"

[PROCESS:]NAME=ACTION[@WHEN][#LIMIT], several with ; between them. PROCESS is bridge, worker (any of them) or the name of one process.
ACTION is kill (SIGKILL), exit:CODE, sleep:SECONDS, error:ERRNO (raises OSError) or hang (a busy loop). WHEN is n (only the n-th time that
this life of the process comes by), n+ (from the n-th on) or ~p (with probability p, from EDGEGW_FAILPOINTS_SEED); without it: every time.
LIMIT: at most so often over all lives of all processes, counted in files of the directory EDGEGW_FAILPOINTS_DIR, which the tester makes.
Where there is such a directory everything that struck is counted there, with limit and without, before it strikes: `struck` reads it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence

from edgegw.failpoint.spec import NAMES, SPEC, Action, Point, parse
from edgegw.failpoint.trap import DIRECTORY, HERE, SEED, Trap, armed, points, spring, struck

__all__ = ["DIRECTORY", "NAMES", "SEED", "SPEC", "Action", "Point", "here", "hit", "parse", "struck"]


def here(process: str) -> tuple[str, ...]:
    """This process is called that; from here on it counts from zero. What is armed in it. Raises ConfigError for a wrong specification."""
    if SPEC not in os.environ:
        return ()
    os.environ[HERE] = process
    _traps.cache_clear()
    return tuple(str(point) for point in points(os.environ) if point.concerns(process))


def hit(name: str) -> None:
    """This process is at the place called `name` in NAMES. Raises OSError where a tester wants it to."""
    traps = _traps().get(name)
    if traps is not None:
        spring(traps)


@functools.cache
def _traps() -> Mapping[str, Sequence[Trap]]:
    return armed(os.environ)
