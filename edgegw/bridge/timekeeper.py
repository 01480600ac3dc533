"""Watches the wall clock for the bridge: marks when it was set, gives up waiting for that, and says when it jumped."""

from __future__ import annotations

from typing import Protocol

from edgegw.clock import NS_PER_S, Clock
from edgegw.log import Logger
from edgegw.spool import Moment, moment

JUMP_ns = NS_PER_S  # against the clock that counts from boot; what NTP slews in a second is a thousandth of that


class Marks(Protocol):
    """What this needs of the spool."""

    def mark(self, moment: Moment) -> None: ...
    def give_up_clock(self, boot_id: str) -> None: ...


class Timekeeper:
    """Asked once a second; writes to the spool twice a boot at most."""

    def __init__(self, clock: Clock, boot_id: str, wait_ns: int, log: Logger) -> None:
        """`wait_ns` after the machine's start nobody waits for its clock any more."""
        self._clock = clock
        self._boot_id = boot_id
        self._wait_ns = wait_ns
        self._log = log
        self._marked = self._given_up = False
        self._ahead_ns: int | None = None

    def begin_anew(self) -> None:
        """The spool's file is another one, which may know nothing of this boot's clock."""
        self._marked = self._given_up = False

    def look(self, spool: Marks) -> None:
        """Raises SpoolError where the spool cannot take a note of it; the next look tries again."""
        now = moment(self._clock, self._boot_id)
        self._jumped(self._clock.wall_ns() - now.boot_ns)
        if now.wall_ns and not self._marked:
            spool.mark(now)
            self._marked = True
            self._log.info("clock_set", was_given_up=self._given_up)
        elif not (self._marked or self._given_up) and now.boot_ns >= self._wait_ns:
            spool.give_up_clock(now.boot_id)
            self._given_up = True
            why = "the machine's clock is not synchronised: readings are stored with their time marked as unsynced"
            self._log.warning("clock_not_set", why=why, hint="timedatectl says whether a time server answers")

    def _jumped(self, ahead_ns: int) -> None:
        if self._ahead_ns is not None and abs(ahead_ns - self._ahead_ns) >= JUMP_ns:
            self._log.warning("clock_jumped", by_s=round((ahead_ns - self._ahead_ns) / NS_PER_S, 1))
        self._ahead_ns = ahead_ns
