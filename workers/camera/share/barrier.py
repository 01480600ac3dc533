"""A memory barrier for Python: what a processor did before it is seen by the others before what it does after it.

ARM may make two stores visible in the other order, and a processor may load early what stands later in a program. Python has
no word against that, but Linux has: membarrier(2) runs a full barrier on the processor that calls it, on its way in and on its
way out (kernel/sched/membarrier.c), whatever else it does. Of its commands GLOBAL_EXPEDITED is the one for this: it
runs them wherever there is more than one processor, while the private one returns at once in a process of one thread; and it
disturbs no process that did not ask for it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable

from edgegw.errors import DeviceError

_QUERY, _GLOBAL_EXPEDITED = 0, 2  # since Linux 4.16
_NONE = -1  # a call that no kernel knows
_POINTER_bytes = struct.calcsize("P")
# The number of the call: by machine and width of a pointer, for a 64-bit kernel runs 32-bit systems too, as on many a Raspberry Pi.
_NUMBERS = {
    ("x86_64", 8): 324,
    ("x86_64", 4): 375,
    ("i686", 4): 375,
    ("aarch64", 8): 283,
    ("riscv64", 8): 283,
    ("aarch64", 4): 389,
    ("armv8l", 4): 389,
    ("armv7l", 4): 389,
    ("armv6l", 4): 389,
}


def opened() -> Callable[[], None]:
    """The barrier, to be called; about 1 µs. Raises DeviceError where the machine or a sandbox does not give it."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    number = ctypes.c_long(_NUMBERS.get((os.uname().machine, _POINTER_bytes), _NONE))
    known = call(number, _QUERY, 0, 0)
    if known < 0 or not known & _GLOBAL_EXPEDITED:
        raise DeviceError(
            "pictures cannot be shared between processes here: the system call membarrier is not to be had, without which parts of two "
            "pictures could be taken for one; where a sandbox forbids it, allow it (SystemCallFilter=membarrier in a unit)"
        )

    def barrier() -> None:
        call(number, _GLOBAL_EXPEDITED, 0, 0)  # what it answers stays what _QUERY said until the machine is started anew

    return barrier
