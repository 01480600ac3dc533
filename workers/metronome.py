"""Driver of a sensor that is none: it counts, and notes every tick in a journal of its own before it gives it away.

So what came out at the far end can be compared with what went in, by somebody who trusts neither gateway nor store
(edgegw.history does). A tick carries a value and a text that are computed from its number, so that a spoilt row shows.

Journal: one file a life (a life is one opening of the sensor), named after it in 16 hexadecimal digits, of records of 32 bytes,
little-endian: life, tick, CLOCK_BOOTTIME in ns (8 bytes each), four zeros, CRC32 of the 28 bytes before. Ticks count from 0.

    value   the upper 53 bits of the first 8 bytes (little-endian) of BLAKE2b-128(life, tick), as a fraction of 1
    text    the last 8 bytes in hexadecimal
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import math
import os
import secrets
import struct
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgegw.clock import SystemClock, every
from edgegw.errors import DeviceAbsent
from edgegw.reading import Sample

FIELDS = {"metronome": {"life": int, "tick": int, "value": float, "text": str}}
BEAT_s = 0.25  # between signs of life
LIFE_bits = 62
_KEY = struct.Struct("<QQ")
_HEAD = struct.Struct("<QQQI")
_CRC = struct.Struct("<I")

_RATE = "Ticks a second."
_BURST = "How many ticks come together; on average they are still rate_hz a second: 50 at 100 Hz come twice a second."
_JOURNAL = "Directory in which every tick is noted before it is given away, one file for each opening of the sensor; empty: nowhere."


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast it ticks, and where that is noted."""

    rate_hz: Annotated[float, Meta(ge=1, le=1000, description=_RATE, examples=[100])] = 100.0
    burst: Annotated[int, Meta(ge=1, le=1000, description=_BURST, examples=[50])] = 1
    journal: Annotated[str, Meta(description=_JOURNAL, examples=["/media/stick/journal"])] = ""


def read(options: Options) -> Generator[Sample | None, None, None]:
    """Ticks of a new life. Raises DeviceAbsent where there is no directory for the journal, OSError where it cannot be written."""
    life, clock = secrets.randbits(LIFE_bits), SystemClock()
    journal = _open(Path(options.journal), life) if options.journal else -1
    try:
        ticks = itertools.count()
        for beat in _paced(options.burst / options.rate_hz):
            if not beat:
                yield None
                continue
            for tick in itertools.islice(ticks, options.burst):
                if journal >= 0:
                    _note(journal, record(life, tick, clock.boot_ns()))
                yield sample(life, tick)
    finally:
        if journal >= 0:
            os.close(journal)


def _paced(period_s: float) -> Iterator[bool]:
    """True once a period, False in between, so that a slow one gives signs of life."""
    parts = max(1, math.ceil(period_s / BEAT_s))
    for turn, _ in enumerate(every(period_s / parts)):
        yield turn % parts == 0


def sample(life: int, tick: int) -> Sample:
    """That tick, as it must arrive."""
    digest = hashlib.blake2b(_KEY.pack(life, tick), digest_size=16).digest()
    value = (int.from_bytes(digest[:8], "little") >> 11) / (1 << 53)
    return Sample({"life": life, "tick": tick, "value": value, "text": digest[8:].hex()})


def record(life: int, tick: int, boot_ns: int) -> bytes:
    """What the journal keeps of that tick. 32 bytes divide a page, so no record lies on two, and SIGKILL cannot leave half of one."""
    head = _HEAD.pack(life, tick, boot_ns, 0)
    return head + _CRC.pack(zlib.crc32(head))


def _open(directory: Path, life: int) -> int:
    try:
        return os.open(directory / f"{life:016x}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise DeviceAbsent(f"there is no directory {directory} for the journal of this sensor: make it, or leave journal empty") from error


def _note(journal: int, entry: bytes) -> None:
    """Into the page cache, which outlives the process; a journal that had to outlive the machine would need an fsync a tick."""
    if os.write(journal, entry) < len(entry):
        raise OSError(errno.ENOSPC, "the disk that holds the journal of this sensor is full")
