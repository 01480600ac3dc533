"""What the tests of worker and bridge share: a process of fakes, a log that can be asked, and a bridge's end of the wire in memory."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import msgspec

from edgegw.bridge.intake import Intake
from edgegw.health import SensorHealth
from edgegw.log import Entry, Log
from edgegw.notify import Notifier
from edgegw.process import Process
from edgegw.reading import Run
from edgegw.signals import Lifeline, StopNote
from edgegw.testing import FakeClock
from tests.log_fakes import ListSink as LogList

RUN = Run("gw", "front", "scripted", "run-1", "boot", 1, {"lidar": {"distance_m": "float"}})


class Heard(Notifier):
    """Notes what would be told to the supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.beats: list[str] = []
        self.at_beat: Callable[[], object] = int

    def ready(self) -> None:
        self.told.append("ready")

    def stopping(self) -> None:
        self.told.append("stopping")

    def beat(self, health_json: str | None = None) -> None:
        self.beats.append(health_json or "")
        self.at_beat()

    def health(self) -> SensorHealth:
        """The last one told."""
        return msgspec.json.decode(self.beats[-1], type=SensorHealth)


class Rig:
    """A process of fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stop = StopNote()
        self.heard = Heard()
        self._entries = LogList()
        self._log = Log("test", self._entries, "debug", clock=FakeClock())
        self.process = Process(self.clock, self._log.logger(), self.heard, self.stop, Lifeline())

    def close(self) -> None:
        self.stop.close()
        self._log.stop()

    def log(self, event: str = "") -> list[Entry]:
        """What was logged, only `event` if given."""
        self._log.drain()
        return [entry for entry in self._entries.entries if entry["event"] == event or not event]


class Wire:
    """A worker's end whose other side is a real Intake, at once; or nobody, while `bridge` is None. Its disk is a number per run."""

    def __init__(self, clock: FakeClock, tick_ns: int = 10_000_000) -> None:
        self.clock = clock
        self.tick_ns = tick_ns
        self.acked: dict[str, int] = {}
        self.bridge: Intake | None = self.fresh()
        self.commits = True
        self.taken: list[tuple[int, str, tuple[int, ...]]] = []  # number, kind, seqs committed
        self.readings: dict[int, tuple[object, ...]] = {}
        self.connections = 0
        self.waits = 0
        self.sent: list[bytes] = []
        self.at_send: Callable[[bytes], object] = len
        self.room = True
        self._peers = map(str.encode, map(str, itertools.count()))
        self._peer = b""
        self._back: deque[bytes] = deque()

    def fresh(self) -> Intake:
        """A bridge that has just been started."""
        return Intake(lambda run: self.acked.get(run, -1))

    def connect(self) -> None:
        self.connections += 1
        self._peer = next(self._peers)
        self._back.clear()

    def send(self, message: bytes) -> bool:
        if not self.room:
            return False
        self.at_send(message)
        self.sent.append(message)
        if self.bridge is not None:
            answer = self.bridge.hear(self._peer, message)
            if answer is not None:
                self._back.append(answer)
        return True

    def receive(self) -> Iterator[bytes]:
        self.commit()
        while self._back:
            yield self._back.popleft()

    def wait(self, timeout_s: float) -> None:
        self.waits += 1
        self.clock.now_ns += round(timeout_s * 1e9)

    def say(self, message: bytes) -> None:
        """Something arrives from the bridge's side."""
        self._back.append(message)

    def commit(self) -> None:
        if self.bridge is None or not self.commits:
            return
        for handed in self.bridge.handed():
            self.acked[handed.run.id] = max(handed.number, self.acked.get(handed.run.id, -1))
            self.taken.append((handed.number, handed.batch.kind, tuple(reading.seq for reading in handed.batch.readings)))
            self.readings.update({reading.seq: (reading, handed.batch.counts) for reading in handed.batch.readings})
        self._back += [answer for peer, answer in self.bridge.taken() if peer == self._peer]

    def seqs(self) -> list[int]:
        """Committed, in order of commit."""
        return [seq for _, _, seqs in self.taken for seq in seqs]


def fields(kinds: Mapping[str, Mapping[str, str]]) -> Run:
    """RUN with other kinds."""
    return msgspec.structs.replace(RUN, fields={kind: dict(of) for kind, of in kinds.items()})
