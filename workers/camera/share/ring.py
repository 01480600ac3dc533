"""Pictures for other processes: a ring of four in shared memory. The writer waits for nobody; a reader takes the newest whole one.

Why no torn picture can be read as a whole one. A slot has a label beside its picture: its turn, odd while the picture is being
written, even when it is whole and never the same twice; the time; and a checksum, so that half a label is none. In order:

    writer  1 label odd   B  2 picture   B  3 label even
    reader  4 label       B  5 picture   B  6 label again; it has a picture where 6 is what 4 was, byte by byte, and even

B is a full barrier (`barrier`): what is on its left has been seen by all before anything on its right. Say the reader got a byte in
5 that came later than its picture. Then a writer's 1 for the next turn was there before that byte, so 6, which is later still, finds
that label or a newer one, and not what 4 was. Say it got one that is older. But what 4 found even was made by 3, and 2 was there
before that. So every byte was of that turn. It rests on nothing but the order, not on how long anything takes: it holds for the
weak order of ARM as for the strong one of x86, and for a writer that is killed or stopped anywhere, whose slot stays odd.

A checksum of the picture would do without barriers, with a chance of 1 in 4 billion; but it reads every byte once more on both sides.
Measured on an x86 core: zlib.crc32 takes 0.08 ms for 640 × 360 planes and 4.4 ms for 12 megapixels, a barrier 0.001 ms.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from edgegw.errors import DeviceAbsent, DeviceError
from workers.camera.picture import Picture
from workers.camera.share import barrier, segment
from workers.camera.share.packing import packed, packing
from workers.camera.share.segment import SHM, SLOTS, PAGE_bytes, Segment

_LABEL, _CHECK = struct.Struct("=Qq"), struct.Struct("=I")  # turn and when the picture was taken; CRC-32 of both
_LABEL_bytes = _LABEL.size + _CHECK.size
_LABELS_at, _LABEL_to_label_bytes = 512, 64  # behind the segment's name, which is shorter; a cache line each


class Label(NamedTuple):
    """Of a whole picture."""

    number: int  # of the picture in its segment, from 1
    at_ns: int  # when it was taken, monotonic
    data: bytes


class Writer:
    """Shows pictures under a name, each size and format in a segment of its own. One at a time may have the name."""

    def __init__(self, name: str, directory: Path = SHM) -> None:
        """Removes what dead writers left. Raises DeviceError where somebody else has the name, or nothing can be shared here."""
        self._name = segment.checked(name)
        self._directory = directory
        self._barrier = barrier.opened()
        self._held = _held(name, directory)
        self._segment: Segment | None = None
        self._number = 0
        segment.clear(directory)

    def write(self, picture: Picture, at_ns: int) -> None:
        """Show it, taken then (monotonic, ns). Raises DeviceError where there is no room for pictures of that size."""
        if self._segment is None or self._segment.packing != packing(picture):
            self._let_go()  # first: there may be no room for both
            self._segment, self._number = segment.made(self._name, packing(picture), self._directory), 0
        here = self._segment
        self._number += 1
        slot = self._number % SLOTS
        _put_label(here, slot, self._number * 2 - 1, at_ns)
        self._barrier()
        os.pwritev(here.file, packed(picture), _picture_at(here, slot))
        self._barrier()
        _put_label(here, slot, self._number * 2, at_ns)

    def close(self) -> None:
        """Nothing is shown any more, and the name is free."""
        self._let_go()
        self._held.close()

    def _let_go(self) -> None:
        if self._segment:
            self._segment.unlink()
            self._segment.close()
            self._segment = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reader:
    """Sees the pictures shown under a name, from whichever segment they come; any number of readers may."""

    def __init__(self, name: str, directory: Path = SHM) -> None:
        """Raises DeviceError where nothing can be shared here, or under such a name."""
        self.missed = 0  # pictures that came and went between two that newest() told of
        self.overwritten = 0  # pictures whose place was taken while they were being read
        self._name = segment.checked(name)
        self._directory = directory
        self._barrier = barrier.opened()
        self._segment: Segment | None = None
        self._label: Label | None = None

    def newest(self) -> int | None:
        """When the newest picture was taken (monotonic, ns); None where it is the one before still, or none is there yet.

        Raises DeviceAbsent while nobody shows any under that name.
        """
        here = self._segment = self._segment or self._found()
        label = max(_labels(here), default=None)
        before = self._label.number if self._label else 0
        if label and label.number > before:
            self.missed += label.number - before - 1 if before else 0
            self._label = label
            return label.at_ns
        if here.ended():
            self.close()
        return None

    def picture(self) -> Picture | None:
        """The one that newest() told of last; None where another has taken its place by now."""
        here, label = self._segment, self._label
        if here is None or label is None:
            return None
        slot, data = label.number % SLOTS, np.empty(here.packing.bytes, np.uint8)
        self._barrier()
        count = os.preadv(here.file, [data.data], _picture_at(here, slot))
        self._barrier()
        if count < len(data) or _label_of(here, slot) != label.data:
            self.overwritten += 1
            return None
        return here.packing.picture(data)

    def close(self) -> None:
        """Let go of the segment."""
        if self._segment:
            self._segment.close()
        self._segment = self._label = None

    def _found(self) -> Segment:
        found = segment.living(self._name, self._directory)
        if found is None:
            hint = f'is there a camera with share = "{self._name}", has it begun, and does its gateway run as the same user?'
            raise DeviceAbsent(f"nobody shares pictures as {self._name}: {hint}")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _put_label(here: Segment, slot: int, turn: int, at_ns: int) -> None:
    data = _LABEL.pack(turn, at_ns)
    os.pwrite(here.file, data + _CHECK.pack(zlib.crc32(data)), _LABELS_at + slot * _LABEL_to_label_bytes)


def _label_of(here: Segment, slot: int) -> bytes:
    return os.pread(here.file, _LABEL_bytes, _LABELS_at + slot * _LABEL_to_label_bytes)


def _labels(here: Segment) -> Iterator[Label]:
    """Of the pictures that are whole."""
    all_of_them = os.pread(here.file, SLOTS * _LABEL_to_label_bytes, _LABELS_at)
    for at in range(0, len(all_of_them), _LABEL_to_label_bytes):
        data = all_of_them[at : at + _LABEL_bytes]
        if _CHECK.pack(zlib.crc32(data[: _LABEL.size])) == data[_LABEL.size :]:
            turn, at_ns = _LABEL.unpack_from(data)
            if turn % 2 == 0:
                yield Label(turn // 2, at_ns, data)


def _picture_at(here: Segment, slot: int) -> int:
    return PAGE_bytes + slot * here.slot_bytes


def _held(name: str, directory: Path) -> socket.socket:
    """The right to show pictures under that name: an abstract socket, which the kernel frees with its process, however that ends."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        about = os.stat(directory)
        place = hashlib.blake2b(f"{about.st_dev}/{about.st_ino}/{os.getuid()}".encode(), digest_size=8).hexdigest()
        held.bind(f"\0edgegw/shared/{place}/{name}")
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            raise DeviceError(f"another camera shares its pictures as {name} already: give each a name of its own") from error
        raise DeviceError(f"pictures cannot be shared as {name}: {directory}: {error.strerror}") from error
    return held
