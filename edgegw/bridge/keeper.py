"""Keeps the spool for the bridge: what was handed over, how far the sinks are, which runs have ended. One transaction for all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgegw.bridge.attempt import Attempt
from edgegw.bridge.closing import Closing
from edgegw.bridge.crowd import Crowd
from edgegw.bridge.forwarder import Forwarder
from edgegw.bridge.gather import Gathering
from edgegw.bridge.timekeeper import Timekeeper
from edgegw.codec import Letters
from edgegw.errors import CodecError, SpoolError
from edgegw.log import Logger
from edgegw.reading import Run
from edgegw.spool import Choice, Closed, Handed, Moment, Reach, Reader, Room, Salvaged, Spool, file

Done = TypeVar("Done")
SALVAGING = (
    "the spool's file was damaged and is set aside: what can be read of it is being taken over and goes out after that; what comes in"
    " meanwhile is kept as ever"
)
RUINS = 2  # in a row


class Keeper:
    """Owner of the spool's writer. After a failure it opens the file anew: an fsync that failed once may lie the second time."""

    def __init__(self, opened: Callable[[], Spool], tallies: Path, log: Logger, now: Callable[[], Moment], ttl_ns: int) -> None:
        self._opened = opened
        self._now = now
        self._ttl_ns = ttl_ns  # of what is attached to readings
        self._closing = Closing(tallies, now, log)
        self._log = log
        self.crowd = Crowd(log, lambda: now().boot_ns)
        self.blocked: frozenset[str] = frozenset()  # runs of which the last commit took nothing in, for want of room
        self._written_bytes = 0  # by spools that were closed
        self._sound = True  # the spool's file is open, and the last commit did not fail
        self._forwarders: Sequence[Forwarder] = ()
        self._gathering = Gathering([])
        self._attempt = Attempt()
        self.stored = 0  # readings committed since the start
        self.why = ""  # why nothing can be committed now
        self._ruins = 0  # times in a row that the file's structure was found broken
        self._anew = False  # it was replaced, and the timekeeper does not know yet
        self._spool = self._open()
        self._tell(self._spool.salvage())
        self._inode = self._spool.inode  # of the file that was gathered for
        self._reader = Reader(self._spool.path)

    def serve(self, forwarders: Sequence[Forwarder]) -> None:
        """These are the sinks whose progress is to be kept."""
        self._forwarders = forwarders
        self._gathering = Gathering([forwarder.report for forwarder in forwarders])

    def reach(self, sink: str) -> Reach:
        """Where `sink` goes on. Raises SpoolError."""
        return self._reader.reach(sink)

    def acked(self, run: str) -> int:
        """Number of the last batch of `run` on disk; -1 where there is none. Raises SpoolError while the spool cannot be read."""

        def asked() -> int:
            self._closing.hear(run)
            return self._spool.acked(run)

        return self._must(asked)

    def known(self, run: str) -> Run | None:
        """What `run` said of itself; None where the spool has nothing of it, or it is damaged. Raises SpoolError as acked() does."""
        try:
            return self._must(lambda: self._reader.run(run))
        except CodecError:
            return None

    def commit(self, handed: Sequence[Handed], *, closed: Sequence[Closed] = ()) -> bool:
        """Make it durable, with all that the sinks have done since; False when the spool cannot (then nothing was written)."""
        with self._gathering.still():
            return self._commit(handed, closed)

    def _commit(self, handed: Sequence[Handed], closed: Sequence[Closed]) -> bool:
        try:
            self._mend()
            work = self._gathering.work(self._attempt.rest(handed), closed, self._now())  # only now: of a new file the old steps are void
            if not (self.why or work.handed or work.closed or work.cursors):
                return True
            turn = self._spool.fit(self._attempt.begin(work))
        except SpoolError as error:
            self._trouble(error)
            self._drain()
            return False
        if self.why:
            self._log.info("spool_back")
        self.why = ""
        self.blocked = frozenset(turn.blocked)
        self.crowd.note(work.handed, turn)
        self.stored += turn.kept
        self._written()
        self._ruins = 0
        return True

    def _written(self) -> None:
        self._attempt.done()
        self._gathering.written()

    def close_books(self, *, wait: bool, but: Collection[str] = ()) -> list[str]:
        """Take over the final counts of runs that are over, `but` of these; returns their ids. `wait` as Closing.close has it."""
        return self._closing.close(
            self._reader, lambda closed: closed.run.id not in but and self.commit([], closed=[closed]), wait=wait
        )

    def keep_time(self, timekeeper: Timekeeper) -> None:
        """Let it note in the spool what it finds."""
        if self._anew:
            timekeeper.begin_anew()
            self._anew = False
        self._try(lambda: timekeeper.look(self._spool))

    def expire(self) -> None:
        """Erase attachments that nobody has taken in their time."""
        if count := self._try(lambda: self._spool.expire(self._now().before(self._ttl_ns))):
            self._log.warning("attachments_expired", count=count)

    def purge(self) -> int | None:
        """Erase all attachments; how many there were, None where the spool cannot."""
        count = self._try(lambda: self._spool.purge())
        if count is not None:
            self._log.warning("attachments_purged", count=count)
        return count

    def letters(self, wish: Letters) -> int | None:
        """Let dead letters be given again, or give them up; how many there were, None where the spool cannot."""
        choice = Choice(wish.sink, wish.sensor, wish.run, wish.code)
        count = self._try(lambda: self._spool.letters(choice, drop=wish.drop))
        if count:
            self._log.warning("letters_dropped" if wish.drop else "letters_retried", count=count, of=msgspec.structs.asdict(choice))
        return count

    @property
    def salvaging(self) -> bool:
        """Whether a spool that was set aside is still being read."""
        return self._spool.salvor.at_work and self._sound

    @property
    def trouble(self) -> str:
        """What is wrong with the spool, for people; "" where nothing is."""
        return self.why or (SALVAGING if self.salvaging else "")

    def salvage(self) -> None:
        """Take over the next piece of it."""
        if self._spool.salvor.at_work:
            self._tell(self._try(lambda: self._spool.salvage()) or ())

    def _tell(self, salvaged: Sequence[Salvaged]) -> None:
        for one in salvaged:
            aside = str(file.aside_name(self._spool.path, one.number))
            self._log.warning("spool_salvaged", file=aside, records=one.records, readings=one.readings, missing=one.missing)
            for forwarder in self._forwarders:
                forwarder.wake()

    def lag(self, forwarder: Forwarder) -> int:
        """Readings that a sink has not got yet, or attachments. Raises SpoolError, as newest() and bytes() do."""
        return self._reader.unsent(forwarder.position) if forwarder.outbox else self._reader.undone(forwarder.sink.name)

    def newest(self) -> int:
        """The newest position in the spool."""
        return self._reader.newest()

    def bytes(self) -> int:
        """What the spool holds on disk."""
        return self._spool.bytes()

    def room(self) -> Room:
        """How full the spool is."""
        return self._spool.filling()

    @property
    def written_bytes(self) -> int:
        """What keeping the spool has written to its disk since the start; 0 where the kernel does not count that."""
        return self._written_bytes + self._spool.written_bytes

    def close(self) -> None:
        """Close the files."""
        self._reader.close()
        self._spool.close()

    def _must(self, action: Callable[[], Done]) -> Done:
        """Raises SpoolError, after it was noted. (No context manager: the spool may fail before the block would begin.)"""
        try:
            self._mend()
            return action()
        except SpoolError as error:
            self._trouble(error)
            raise

    def _try(self, action: Callable[[], Done]) -> Done | None:
        """None where the spool cannot."""
        with contextlib.suppress(SpoolError):
            return self._must(action)
        return None

    def _trouble(self, error: SpoolError) -> None:
        if self.why != str(error):
            self._log.error("spool_cannot_write", why=str(error))
        self.why = str(error)
        self._sound = False
        self._ruins += file.met_ruin(error)

    def _drain(self) -> None:
        """A full spool can still be drained: moving the cursors frees what the sinks have."""
        with contextlib.suppress(SpoolError):  # the next commit meets it again, and says so
            self._mend()
            self._sound = False
            self._spool.commit(self._attempt.begin(self._gathering.work((), (), self._now())))
            self._sound = True
            self._written()

    def _mend(self) -> None:
        ruined = self._in_ruins()
        if self._sound and not ruined:
            return
        self._sound = False
        self._spool.close()
        if ruined:
            self._set_aside()
        spool = self._open()
        self._written_bytes += self._spool.written_bytes
        self._spool = spool
        self._tell(self._spool.salvage())
        self._spool.count_on(max((forwarder.report.reach.end for forwarder in self._forwarders), default=0))
        self._reader.close()
        self._reader = Reader(self._spool.path)
        if self._inode != self._spool.inode:  # that of the old file cannot be the new one's: the reader held it until now
            self._gathering.begun_anew(self._reader.reach)
            self._attempt = Attempt()
            self._inode = self._spool.inode
            self._anew = True
        if self._attempt.settle(self._spool.acked, self._reader.reach):
            self._gathering.written()
        for forwarder in self._forwarders:  # where the file is a new one, they would read the old one for ever
            forwarder.renew()
        self._sound = True

    def _open(self) -> Spool:
        spool = self._opened()
        if spool.set_aside:
            self._tell_aside(spool.set_aside)
        return spool

    def _in_ruins(self) -> bool:
        """Opening a file reads little of it; so who has met a broken page twice, with the file opened anew in between, is believed."""
        return max([self._ruins, *(forwarder.report.ruins for forwarder in self._forwarders)]) >= RUINS

    def _set_aside(self) -> None:
        with file.explained(self._spool.path, "set aside"), contextlib.suppress(FileNotFoundError):
            self._tell_aside(file.set_aside(self._spool.path))
        self._ruins = 0

    def _tell_aside(self, aside: Path) -> None:
        why = "its structure is broken: a new file is begun, and takes over what can be read of this one"
        self._log.error("spool_set_aside", why=why, file=str(aside))

