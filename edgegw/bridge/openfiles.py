"""Whether the tap may take another listener: those who look on must not use up the files that workers, spool and sinks need."""

from __future__ import annotations

import os
import resource

from edgegw.clock import NS_PER_S
from edgegw.log import Logger

LISTENERS = 128  # at the tap, or as many others that keep a connection
OWN_files = 64  # libraries, sockets, the spool and the sinks; with SQLite and four sensors 32 were open
HEADROOM = 0.75  # of what the process may have: what is short is not only short of listeners
CALM_ns = NS_PER_S  # before it takes listeners again, so that it does not flutter


class OpenFiles:
    """Looked at every turn, for some 20 µs; above the bound nobody new is admitted, below three quarters of it again."""

    def __init__(self, sensors: int, log: Logger) -> None:
        self._most = OWN_files + sensors + LISTENERS
        self._log = log
        self._turned_ns = 0
        self.why = ""  # "" while the tap takes listeners; else a sentence for status

    def admits(self, now_ns: int, count: int | None = None) -> bool:
        """With `count` files open (None: ask the kernel); `now_ns` of a clock that never jumps."""
        count = len(os.listdir("/proc/self/fd")) if count is None else count
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = self._most if soft == resource.RLIM_INFINITY else min(self._most, round(HEADROOM * soft))
        if not self.why and count > most:
            self._turned_ns = now_ns
            self.why = f"{count} files and connections are open, so it takes no further listeners: end those that nobody needs"
            self._log.warning("tap_takes_no_more", open=count, most=most)
        elif self.why and count <= most * 3 // 4 and now_ns - self._turned_ns >= CALM_ns:
            self.why = ""
            self._log.info("tap_takes_listeners", open=count)
        return not self.why
