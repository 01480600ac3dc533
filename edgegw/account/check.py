"""What does not add up, each in a sentence: which run, by how many, what that means and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edgegw.account.line import AtSink, Ending, Line

_BUG = "that is an error of edgegw: please report it, with the spool's file"
_EDITED = f"either somebody has written to the spool's file, or {_BUG}"


class Imbalance(msgspec.Struct, frozen=True):
    """One identity that does not hold."""

    sensor: str
    run: str
    sink: str  # "" where no sink is concerned
    by: int  # readings; below zero: so many too many
    what: str  # a sentence


def imbalances(line: Line) -> Iterator[Imbalance]:
    """All that is wrong with one run."""
    for by, sink, what in (*_before_the_spool(line), *_behind_the_spool(line)):
        yield Imbalance(line.sensor, line.run, sink, by, f"{named(line)}: {what}")


def named(line: Line) -> str:
    """Whose run it is, for a sentence."""
    return f"{line.sensor or 'a sensor whose name is damaged'}, run {line.run}"


Found = Iterator[tuple[int, str, str]]  # by how many, at which sink, what


def _before_the_spool(line: Line) -> Found:
    lowest = min(line.filtered, line.dropped, line.refused, line.kept)
    if lowest < 0:
        yield lowest, "", f"a count is {lowest}, and none can be below zero; {_EDITED}"
    if line.missing < 0:
        accounted = line.produced - line.missing
        yield line.missing, "", f"its worker produced {line.produced} readings, and the books account for {accounted}; {_EDITED}"
    elif line.bound is not None and line.least > line.bound:
        yield line.least - line.bound, "", _too_many(line, line.bound)


def _too_many(line: Line, bound: int) -> str:
    if line.ending is Ending.RUNNING:
        return f"{line.least} readings are neither in the spool nor given up, and its worker holds {bound} at most; {_BUG}"
    where = "unless the spool was replaced while it ran (is there a file *.damaged-* beside it?), "
    if line.ending is Ending.ORDERLY:
        return f"{line.least} readings are in no book, and its worker left with {bound} that were not acknowledged; {where}{_BUG}"
    return f"{line.least} readings are lost, and no more than {bound} could be unacknowledged when it ended; {where}{_BUG}"


def _behind_the_spool(line: Line) -> Found:
    for at in line.sinks:
        if at.outbox:
            continue
        lowest = min(at.outcome.delivered, at.outcome.dead, at.outcome.damaged, at.outcome.evicted, at.outcome.missed, at.outcome.discarded)
        if lowest < 0:
            yield lowest, at.sink, f"a count of {at.sink} is {lowest}, and none can be below zero; {_EDITED}"
        if at.outcome.total != line.kept:
            by = line.kept - at.outcome.total
            what = f"the spool took in {line.kept} readings, and the books of {at.sink} account for {at.outcome.total}"
            yield by, at.sink, f"{what} ({abs(by)} too {'few' if by > 0 else 'many'}); {_EDITED}"
        yield from _in_the_store(line, at)


def _in_the_store(line: Line, at: AtSink) -> Found:
    if at.stored is None:
        return
    count, last = at.stored.count, line.produced - line.filtered - 1
    if count < at.least:
        gone = f"so {at.least - count} {'is' if at.least - count == 1 else 'are'} gone"
        why = "either rows were deleted, or another database has taken its place, or it did not keep what it had confirmed"
        yield at.least - count, at.sink, f"{at.sink} holds {count} of the {at.least} readings that were delivered to it, {gone}: {why}"
    elif count > at.most:
        yield at.most - count, at.sink, f"{at.sink} holds {count} readings, {count - at.most} more than it can have been given; {_BUG}"
    if count and not (at.stored.first_seq >= 0 and at.stored.last_seq <= last and at.stored.last_seq - at.stored.first_seq >= count - 1):
        span = f"{count} readings with numbers from {at.stored.first_seq} to {at.stored.last_seq}"
        yield count, at.sink, f"{at.sink} holds {span}, and the run has given the numbers 0 to {last}, each once; {_BUG}"
    elif count <= at.most and line.ending is not Ending.CUT:
        yield from _passed_over(line, at.sink, at.stored.last_seq)


def _passed_over(line: Line, sink: str, last_seq: int) -> Found:
    """Whoever dies takes the newest readings along: what nobody gave up, and a later one has passed, was acknowledged before."""
    accounted = line.dropped + line.refused + line.kept
    if last_seq >= accounted:
        gone = last_seq + 1 - accounted
        known = f"of it and the {last_seq} before it the books account for {accounted}"
        yield gone, sink, f"{sink} holds number {last_seq}, and {known}: {gone} were acknowledged and are lost; {_BUG}"
