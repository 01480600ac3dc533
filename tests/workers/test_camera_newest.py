"""The newest result, for anyone who asks too often."""

from __future__ import annotations

import pytest

from workers.camera.newest import Aged, MAX_AGE_ns, Newest


def test_whoever_asks_too_often_is_answered_from_memory() -> None:
    """Within the half second the first result is told with its age, whatever is asked about; then the next one is worked out."""
    asked: list[str] = []

    def compute(subject: str) -> str:
        asked.append(subject)
        return subject.upper()

    newest = Newest(compute)
    assert newest.of("a", 100) == Aged("A", 0)
    assert newest.of("b", 100 + MAX_AGE_ns - 1) == Aged("A", MAX_AGE_ns - 1)
    assert newest.of("c", 100 + MAX_AGE_ns) == Aged("C", 0)
    assert asked == ["a", "c"]


def test_nothing_found_is_a_result_too() -> None:
    """None is kept as any other."""
    asked: list[int] = []
    newest = Newest(asked.append, max_age_ns=10)
    assert [newest.of(1, now_ns).result for now_ns in (0, 5, 9)] == [None, None, None]
    assert asked == [1]


def test_what_fails_leaves_nothing_old_behind() -> None:
    """The error comes through, and who asks next does not get the result of long ago."""
    newest: Newest[int, float] = Newest(lambda divisor: 12 / divisor, max_age_ns=10)
    assert newest.of(4, 0).result == 3
    with pytest.raises(ZeroDivisionError):
        newest.of(0, 10)
    assert newest.of(6, 11) == Aged(2, 0)
