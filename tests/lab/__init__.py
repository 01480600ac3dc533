"""Power cuts in the laboratory: what a process really wrote and synced is recorded, and a disk made of it is cut off at any moment.

A real process runs under strace, which notes every system call that changes a file, bytes and all, and every word that it says on
stdout. `trace` reads that. `disk` plays it onto a model of a disk that knows, for each file and each directory, what was synced;
at a cut, what was not synced is lost: all of it, none, or a seeded choice of sectors, pages or torn halves. So every moment between
two calls can be tried, each one in many ways, and each one again: the seed is all that it takes. It is what dm-log-writes does to a
block device, one layer higher, and it needs neither a kernel module nor a right to mount.

That the recording is complete is proved in each one: played to its end, it must give the files that the process left, to the byte.
"""

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

LONG_FORM = int(os.environ.get("EDGEGW_POWER_CUTS", "0"))  # power cuts; 0 is the everyday form


def some(items: Sequence[T], short: int) -> Sequence[T]:
    """All of them in the long form, else `short` of them, others each time."""
    return items if LONG_FORM else random.sample(items, min(short, len(items)))
