"""Keeps the spool for the bridge: what was handed over, how far the sinks are, which runs have ended. One transaction for all."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from edgegw import tally
from edgegw.bridge.forwarder import Forwarder
from edgegw.errors import SpoolError
from edgegw.log import Logger
from edgegw.reading import Letter
from edgegw.spool import Closed, Commit, Handed, Moment, Reader, Spool

Item = TypeVar("Item")


class Keeper:
    """Owner of the spool's writer. After a failure it opens the file anew: an fsync that failed once may lie the second time."""

    def __init__(self, opened: Callable[[], Spool], tallies: Path, log: Logger, now: Callable[[], Moment], ttl_ns: int) -> None:
        self._opened = opened
        self._now = now
        self._ttl_ns = ttl_ns  # of what is attached to readings
        self._tallies = tallies
        self._log = log
        self._sound = True  # the spool's file is open, and the last commit did not fail
        self._forwarders: Sequence[Forwarder] = ()
        self._letters: list[Letter] = []
        self._damaged: list[int] = []
        self._ended: set[str] = set()
        self.stored = 0  # readings committed since the start
        self.why = ""  # why nothing can be committed now
        self._spool = self._open()
        self._reader = Reader(self._spool.path)
        self._cursors = self._spool.cursors()

    def serve(self, forwarders: Sequence[Forwarder]) -> None:
        """These are the sinks whose progress is to be kept."""
        self._forwarders = forwarders

    def cursor(self, sink: str) -> int:
        """Where `sink` goes on."""
        return self._cursors[sink]

    def acked(self, run: str) -> int:
        """Number of the last batch of `run` on disk; -1 where there is none. Raises SpoolError while the spool cannot be read."""
        try:
            self._mend()
            return self._spool.acked(run)
        except SpoolError as error:
            self._trouble(error)
            raise

    def commit(self, handed: Sequence[Handed], *, closed: Sequence[Closed] = ()) -> bool:
        """Make it durable, with all that the sinks have done since; False when the spool cannot (then nothing was written)."""
        work = self._work(handed, closed)
        if not (self.why or handed or closed or work.letters or work.damaged or work.cursors != self._cursors):
            return True
        try:
            self._mend()
            self._spool.commit(work)
        except SpoolError as error:
            self._trouble(error)
            self._drain(work)
            return False
        if self.why:
            self._log.info("spool_back")
        self.why = ""
        self._written(work)
        return True

    def close_books(self, *, wait: bool) -> list[str]:
        """Take over the final counts of runs whose worker is gone; returns their ids.

        With `wait`, only of those seen gone in the call before: their last messages may still be on their way to us.
        """
        closed: list[str] = []
        seen: set[str] = set()
        for ended in tally.ended(self._tallies):
            seen.add(ended.run.id)
            if wait and ended.run.id not in self._ended:
                continue
            if self.commit([], closed=[Closed(ended.run, ended.counts)]):
                ended.forget()
                closed.append(ended.run.id)
        self._ended = seen.difference(closed)
        return closed

    def expire(self) -> None:
        """Erase attachments that nobody has taken in their time."""
        with self._may_fail():
            if count := self._spool.expire(self._now().before(self._ttl_ns)):
                self._log.warning("attachments_expired", count=count)

    def purge(self) -> int | None:
        """Erase all attachments; how many there were, None where the spool cannot."""
        count = None
        with self._may_fail():
            count = self._spool.purge()
            self._log.warning("attachments_purged", count=count)
        return count

    def lag(self, forwarder: Forwarder) -> int:
        """Readings that a sink has not got yet, or attachments. Raises SpoolError, as newest() and bytes() do."""
        return self._reader.unsent(forwarder.position) if forwarder.outbox else self._reader.waiting(forwarder.position)

    def newest(self) -> int:
        """The newest position in the spool."""
        return self._reader.newest()

    def bytes(self) -> int:
        """What the spool holds on disk."""
        return self._spool.bytes()

    def close(self) -> None:
        """Close the files."""
        self._reader.close()
        self._spool.close()

    def _work(self, handed: Sequence[Handed], closed: Sequence[Closed]) -> Commit:
        # Positions are read before letters: a forwarder moves on only after it has put down the letters it passes.
        cursors = {forwarder.sink.name: forwarder.position for forwarder in self._forwarders}
        for forwarder in self._forwarders:
            self._letters += _taken(forwarder.letters)
            self._damaged += _taken(forwarder.damaged)
        return Commit(handed, cursors, tuple(self._letters), closed, tuple(self._damaged), trim=True, now=self._now())

    def _written(self, work: Commit) -> None:
        self._cursors |= work.cursors
        self._letters.clear()
        self._damaged.clear()
        self.stored += sum(len(each.batch.readings) for each in work.handed)

    @contextlib.contextmanager
    def _may_fail(self) -> Iterator[None]:
        try:
            self._mend()
            yield
        except SpoolError as error:
            self._trouble(error)

    def _trouble(self, error: SpoolError) -> None:
        if self.why != str(error):
            self._log.error("spool_cannot_write", why=str(error))
        self.why = str(error)
        self._sound = False

    def _drain(self, work: Commit) -> None:
        """A full spool can still be drained: moving the cursors frees what the sinks have."""
        drained = Commit(cursors=work.cursors, letters=work.letters, damaged=work.damaged, trim=True)
        with contextlib.suppress(SpoolError):  # the next commit meets it again, and says so
            self._mend()
            self._sound = False
            self._spool.commit(drained)
            self._sound = True
            self._written(drained)

    def _mend(self) -> None:
        if self._sound:
            return
        self._spool.close()
        self._spool = self._open()
        self._reader.close()
        self._reader = Reader(self._spool.path)
        for forwarder in self._forwarders:  # where the file is a new one, they would read the old one for ever
            forwarder.renew()
        self._sound = True

    def _open(self) -> Spool:
        spool = self._opened()
        if spool.set_aside:
            why = "the file was not a database any more; a new one was begun"
            self._log.error("spool_set_aside", why=why, file=str(spool.set_aside))
        return spool


def _taken(items: deque[Item]) -> list[Item]:
    return [items.popleft() for _ in range(len(items))]
