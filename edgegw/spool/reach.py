"""How far a sink is: done with everything up to its cursor, and with spans of positions ahead of it. Pure."""

from __future__ import annotations

import msgspec

from edgegw.spool.work import Span


class Reach(msgspec.Struct, frozen=True):
    """What a sink is done with; spans lie apart from the cursor and from each other, in ascending order."""

    cursor: int = 0
    ahead: tuple[Span, ...] = ()

    @property
    def end(self) -> int:
        """The last position that it is done with."""
        return self.ahead[-1][1] if self.ahead else self.cursor

    def with_(self, done: Span) -> Reach:
        """This, and `done` (first and last position) as well; what touches becomes one."""
        cursor, apart = self.cursor, list[Span]()
        for first, last in sorted((*self.ahead, done)):
            if first <= cursor + 1:
                cursor = max(cursor, last)
            elif apart and first <= apart[-1][1] + 1:
                apart[-1] = (apart[-1][0], max(apart[-1][1], last))
            else:
                apart.append((first, last))
        return Reach(cursor, tuple(apart))

    def gap(self, upto: int) -> Span | None:
        """The first positions that it is not done with, none of them behind `upto`; None when there are none."""
        last = min(self.ahead[0][0] - 1 if self.ahead else upto, upto)
        return (self.cursor + 1, last) if self.cursor < last else None
