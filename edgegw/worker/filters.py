"""Filters at the edge: which readings are worth sending, and what they say, as [sensors.NAME] asks. Pure.

In this order: the median takes spikes out, the plausible range marks what cannot be, the dead band and the minimum interval
hold back what says nothing new. What is held back gets no seq and is counted as filtered. A change of quality is always news.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeVar

from edgegw.clock import NS_PER_S
from edgegw.config import SensorPolicy
from edgegw.reading import Quality, Value

T = TypeVar("T")
Judged = tuple[tuple[Value, ...], Quality]


def filter_for(policy: SensorPolicy, fields: Sequence[str]) -> Filter | None:
    """The filter of one kind; None where nothing is asked for its fields."""
    touched = {*policy.median, *policy.plausible, *policy.deadband} & set(fields)
    return Filter(policy, fields) if touched or policy.min_interval_s else None


class Filter:
    """Of one kind of one sensor; remembers what it let through."""

    def __init__(self, policy: SensorPolicy, fields: Sequence[str]) -> None:
        at = {name: index for index, name in enumerate(fields)}
        self._medians = {at[name]: deque[float](maxlen=n) for name, n in policy.median.items() if name in at}
        self._plausible = _by_index(policy.plausible, at)
        self._deadband = _by_index(policy.deadband, at)
        self._interval_ns = round(policy.min_interval_s * NS_PER_S)
        self._longest_ns = round(policy.deadband_max_s * NS_PER_S)
        self._passed: Judged | None = None
        self._passed_ns = 0

    def judge(self, values: tuple[Value, ...], quality: Quality, now_ns: int) -> Judged | None:
        """What to send of a reading, or None to hold it back; `now_ns` is monotonic."""
        judged = self._plausibly(self._smooth(values), quality)
        if not self._news(judged, now_ns):
            return None
        self._passed, self._passed_ns = judged, now_ns
        return judged

    def _smooth(self, values: tuple[Value, ...]) -> tuple[Value, ...]:
        if not self._medians:
            return values
        smooth = list(values)
        for index, window in self._medians.items():
            value = values[index]
            if isinstance(value, int | float):
                window.append(value)
                smooth[index] = type(value)(sorted(window)[(len(window) - 1) // 2])  # of an even number the lower: one that was measured
            else:
                window.clear()  # no echo: what comes after has nothing to do with what was before
        return tuple(smooth)

    def _plausibly(self, values: tuple[Value, ...], quality: Quality) -> Judged:
        for index, (low, high) in self._plausible.items():
            value = values[index]
            if isinstance(value, int | float) and not low <= value <= high:
                return values, Quality.BAD
        return values, quality

    def _news(self, judged: Judged, now_ns: int) -> bool:
        if self._passed is None or judged[1] is not self._passed[1]:
            return True
        age_ns = now_ns - self._passed_ns
        if age_ns < self._interval_ns:
            return False
        return not self._deadband or age_ns >= self._longest_ns or self._moved(judged[0], self._passed[0])

    def _moved(self, values: tuple[Value, ...], before: tuple[Value, ...]) -> bool:
        return any(_apart(values[index], before[index], band) for index, band in self._deadband.items())


def _apart(value: Value, before: Value, band: float) -> bool:
    if isinstance(value, int | float) and isinstance(before, int | float):
        return abs(value - before) > band
    return value != before


def _by_index(asked: Mapping[str, T], at: Mapping[str, int]) -> dict[int, T]:
    return {at[name]: what for name, what in asked.items() if name in at}
