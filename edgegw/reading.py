"""The values that flow: Sample, Reading, Batch, and the Run they belong to. Frozen; nothing here does I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

Value = float | int | str | None


class Quality(enum.StrEnum):
    """OPC UA's three classes (Part 8): a bad sample is sent as bad, never swallowed."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class ClockState(enum.StrEnum):
    """Whether the wall clock could be believed when a reading was stamped."""

    SYNCED = "synced"
    RESTAMPED = "restamped"
    UNSYNCED = "unsynced"


class Attachment(msgspec.Struct, frozen=True, array_like=True):
    """Bytes that ride with a reading, such as the picture of a face; for the sinks that ask for such, and for no other."""

    media: str  # as in a Content-Type: image/jpeg
    data: bytes
    before_ns: int = 0  # how long before its reading it was taken
    about: dict[str, float] = {}  # what is where in it, by names with units: left_px, top_px, …
    gone: str = ""  # why the data is not there any more: expired, purged

    def __repr__(self) -> str:  # what is logged or shown by mistake shall not show a face
        return f"Attachment({self.media}, {len(self.data)} bytes{f', {self.gone}' if self.gone else ''})"


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What a driver yields: values in SI units by field name, not yet stamped, not knowing whose they are."""

    values: Mapping[str, Value]
    quality: Quality = Quality.GOOD
    kind: str = ""  # needed only where a driver yields more than one kind
    age_ns: int = 0  # how long ago the device measured it, counted back from the moment of the yield
    faults: int = 0  # what went wrong on the wire since the sample before: frames lost to noise, transfers repeated
    attachment: Attachment | None = None
    note: str = ""  # what the operator has to do before the device gives all that was asked for, in one plain sentence
    at_ns: int | None = None  # when it was measured, by CLOCK_MONOTONIC, instead of an age: for samples that are a millisecond apart

    def measured_ns(self, now_ns: int) -> int:
        """When the device measured it, by CLOCK_MONOTONIC; it was yielded at `now_ns`."""
        return now_ns - self.age_ns if self.at_ns is None else self.at_ns


class Run(msgspec.Struct, frozen=True):
    """One life of one worker: everything about its readings that does not change from one to the next."""

    gateway: str
    sensor: str
    driver: str
    id: str  # UUIDv7, text form
    boot_id: str
    started_ns: int  # wall clock, ns since the epoch
    fields: dict[str, dict[str, str]]  # kind → field → "float" | "int" | "text", in the driver's order
    window: int = 0  # readings that its worker holds unacknowledged at most; 0: whoever wrote this did not say


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stamped sample; (sensor, run, seq) is its key for ever."""

    seq: int  # counts from 0 in its run
    time_ns: int  # wall clock, ns since the epoch, UTC
    boot_ns: int  # CLOCK_BOOTTIME, ns
    clock: ClockState
    quality: Quality
    values: tuple[Value, ...]  # in the order of Run.fields[kind]


class Counts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run's cumulative counts; produced includes everything that was ever given a seq or dropped before it."""

    produced: int = 0
    filtered: int = 0
    dropped: int = 0


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Readings of one run and kind, in seq order, with the worker's counts as they stood behind the last of them."""

    run: str
    kind: str
    counts: Counts
    readings: tuple[Reading, ...]

    @property
    def first_seq(self) -> int:
        """Seq of the first reading."""
        return self.readings[0].seq

    @property
    def last_seq(self) -> int:
        """Seq of the last reading."""
        return self.readings[-1].seq


class Record(msgspec.Struct, frozen=True):
    """A batch as the spool keeps it and as sinks receive it."""

    position: int  # grows by append; a sink's cursor is the position of the last record it has
    run: Run
    batch: Batch
    replay: bool = False  # comes from a backlog, not live
    attachments: Mapping[int, Attachment] = {}  # by seq; only for a sink that asks for them


class Letter(msgspec.Struct, frozen=True):
    """A reading that a sink will never take, with the reason it gave."""

    sink: str
    run: Run
    kind: str
    reading: Reading
    code: str
    reason: str
    time_ns: int


class Stored(msgspec.Struct, frozen=True):
    """What a store holds of one run: the count and the ends of its seq range."""

    count: int
    first_seq: int
    last_seq: int
