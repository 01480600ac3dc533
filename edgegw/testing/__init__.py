"""Public fakes for whoever tests a sink, a driver or a room of the gateway: time, a store and a device that do as they are told.

The contract suite for drivers stands beside them, in `edgegw.testing.drivers`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from edgegw.driver import Driver, FieldTypes, Options
from edgegw.errors import Rejected, SinkError, Unavailable
from edgegw.reading import ClockState, Letter, Record, Sample, Stored

START_ns = 1_795_228_291_123_456_789  # 2026-11-21 02:31:31.123456789 UTC
DISTANCE: Mapping[str, FieldTypes] = MappingProxyType({"lidar": {"distance_m": float}})

Step = Sample | Exception | Callable[[], object] | None


class FakeClock:
    """A Clock whose hand moves only when somebody sleeps, or when it is set; it never waits."""

    def __init__(self, now_ns: int = 1) -> None:
        self.now_ns = now_ns
        self.boot_ahead_ns = 0  # time spent in suspend
        self.epoch_ns = START_ns
        self.synced = ClockState.SYNCED

    def monotonic_ns(self) -> int:
        return self.now_ns

    def boot_ns(self) -> int:
        return self.now_ns + self.boot_ahead_ns

    def wall_ns(self) -> int:
        return self.epoch_ns + self.now_ns

    def state(self) -> ClockState:
        return self.synced

    def sleep_until(self, monotonic_ns: int) -> None:
        self.now_ns = max(self.now_ns, monotonic_ns)


class ListSink:
    """A Store in memory. Set `trouble` and it is away or refuses, put a seq into `poison` and what holds it is Rejected."""

    def __init__(self, name: str = "list") -> None:
        self.trouble: Exception | None = None  # what open() and deliver() raise, as long as it is set
        self.poison: set[int] = set()
        self.records: list[Record] = []  # all that was taken, in order, repetitions too
        self.letters: dict[tuple[str, str, int], Letter] = {}
        self.attempts: list[str] = []  # the calls, by name, in order
        self._name = name
        self._opened = False

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def open(self) -> None:
        self._begin("open")
        self._opened = True

    def deliver(self, records: Sequence[Record]) -> None:
        """Take them all, or none: raises the trouble it was told to have, or Rejected for a poisoned seq."""
        self._begin("deliver")
        self._need_open()
        for record in records:
            bad = self.poison.intersection(reading.seq for reading in record.batch.readings)
            if bad:
                raise Rejected("poison", f"readings {sorted(bad)} are not wanted here")
        self.records += records

    def bury(self, letter: Letter) -> None:
        self._begin("bury")
        self._need_open()
        self.letters.setdefault((letter.sink, letter.run.id, letter.reading.seq), letter)

    def close(self) -> None:
        self.attempts.append("close")
        self._opened = False

    def stored(self) -> dict[tuple[str, str], Stored]:
        self._need_open()
        held: dict[tuple[str, str], set[int]] = {}
        for record in self.records:
            held.setdefault((record.run.sensor, record.run.id), set()).update(reading.seq for reading in record.batch.readings)
        return {key: Stored(len(seqs), min(seqs), max(seqs)) for key, seqs in held.items()}

    def _begin(self, what: str) -> None:
        self.attempts.append(what)
        if self.trouble is not None:
            if isinstance(self.trouble, SinkError):
                self._opened = False
            raise self.trouble

    def _need_open(self) -> None:
        if not self._opened:
            raise Unavailable(f"{self._name} is not open")


class ListOutbox(ListSink):
    """An Outbox in memory, for readings of these kinds with what is attached to them."""

    def __init__(self, name: str = "outbox", kinds: frozenset[str] = frozenset({"face"})) -> None:
        super().__init__(name)
        self._kinds = kinds

    @property
    def kinds(self) -> frozenset[str]:
        """As given."""
        return self._kinds


class NoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scripted device has no options."""


class Script:
    """A device that plays one life each time it is opened, and after the last one is silent: it yields None for ever.

    A step of a life is a Sample or None to yield, an error to raise, or a callable to call, such as one that asks to stop.
    """

    def __init__(self, *lives: Sequence[Step], fields: Mapping[str, FieldTypes] = DISTANCE) -> None:
        self.opened = 0
        self.closed = 0
        self._lives = list(lives)
        self._fields = fields

    def driver(self) -> Driver:
        """The driver of this device."""
        return Driver("scripted", NoOptions, self._fields, self._read)

    def _read(self, _options: Options) -> Generator[Sample | None, None, None]:
        self.opened += 1
        try:
            if len(self._lives) < self.opened:
                while True:
                    yield None
            yield from _play(self._lives[self.opened - 1])
        finally:
            self.closed += 1


def _play(life: Sequence[Step]) -> Generator[Sample | None, None, None]:
    for step in life:
        if isinstance(step, Exception):
            raise step
        if step is None or isinstance(step, Sample):
            yield step
        else:
            step()
