"""What the broker must not forget: one file, only ever appended to, of records with a length and a checksum each."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

NAME: Final = "journal"
_HEAD = struct.Struct("<II")  # bytes that follow, CRC32 of them


class Exchange(msgspec.Struct, frozen=True, tag="exchange", array_like=True):
    """An exchange was declared."""

    name: str
    kind: str
    durable: bool


class Queue(msgspec.Struct, frozen=True, tag="queue", array_like=True):
    """A queue was declared."""

    name: str
    durable: bool
    arguments: Mapping[str, Any]


class Binding(msgspec.Struct, frozen=True, tag="binding", array_like=True):
    """A queue was bound to an exchange."""

    queue: str
    exchange: str
    key: str


class Deleted(msgspec.Struct, frozen=True, tag="deleted", array_like=True):
    """A queue or an exchange was deleted, and what hung on it."""

    kind: str  # "queue" or "exchange"
    name: str


class Message(msgspec.Struct, frozen=True, tag="message", array_like=True):
    """A message reached these queues."""

    queues: Sequence[str]
    exchange: str
    key: str
    header: bytes  # the content header as it came: all properties
    body: bytes


class Taken(msgspec.Struct, frozen=True, tag="taken", array_like=True):
    """The oldest message of a queue was handed out."""

    queue: str


Record = Exchange | Queue | Binding | Deleted | Message | Taken
_decoder = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


class Journal:
    """Open for appending. What a crash left half-written at its end is cut off."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / NAME
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.records = [record for record, _ in _records(path)]
        os.ftruncate(self._file, max((end for _, end in _records(path)), default=0))
        os.lseek(self._file, 0, os.SEEK_END)

    def append(self, records: Sequence[Record]) -> None:
        """Return when they are on the disk. Raises OSError."""
        parts = [_encoder.encode(record) for record in records]
        data = memoryview(b"".join(_HEAD.pack(len(part), zlib.crc32(part)) + part for part in parts))
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def messages(directory: Path) -> list[Message]:
    """Every message that ever reached a queue there, in order; the broker may be running."""
    path = directory / NAME
    return [record for record, _ in _records(path) if isinstance(record, Message)] if path.exists() else []


def _records(path: Path) -> Iterator[tuple[Record, int]]:
    """Each record with the place where it ends, up to the first that is not whole."""
    data = path.read_bytes()
    begin = 0
    while begin + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, begin)
        part = data[begin + _HEAD.size : begin + _HEAD.size + length]
        if len(part) < length or zlib.crc32(part) != crc:
            return
        begin += _HEAD.size + length
        yield _decoder.decode(part), begin
