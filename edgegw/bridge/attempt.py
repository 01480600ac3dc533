"""A commit that ended in an error and may be on the disk all the same: what of it is there must not be written, and counted, twice.

One transaction writes all of a commit, so a single sign of it tells of the whole: a batch that is known, a sink that is as far as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from edgegw.spool import Commit, Handed, Reach

Kind = tuple[str, str]  # run, kind
_KEPT_runs = 256


class Attempt:
    """Of the one who commits: begin() before, done() after it went well, settle() where the spool can be asked again."""

    def __init__(self) -> None:
        self._tried: Commit | None = None
        self._there: dict[Kind, int] = {}  # → the last seq that was found to be on the disk; seqs of a run ascend

    def begin(self, work: Commit) -> Commit:
        """`work` is going to be written; what became of the one before is known."""
        self._tried = work
        return work

    def done(self) -> None:
        """It was written; or its file is another one now."""
        self._tried = None

    def settle(self, acked: Callable[[str], int], reach: Callable[[str], Reach]) -> bool:
        """Whether what was tried last, and ended in an error, is on the disk. Raises what the questions raise; then nothing is settled."""
        if self._tried is None:
            return False
        there = [each for each in self._tried.handed if acked(each.run.id) >= each.number]
        found = bool(there) or any(_as_far(self._tried, sink, reach(sink)) for sink in self._tried.cursors)
        self._there |= {(each.run.id, each.batch.kind): each.batch.readings[-1].seq for each in there}
        for oldest in list(self._there)[:-_KEPT_runs]:
            del self._there[oldest]
        self._tried = None
        return found

    def rest(self, handed: Iterable[Handed]) -> Sequence[Handed]:
        """Without what is on the disk; a batch that is offered again may have been joined with newer ones."""
        return [each for each in map(self._rest, handed) if each.batch.readings]

    def _rest(self, handed: Handed) -> Handed:
        last = self._there.get((handed.run.id, handed.batch.kind), -1)
        if handed.batch.readings[0].seq > last:
            return handed
        readings = tuple(reading for reading in handed.batch.readings if reading.seq > last)
        attached = {seq: one for seq, one in handed.attached.items() if seq > last}
        return msgspec.structs.replace(handed, batch=msgspec.structs.replace(handed.batch, readings=readings), attached=attached)


def _as_far(tried: Commit, sink: str, reach: Reach) -> bool:
    """Whether it stands where that commit moved it. Dead letters that were given again move nothing, and may be settled twice."""
    return sink not in tried.retried and reach == Reach(tried.cursors[sink], tuple(tried.spans.get(sink, ())))
