"""What one turn of the bridge takes in: who speaks, what is new, what must be answered once it is on disk. Pure: bytes in, bytes out.

A run is heard only on its newest connection, and its batches only in ascending number. A worker sends them in order from the
first that is not safe, so ascending numbers mean that none is missing, and a number seen before that it is a repetition.
"""

from __future__ import annotations

from collections.abc import Callable

from edgegw import codec
from edgegw.codec import Ack, Again, Hello, Purge, Push, Welcome
from edgegw.errors import CodecError
from edgegw.reading import Attachment, Batch, Run
from edgegw.spool import Handed

_AGAIN = codec.encode(Again())


class Intake:
    """Messages since the last commit. hear() each, commit what handed() gives, then taken() tells whom to answer what."""

    def __init__(self, acked: Callable[[str], int]) -> None:
        """`acked` asks the spool for the last batch number of a run."""
        self._acked = acked
        self._runs: dict[bytes, Run] = {}  # peer → the run it announced
        self._peers: dict[str, bytes] = {}  # run → its newest peer
        self._numbers: dict[str, int] = {}  # run → last number taken in
        self._pushes: list[tuple[Run, Push]] = []
        self._greeted: list[str] = []
        self._owed: set[str] = set()  # runs to acknowledge
        self.readings = 0  # taken in since the last commit
        self.attached_bytes = 0  # and what rides with them
        self.purgers: list[bytes] = []  # peers who ask to have all attachments erased
        self.refused = 0  # messages that were none, ever

    def hear(self, peer: bytes, data: bytes) -> bytes | None:
        """Take a message in; returns an answer that need not wait for the commit. Raises what `acked` raises; then nothing was taken in."""
        try:
            message = codec.decode(data)
        except CodecError:
            self.refused += 1
            return None
        match message:
            case Hello(run=run):
                self._greet(peer, run)
            case Push() if peer in self._runs and message.batch.run == self._runs[peer].id:
                self._take(message)
            case Push():
                return _AGAIN
            case Purge():
                self.purgers.append(peer)
            case _:
                self.refused += 1
        return None

    def handed(self) -> list[Handed]:
        """What is new, in order, the batches of one run and kind joined into one."""
        joined: dict[tuple[str, str], list[Push]] = {}
        runs: dict[str, Run] = {}
        for run, push in self._pushes:
            runs[run.id] = run
            joined.setdefault((run.id, push.batch.kind), []).append(push)
        return [Handed(runs[run], pushes[-1].number, _join(pushes), _attached(pushes)) for (run, _), pushes in joined.items()]

    def taken(self) -> list[tuple[bytes, bytes]]:
        """The commit is on disk: (peer, answer) for everyone who waits for it. Begins the next turn."""
        waiting = [run for run in dict.fromkeys([*self._greeted, *sorted(self._owed)]) if run in self._peers]
        answers = [(self._peers[run], self._answer(run)) for run in waiting]
        self._pushes, self._greeted, self._owed, self.readings, self.attached_bytes = [], [], set(), 0, 0
        return answers

    def forget(self, run: str) -> None:
        """The worker of `run` is gone for good; what it handed over is kept until the next commit all the same."""
        peer = self._peers.pop(run, None)
        self._numbers.pop(run, None)
        if peer is not None:
            self._runs.pop(peer, None)

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for the next commit."""
        return bool(self._pushes or self._greeted or self._owed)

    def _answer(self, run: str) -> bytes:
        committed = self._numbers[run]
        return codec.encode(Welcome(run, committed) if run in self._greeted else Ack(run, committed))

    def _greet(self, peer: bytes, run: Run) -> None:
        if run.id not in self._numbers:
            self._numbers[run.id] = self._acked(run.id)
        old = self._peers.get(run.id)
        if old is not None:
            self._runs.pop(old, None)
        self._runs[peer] = run
        self._peers[run.id] = peer
        if run.id not in self._greeted:
            self._greeted.append(run.id)

    def _take(self, push: Push) -> None:
        run = self._runs[self._peers[push.batch.run]]
        self._owed.add(run.id)
        if push.number <= self._numbers[run.id]:
            return
        if not _fits(push.batch, run):  # it would stop every sink, one after the other
            self.refused += 1
            return
        self._numbers[run.id] = push.number
        self._pushes.append((run, push))
        self.readings += len(push.batch.readings)
        self.attached_bytes += sum(len(one.data) for one in push.attached.values())


def _fits(batch: Batch, run: Run) -> bool:
    width = len(run.fields.get(batch.kind, ()))
    return width > 0 and all(len(reading.values) == width for reading in batch.readings)


def _attached(pushes: list[Push]) -> dict[int, Attachment]:
    return {seq: attachment for push in pushes for seq, attachment in push.attached.items()}


def _join(pushes: list[Push]) -> Batch:
    last = pushes[-1].batch
    if len(pushes) == 1:
        return last
    return Batch(last.run, last.kind, last.counts, tuple(reading for push in pushes for reading in push.batch.readings))
