"""Says that messages on the bus were refused: at once, then no more than once a minute, how many and why the last of them."""

from __future__ import annotations

from edgegw.clock import NS_PER_S
from edgegw.log import Logger

EVERY_ns = 60 * NS_PER_S
_HINT = "something that is no worker of this gateway writes to its bus, or one of another version does"


class Refusals:
    """Looked at about once a second."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._told = 0
        self._next_ns: int | None = None

    def look(self, count: int, why: str, now_ns: int) -> None:
        """`count` were refused ever, the last because of `why`; `now_ns` of a clock that never jumps."""
        if count == self._told or (self._next_ns is not None and now_ns < self._next_ns):
            return
        self._log.warning("messages_refused", count=count - self._told, why=why[:200], hint=_HINT)
        self._told, self._next_ns = count, now_ns + EVERY_ns
