"""A Sample becomes a Reading, once, here only: its seq, the clocks, and what the filters make of it."""

from __future__ import annotations

from types import NoneType

from edgegw import codec
from edgegw.clock import Clock
from edgegw.config import SensorPolicy
from edgegw.reading import Quality, Reading, Run, Sample, Value
from edgegw.worker.filters import filter_for

TEXT_chars = 10_000  # in one value
MOMENT_ns, TRIES = 50_000, 3  # far longer than asking three clocks takes; who is interrupted each time has other worries


class Stamp:
    """Counts the seqs of one run."""

    def __init__(self, run: Run, policy: SensorPolicy, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self._only_kind = next(iter(run.fields)) if len(run.fields) == 1 else ""
        self._names = {kind: tuple(fields) for kind, fields in run.fields.items()}
        self._filters = {kind: made for kind, fields in self._names.items() if (made := filter_for(policy, fields))}

    def reading(self, sample: Sample) -> tuple[str, Reading | None]:
        """Its kind, and the reading; None where a filter holds it back."""
        clock = self._clock
        kind = sample.kind or self._only_kind
        values, quality = _storable(tuple([sample.values[name] for name in self._names[kind]]), sample.quality)
        if self._filters and kind in self._filters:
            judged = self._filters[kind].judge(values, quality, clock.monotonic_ns())
            if judged is None:
                return kind, None
            values, quality = judged
        monotonic_ns, boot_ns, wall_ns = _together(clock)
        age_ns = monotonic_ns - sample.measured_ns(monotonic_ns)
        reading = Reading(
            seq=self._seq,
            time_ns=wall_ns - age_ns,
            boot_ns=boot_ns - age_ns,
            clock=clock.state(),
            quality=quality,
            values=values,
        )
        self._seq += 1
        return kind, reading


def _together(clock: Clock) -> tuple[int, int, int]:
    """The monotonic, boot and wall clock of one moment: asked again where the machine did something else in between."""
    for _ in range(TRIES - 1):
        moment = _asked(clock)
        if clock.monotonic_ns() - moment[0] < MOMENT_ns:
            return moment
    return _asked(clock)


def _asked(clock: Clock) -> tuple[int, int, int]:
    return clock.monotonic_ns(), clock.boot_ns(), clock.wall_ns()


def _storable(values: tuple[Value, ...], quality: Quality) -> tuple[tuple[Value, ...], Quality]:
    """What JSON, SQL or a message has no place for becomes null, and its reading bad: the bridge would refuse the whole batch for it."""
    if all(map(_fits, values)):
        return values, quality
    return tuple([value if _fits(value) else None for value in values]), Quality.BAD


def _fits(value: Value) -> bool:
    if type(value) is str:
        return len(value) <= TEXT_chars and (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value))
    return type(value) in (float, int, NoneType) and codec.storable(value)
