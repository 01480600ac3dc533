"""What a metronome's journal says of its rhythm: when it ticked last, and how long its longest pause was."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

_RECORD = struct.Struct("<QQQII")  # life, tick, CLOCK_BOOTTIME in ns, zeros, CRC32


def ticks(journal: Path, since_ns: int) -> list[int]:
    """When the sensor with that journal directory ticked since then, in ns of CLOCK_BOOTTIME, in order, over all its lives."""
    return sorted(moment for file in journal.iterdir() for moment in _moments(file) if moment >= since_ns)


def longest_pause_s(journal: Path, since_ns: int, now_ns: int) -> float:
    """Without a tick, between these two moments."""
    moments = [since_ns, *ticks(journal, since_ns), now_ns]
    return max(after - before for before, after in itertools.pairwise(moments)) / 1e9


def _moments(file: Path) -> Iterator[int]:
    data = file.read_bytes()
    whole = len(data) - len(data) % _RECORD.size
    for _, _, moment, _, _ in _RECORD.iter_unpack(data[:whole]):
        yield moment
