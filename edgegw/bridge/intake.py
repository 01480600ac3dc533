"""What one turn of the bridge takes in: who speaks, what is new, what must be answered once it is on disk. Pure: bytes in, bytes out.

A run is heard only on its newest connection, and its batches only in ascending number. A worker sends them in order from the
first that is not safe, so ascending numbers mean that none is missing, and a number seen before that it is a repetition.

A run is what its first Hello said: one that says otherwise under the same id would change whose the readings are that still wait in
the spool, and what they mean, so it is refused.

A run that the spool has no room for is blocked: what it handed over stays here, not acknowledged, and is offered again with every
turn, one batch at a time. It takes nothing from the others' turn. Its worker may have so many batches in flight, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from edgegw import codec
from edgegw.codec import Ack, Again, Held, Hello, Letters, Purge, Push, Welcome
from edgegw.errors import CodecError
from edgegw.reading import Attachment, Batch, Run
from edgegw.spool import Handed

_AGAIN = codec.encode(Again())
URGENT_batches = 32  # of one run: half of what its worker may have in flight, which then waits for an answer
RUN_bytes = 1 << 15  # what one may say of itself; decoded it takes some ten times as much
ID_chars = 36  # of a UUID, and of the column that takes it
MOST_runs = 256  # known at a time; of more, the one that was silent longest is told to say Hello again
HELD_batches = 256  # of one sensor, while there is no room: of its worker, and of some of that one's dead predecessors


class Intake:
    """Messages since the last commit. hear() each, commit what handed() gives, then taken() tells whom to answer what."""

    def __init__(self, acked: Callable[[str], int], known: Callable[[str], Run | None] = lambda _: None) -> None:
        """Ask the spool: `acked` for the last batch number of a run, `known` for what it said of itself, None where it is new."""
        self._acked = acked
        self._known = known
        self._announced: dict[str, Run] = {}  # by id
        self._runs: dict[bytes, Run] = {}  # peer → the run it announced
        self._peers: dict[str, bytes] = {}  # run → its newest peer
        self._numbers: dict[str, int] = {}  # run → last number taken in, the run that was silent longest first
        self._safe: dict[str, int] = {}  # run → last number on disk
        self._pending: dict[str, list[Push]] = {}  # run → taken in and not on disk
        self._whose: dict[str, Run] = {}  # of these
        self._offered: dict[str, int] = {}  # run → how many of these handed() gave
        self._blocked: set[str] = set()  # runs that there was no room for
        self._greeted: dict[str, None] = {}  # runs to welcome, in order
        self._owed: set[str] = set()  # runs to answer
        self.readings = 0  # taken in since the last commit, but for those of blocked runs
        self.attached_bytes = 0  # and what rides with them
        self.clerks: list[tuple[bytes, Letters]] = []  # peers who want something done with dead letters
        self.purgers: list[bytes] = []  # peers who ask to have all attachments erased
        self.refused = 0  # messages that were none, or that no honest worker sends, ever
        self.why = ""  # the last of them was refused
        self.let_go = 0  # readings of dead workers that there was no room for, ever; their books count them as lost

    def hear(self, peer: bytes, data: bytes) -> bytes | None:
        """Take a message in; returns an answer that need not wait for the commit. Raises what `acked` raises; then nothing was taken in."""
        try:
            message = codec.decode(data)
        except CodecError as error:
            self._refuse(str(error))
            return None
        match message:
            case Hello(run=run) if len(data) > RUN_bytes or not 0 < len(run.id) <= ID_chars:
                self._refuse(f"a run whose id has {len(run.id)} characters, and that says {len(data)} bytes of itself")
            case Hello(run=run):
                self._greet(peer, run)
            case Push() if peer in self._runs and message.batch.run == self._runs[peer].id:
                self._take(message)
            case Push():
                return _AGAIN
            case Purge():
                self.purgers.append(peer)
            case Letters():
                self.clerks.append((peer, message))
            case _:
                self._refuse(f"{type(message).__name__} is what a bridge says, not what it is told")
        return None

    def handed(self) -> list[Handed]:
        """What is to be committed, in order, the batches of one run and kind joined into one."""
        self._offered = {run: 1 if run in self._blocked else len(pushes) for run, pushes in self._pending.items()}
        joined: dict[tuple[str, str], list[Push]] = {}
        for run, count in self._offered.items():
            for push in self._pending[run][:count]:
                joined.setdefault((run, push.batch.kind), []).append(push)
        return [Handed(self._whose[run], pushes[-1].number, _join(pushes), _attached(pushes)) for (run, _), pushes in joined.items()]

    def taken(self, blocked: Collection[str] = ()) -> list[tuple[bytes, bytes]]:
        """What handed() gave is on disk, but for these runs: (peer, answer) for everyone who waits for it. Begins the next turn."""
        for run, count in self._offered.items():
            if run in blocked:
                self._blocked.add(run)
            else:
                self._settle(run, count)
        waiting = [run for run in dict.fromkeys([*self._greeted, *sorted(self._owed)]) if run in self._peers]
        answers = [(self._peers[run], self._answer(run)) for run in waiting]
        self._offered, self._greeted, self._owed = {}, {}, set()
        left = [push for run, pushes in self._pending.items() if run not in self._blocked for push in pushes]
        self.readings = sum(len(push.batch.readings) for push in left)
        self.attached_bytes = sum(map(_attached_bytes, left))
        return answers

    def patience(self) -> list[tuple[bytes, bytes]]:
        """(peer, message) for everyone whose batches have arrived and are not on disk yet."""
        held = [run for run in self._pending if run in self._peers]
        return [(self._peers[run], codec.encode(Held(run, self._numbers[run]))) for run in held]

    def forget(self, run: str) -> None:
        """The worker of `run` is gone for good; what it handed over is kept until the next commit all the same."""
        peer = self._peers.pop(run, None)
        self._numbers.pop(run, None)
        self._safe.pop(run, None)
        self._announced.pop(run, None)
        self._greeted.pop(run, None)
        if peer is not None:
            self._runs.pop(peer, None)

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for the next commit, and not just for room."""
        return bool(self._greeted or self._owed or self._pending.keys() - self._blocked)

    @property
    def urgent(self) -> bool:
        """Whether somebody would stand still if the next commit were put off."""
        return bool(self._greeted) or any(len(self._pending[run]) >= URGENT_batches for run in self._pending.keys() - self._blocked)

    @property
    def held(self) -> frozenset[str]:
        """Runs of which something is not on disk yet."""
        return frozenset(self._pending)

    def held_readings(self) -> dict[str, int]:
        """Sensor → readings that wait here until there is room."""
        held: dict[str, int] = {}
        for run in self._pending.keys() & self._blocked:
            sensor = self._whose[run].sensor
            held[sensor] = held.get(sensor, 0) + sum(len(push.batch.readings) for push in self._pending[run])
        return held

    def _settle(self, run: str, count: int) -> None:
        self._blocked.discard(run)
        done, left = self._pending[run][:count], self._pending[run][count:]
        self._pending[run] = left
        if not left:
            del self._pending[run], self._whose[run]
        if run in self._numbers:
            self._safe[run] = done[-1].number
            self._owed.add(run)

    def _answer(self, run: str) -> bytes:
        committed = self._safe[run]
        return codec.encode(Welcome(run, committed) if run in self._greeted else Ack(run, committed))

    def _refuse(self, why: str) -> None:
        self.refused += 1
        self.why = why

    def _greet(self, peer: bytes, run: Run) -> None:
        before = self._announced.get(run.id) or self._known(run.id)
        if before is not None and before != run:
            self._refuse(f"run {run.id} is one of sensor {before.sensor}, and now says something else of itself")
            return
        if run.id not in self._numbers:
            self._safe[run.id] = self._acked(run.id)
            self._make_room()
            self._announced[run.id] = run
            self._numbers[run.id] = max([self._safe[run.id], *(push.number for push in self._pending.get(run.id, ()))])
        old = self._peers.get(run.id)
        if old is not None:
            self._runs.pop(old, None)
        self._runs[peer] = run
        self._peers[run.id] = peer
        self._greeted[run.id] = None

    def _take(self, push: Push) -> None:
        run = self._runs[self._peers[push.batch.run]]
        self._owed.add(run.id)
        if push.number <= self._numbers[run.id]:
            return
        if not _fits(push.batch, run):  # it would stop every sink, one after the other
            self._refuse(f"a batch of {push.batch.kind} does not fit what run {run.id} said of itself")
            return
        if self._blocked and not self._make_way(run):
            self._runs.pop(self._peers.pop(run.id))  # it begins anew with what is not safe; nothing may be skipped
            return
        del self._numbers[run.id]  # to the end of the queue
        self._numbers[run.id] = push.number
        self._pending.setdefault(run.id, []).append(push)
        self._whose[run.id] = run
        if run.id not in self._blocked:
            self.readings += len(push.batch.readings)
            self.attached_bytes += _attached_bytes(push)

    def _make_room(self) -> None:
        """A run is forgotten when its book is closed; of somebody who says Hello and no more, there is no book."""
        if len(self._numbers) >= MOST_runs:
            for run in [run for run in self._numbers if run not in self._pending][: len(self._numbers) - MOST_runs + 1]:
                self.forget(run)

    def _make_way(self, run: Run) -> bool:
        """What is held for one sensor is bounded: batches of its dead runs go, the oldest first. A UUIDv7 sorts by time."""
        runs = sorted(id_ for id_, of in self._whose.items() if of.sensor == run.sensor)
        while sum(len(self._pending[id_]) for id_ in runs) >= HELD_batches:
            if runs[0] == run.id or runs[0] not in self._blocked:
                return False
            eldest = runs.pop(0)
            self.let_go += sum(len(push.batch.readings) for push in self._pending.pop(eldest))
            self._whose.pop(eldest)
            self._offered.pop(eldest, None)
            self._blocked.discard(eldest)
        return True


def _fits(batch: Batch, run: Run) -> bool:
    width = len(run.fields.get(batch.kind, ()))
    return width > 0 and all(len(reading.values) == width for reading in batch.readings)


def _attached(pushes: list[Push]) -> dict[int, Attachment]:
    return {seq: attachment for push in pushes for seq, attachment in push.attached.items()}


def _attached_bytes(push: Push) -> int:
    return sum(len(one.data) for one in push.attached.values())


def _join(pushes: list[Push]) -> Batch:
    last = pushes[-1].batch
    if len(pushes) == 1:
        return last
    return Batch(last.run, last.kind, last.counts, tuple(reading for push in pushes for reading in push.batch.readings))
