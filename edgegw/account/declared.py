"""What is missing somewhere and why, in whole sentences: losses that the books know. They do not unbalance them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from edgegw.account.line import AtSink, Ending, Line


class Loss(msgspec.Struct, frozen=True):
    """Readings of one run that are not where they should be, for one cause."""

    sensor: str
    run: str
    sink: str  # "" where all of them lack these readings
    cause: str  # a key of _SENTENCES
    count: int
    at_most: int | None = None  # could have been so many, where the cause has a bound

    def __str__(self) -> str:
        return _sentence(self)


def losses(line: Line) -> Iterator[Loss]:
    """All that one run declares."""
    if line.lost > 0:
        yield Loss(line.sensor, line.run, "", "left" if line.ending is Ending.ORDERLY else "lost", line.lost, line.bound)
    if line.ending in (Ending.CUT, Ending.OPEN):
        yield Loss(line.sensor, line.run, "", "cut" if line.closed else "open", 0, line.uncounted or None)
    for cause in ("dropped", "refused"):
        if (count := getattr(line, cause)) > 0:
            yield Loss(line.sensor, line.run, "", cause, count)
    for at in line.sinks:
        if not at.outbox:
            yield from _at_sink(line, at)


def summed(found: Iterable[Loss]) -> list[Loss]:
    """Those of one sensor, sink and cause together, where there is more than one; `run` then says how many runs."""
    groups: dict[tuple[str, str, str], list[Loss]] = defaultdict(list)
    for loss in found:
        groups[loss.sensor, loss.sink, loss.cause].append(loss)
    return [of[0] if len(of) == 1 else _together(of) for of in groups.values()]


def _together(of: list[Loss]) -> Loss:
    bounds = [loss.at_most for loss in of]
    known = [bound for bound in bounds if bound is not None]
    at_most = sum(known) if len(known) == len(bounds) else None
    return msgspec.structs.replace(of[0], run=f"{len(of)} runs", count=sum(loss.count for loss in of), at_most=at_most)


def _at_sink(line: Line, at: AtSink) -> Iterator[Loss]:
    for cause, name in (("evicted", "evicted"), ("damaged", "damaged"), ("rejected", "dead"), ("discarded", "discarded")):
        if (count := getattr(at.outcome, name)) > 0:
            yield Loss(line.sensor, line.run, at.sink, cause, count)


_SENTENCES = {
    "lost": "lost {count}{bound} unacknowledged readings when {its} killed",
    "left": "lost {count}{bound} readings that the spool had not acknowledged when {its} stopped",
    "cut": "ended by a power cut: {uncounted} taken after its last batch are not counted",
    "open": "ended without a word, by a power cut most likely, or began just now: {uncounted} taken after its last batch are not counted;"
    " the bridge closes the book, within a minute or two",
    "dropped": "{readings} given up by its full window",
    "refused": "{readings} turned away by the full spool, as its spool_full asks",
    "evicted": "{readings} given up by the full spool before {sink} had them, as its spool_full asks",
    "damaged": "{readings} for {sink} were damaged in the spool: their records failed a checksum, or could not be read any more",
    "rejected": "{readings} rejected by {sink}, kept among the dead letters with the reason",
    "discarded": "{readings} rejected by {sink}, and then given up by `edgegw dlq drop`",
}


def _sentence(loss: Loss) -> str:
    several = loss.run.endswith(" runs")
    whose = f"{loss.sensor or 'a sensor whose name is damaged'}, {loss.run if several else f'run {loss.run}'}"
    what = _SENTENCES[loss.cause].format(
        count=loss.count,
        bound="" if loss.at_most is None else f" of at most {loss.at_most}",
        uncounted="readings" if loss.at_most is None else f"up to {loss.at_most} readings",
        readings="1 reading" if loss.count == 1 else f"{loss.count} readings",
        sink=loss.sink,
        its="their processes were" if several else "its process was",
    )
    return f"{whose}: {what}"
