"""The newest result of something that costs time, for anyone who asks more often than it need be worked out. Pure: time is handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

MAX_AGE_ns = 500_000_000

Subject = TypeVar("Subject")
Result = TypeVar("Result")


class Aged(NamedTuple, Generic[Result]):
    """A result, and how long ago it was worked out."""

    result: Result
    age_ns: int


class Newest(Generic[Subject, Result]):
    """Keeps one result of `compute`. Of one owner: there is no lock."""

    def __init__(self, compute: Callable[[Subject], Result], max_age_ns: int = MAX_AGE_ns) -> None:
        self._compute = compute
        self._max_age_ns = max_age_ns
        self._kept: tuple[Result, int] | None = None  # and when it was worked out

    def of(self, subject: Subject, now_ns: int) -> Aged[Result]:
        """What is kept, while it is younger than `max_age_ns`; else of this subject, at age 0. Raises what `compute` raises."""
        if self._kept is None or now_ns - self._kept[1] >= self._max_age_ns:
            self._kept = None  # what fails to be renewed is not told again
            self._kept = self._compute(subject), now_ns
        result, at_ns = self._kept
        return Aged(result, now_ns - at_ns)
