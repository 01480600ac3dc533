"""Filters at the edge, in tables: what is let through, what is changed, what is held back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.clock import NS_PER_S
from edgegw.config import SensorPolicy
from edgegw.reading import Quality, Value
from edgegw.worker.filters import Filter, filter_for

FIELDS = ("distance_m", "strength")
GOOD, BAD, UNCERTAIN = Quality.GOOD, Quality.BAD, Quality.UNCERTAIN


def a_filter(**asked: Any) -> Filter:
    found = filter_for(SensorPolicy(driver="x", **asked), FIELDS)
    assert found
    return found


def passed(filter_: Filter, distances_m: list[Value], every_s: float = 0.1) -> list[Value]:
    """What comes out, None for a null, where one reading comes every so often."""
    out: list[Value] = []
    for index, distance_m in enumerate(distances_m):
        judged = filter_.judge((distance_m, 100), GOOD, round(index * every_s * NS_PER_S))
        out += [judged[0][0]] if judged else []
    return out


def test_without_a_wish_there_is_no_filter() -> None:
    """The loop pays nothing; a wish for another kind's field is none for this one."""
    assert filter_for(SensorPolicy(driver="x"), FIELDS) is None
    assert filter_for(SensorPolicy(driver="x", deadband={"luminosity": 1.0}), FIELDS) is None


@pytest.mark.parametrize(
    ("asked", "given", "expected"),
    [
        ({"median": {"distance_m": 3}}, [1.0, 1.0, 9.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]),  # a spike
        ({"median": {"distance_m": 3}}, [1.0, 1.0, 9.0, 9.0, 9.0], [1.0, 1.0, 1.0, 9.0, 9.0]),  # a step, one late
        ({"median": {"distance_m": 3}}, [1.0, None, 5.0, 5.0], [1.0, None, 5.0, 5.0]),  # no echo: a new beginning
        ({"deadband": {"distance_m": 0.5}}, [1.0, 1.4, 1.5, 1.6, 1.2, 1.0], [1.0, 1.6, 1.0]),
        ({"deadband": {"distance_m": 0.5}}, [1.0, None, None, 1.0], [1.0, None, 1.0]),
        ({"deadband": {"distance_m": 0.5}, "deadband_max_s": 1.0}, [1.0] * 21, [1.0] * 3),  # still alive
        ({"min_interval_s": 1.0}, [float(n) for n in range(21)], [0.0, 10.0, 20.0]),
        ({"median": {"distance_m": 3}, "deadband": {"distance_m": 0.5}}, [1.0, 1.0, 9.0, 1.0, 2.0, 2.0], [1.0, 2.0]),
    ],
)
def test_what_comes_out(asked: dict[str, Any], given: list[Value], expected: list[Value]) -> None:
    """At ten readings a second."""
    assert passed(a_filter(**asked), given) == expected


def test_outside_of_the_plausible_range_a_reading_is_bad_and_sent_as_it_is() -> None:
    """The value stays: whoever looks at it later should see what the sensor said."""
    filter_ = a_filter(plausible={"distance_m": (0.1, 9.0)})
    assert [filter_.judge((value, 1), GOOD, 0) for value in (0.1, 9.0, 9.1, 0.05, None)] == [
        ((0.1, 1), GOOD),
        ((9.0, 1), GOOD),
        ((9.1, 1), BAD),
        ((0.05, 1), BAD),
        ((None, 1), GOOD),
    ]


def test_a_change_of_quality_is_always_news() -> None:
    """Neither dead band nor interval hides that a sensor went blind, or sees again."""
    filter_ = a_filter(deadband={"distance_m": 10.0}, min_interval_s=3600.0)
    qualities = [GOOD, GOOD, UNCERTAIN, UNCERTAIN, BAD, GOOD, GOOD]
    assert [filter_.judge((1.0, 1), quality, index) is not None for index, quality in enumerate(qualities)] == [
        True,
        False,
        True,
        False,
        True,
        True,
        False,
    ]


def test_a_whole_number_stays_one() -> None:
    """The median of an int field is an int, as its column wants it."""
    filter_ = a_filter(median={"strength": 5})
    judged = [filter_.judge((1.0, strength), GOOD, 0) for strength in (1, 2, 3, 4)]
    assert [type(each[0][1]) for each in judged if each] == [int] * 4


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=60), st.integers(3, 31), st.floats(0, 10))
def test_no_filter_invents_a_value(values: list[Value], n: int, band: float) -> None:
    """What comes out went in, and never more readings than went in."""
    out = passed(a_filter(median={"distance_m": n}, deadband={"distance_m": band}), values)
    assert len(out) <= len(values)
    assert all(value in values for value in out)
