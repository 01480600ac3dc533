"""Closes the books of runs that are over: by the tally that a dead worker left, or where a power cut left none, by what was last known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgegw import tally
from edgegw.clock import NS_PER_S
from edgegw.errors import CodecError, SpoolError
from edgegw.failpoint import hit
from edgegw.log import Logger
from edgegw.reading import Counts, Run
from edgegw.spool import Closed, Moment, Reader

LOOK_ns = 30 * NS_PER_S  # for runs without a tally; none comes to be while the bridge lives, unless somebody clears the runtime directory
SILENT_ns = 60 * NS_PER_S  # a worker that lives says Hello to a new bridge within a few seconds, or the supervisor ends it


class Closing:
    """Never closes the book of a worker that lives: that one holds the lock of its tally, or has said Hello to this bridge."""

    def __init__(self, tallies: Path, now: Callable[[], Moment], log: Logger) -> None:
        self._tallies = tallies
        self._now = now
        self._log = log
        self._gone: set[str] = set()
        self._heard: set[str] = set()  # runs that said Hello to this bridge
        self._missing: dict[str, int] = {}  # run without a tally → when that was first seen, in ns of CLOCK_BOOTTIME
        self._looked_ns: int | None = None

    def hear(self, run: str) -> None:
        """A worker of that run speaks to us."""
        self._heard.add(run)

    def close(self, reader: Reader, commit: Callable[[Closed], bool], *, wait: bool) -> list[str]:
        """Close what is over, as far as `commit` can; returns the runs.

        With `wait`, only of workers seen gone in the call before: their last messages may still be on their way to us.
        """
        closed = self._by_tally(commit, wait=wait)
        now = self._now()
        if self._looked_ns is None or now.boot_ns - self._looked_ns >= LOOK_ns:
            self._looked_ns = now.boot_ns
            closed += self._cut(reader, commit, now)
        self._heard.difference_update(closed)
        return closed

    def _by_tally(self, commit: Callable[[Closed], bool], *, wait: bool) -> list[str]:
        closed: list[str] = []
        seen: set[str] = set()
        for ended in tally.ended(self._tallies):
            run = ended.run.id
            seen.add(run)
            if wait and run not in self._gone:
                continue
            try:
                if self._took_over(ended, commit):
                    closed.append(run)
            except OSError as error:  # the tally stays, and the next look finds it
                self._log.error("book_not_closed", run=run, sensor=ended.run.sensor, why=str(error))
        self._gone = seen.difference(closed)
        return closed

    def _took_over(self, ended: tally.Ended, commit: Callable[[Closed], bool]) -> bool:
        hit("book.before_close")
        # Where the runtime directory outlives a power cut, a tally in it is what the kernel had happened to write.
        cut = ended.held < 0 and ended.run.boot_id != self._now().boot_id
        if not commit(Closed(ended.run, ended.counts, ended.held, cut)):
            return False
        hit("book.after_close")
        ended.forget()
        return True

    def _cut(self, reader: Reader, commit: Callable[[Closed], bool], now: Moment) -> list[str]:
        try:
            unclosed = reader.unclosed()
            tallied = tally.names(self._tallies)
            self._heard &= tallied.union(unclosed)  # somebody who says Hello and no more has no book
            lost = set(unclosed) - tallied - self._heard
            self._missing = {run: self._missing.get(run, now.boot_ns) for run in unclosed if run in lost}
            runs = {run: _run(reader, run) for run in self._missing}
        except SpoolError:  # the keeper meets it, too, and says so
            return []
        over = [run for id_, run in runs.items() if is_cut(run.boot_id, now.boot_id, now.boot_ns - self._missing[id_])]
        closed = [run for run in over if commit(Closed(run, Counts(), cut=True))]
        for run in closed:
            self._log.warning("run_was_cut", run=run.id, sensor=run.sensor, uncounted_at_most=run.window)
        return [run.id for run in closed]


def is_cut(its_boot_id: str, boot_id: str, silent_ns: int) -> bool:
    """Whether a run is over that has no tally and was not heard for so long; a worker of another boot cannot live."""
    return its_boot_id != boot_id or silent_ns >= SILENT_ns


def _run(reader: Reader, id_: str) -> Run:
    try:
        return reader.run(id_)
    except CodecError:  # damaged: its book can be closed all the same
        return Run("", "", "", id_, "", 0, {})
