"""Reads the journals of metronomes: how many ticks each life of each sensor noted before it gave them away."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec

_RECORD = struct.Struct("<QQQII")  # life, tick, CLOCK_BOOTTIME in ns, zeros, CRC32 of what is before it


class Life(msgspec.Struct, frozen=True):
    """One opening of one sensor: it noted the ticks 0 to ticks - 1."""

    sensor: str
    life: int
    ticks: int
    damaged: int = 0  # records that are not what must stand there; above 0 the journal proves nothing


def journals(directory: Path, sensor: str) -> list[Life]:
    """The lives in the journal directory of `sensor`, the earliest first. Raises OSError; ValueError for a file that is no journal."""
    return [_life(path, sensor) for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)]


def _life(path: Path, sensor: str) -> Life:
    life = int(path.name, 16)
    data = path.read_bytes()
    whole = len(data) - len(data) % _RECORD.size  # half a record was never given away: the disk was full
    damaged = sum(not _stands(data[at : at + _RECORD.size], life, at // _RECORD.size) for at in range(0, whole, _RECORD.size))
    return Life(sensor, life, whole // _RECORD.size, damaged)


def _stands(record: bytes, life: int, tick: int) -> bool:
    of, number, _, zeros, crc = _RECORD.unpack(record)
    return (of, number, zeros, crc) == (life, tick, 0, zlib.crc32(record[:-4]))
