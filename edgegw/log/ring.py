"""The queue between whoever logs and whoever writes: bounded, without a lock; the least important goes first, counted."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")  # by importance; a rank is an index into this

Record = tuple[int, int, int, dict[str, Any]]  # order of arrival, wall ns, rank, fields with "event" among them


class Tally:
    """Counts from several threads without a lock: next() of itertools.count is one uninterruptible call, `+= 1` is not."""

    def __init__(self) -> None:
        self._added = itertools.count()
        self._read = itertools.count()

    def add(self) -> None:
        """One more."""
        next(self._added)

    def value(self) -> int:
        """The count. Looking takes a number too, so looks are counted and taken off."""
        return next(self._added) - next(self._read)


class Ring:
    """Keeps at most `capacity` records; any thread may put, one takes. A deque's append and popleft are atomic."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lanes: tuple[deque[Record], ...] = tuple(deque() for _ in LEVELS)
        self._order = itertools.count()
        self._lost = tuple(Tally() for _ in LEVELS)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def put(self, rank: int, wall_ns: int, fields: dict[str, Any]) -> None:
        """Append, never wait; when that is one too many, the oldest of the least important goes (it may be this one)."""
        self._lanes[rank].append((next(self._order), wall_ns, rank, fields))
        if sum(map(len, self._lanes)) > self._capacity:
            self._evict()

    def mark(self) -> int:
        """A moment, for take(): what is put from now on comes after it."""
        return next(self._order)

    def take(self, before: int) -> Record | None:
        """The oldest record put before that mark; None when there is none.

        Without the mark a thread's second record could overtake its first: lane A seen empty, both put, lane B seen full.
        """
        best: deque[Record] | None = None
        for lane in self._lanes:
            order = _head(lane)
            if order is not None and order < before:
                best, before = lane, order
        try:
            return best.popleft() if best is not None else None
        except IndexError:  # evicted since we looked: there is room now, and a next turn
            return None

    def dropped(self) -> dict[str, int]:
        """How many records of each level have been dropped so far."""
        return {level: lost.value() for level, lost in zip(LEVELS, self._lost, strict=True)}

    def _evict(self) -> None:
        for lane, lost in zip(self._lanes, self._lost, strict=True):
            try:
                lane.popleft()
            except IndexError:
                continue
            lost.add()
            return


def _head(lane: deque[Record]) -> int | None:
    try:
        return lane[0][0]
    except IndexError:
        return None
