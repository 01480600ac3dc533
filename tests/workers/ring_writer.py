"""A process that shows pictures: `python -m tests.workers.ring_writer DIRECTORY NAME`, told what to do by lines of its input.

show WIDTH HEIGHT FORMAT NUMBER    one picture, filled with its number; says "shown"
flood WIDTH HEIGHT FORMAT          one after the other, as fast as it can, from 1, filled with its number modulo CYCLE; says "flooding"
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.services.base import die_with_parent, end
from workers.camera.picture import Picture, Planes
from workers.camera.share.packing import Format, Packing
from workers.camera.share.ring import Writer

ROOT = Path(__file__).parents[2]
CYCLE = 7  # no divisor of it is one of the ring's length: what follows in a slot differs from what was there
Size = tuple[int, int]


def filled(number: int, size: Size, form: Format = Format.BGR) -> Picture:
    """A picture of one value, which neither the pictures before nor the next ones have."""
    packing = Packing(*size, form)
    return packing.picture(np.full(packing.bytes, number % 251, np.uint8))


def values(picture: Picture | None) -> set[int]:
    """The values in it: one, where it is one picture; none where there is none."""
    if picture is None:
        return set()
    planes = (picture.y, picture.u, picture.v) if isinstance(picture, Planes) else (picture,)
    return {int(value) for plane in planes for value in (plane.min(), plane.max())}


class Process:
    """One of these, as the tests have it."""

    def __init__(self, directory: Path, name: str = "eye") -> None:
        command = [sys.executable, "-m", __name__, str(directory), name]
        self.popen = subprocess.Popen(die_with_parent(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0)
        assert self._answer() == "ready"

    def show(self, number: int, size: Size = (64, 48), form: Format = Format.BGR) -> None:
        self._tell(f"show {size[0]} {size[1]} {form} {number}", "shown")

    def flood(self, size: Size, form: Format = Format.BGR) -> None:
        self._tell(f"flood {size[0]} {size[1]} {form}", "flooding")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def close(self) -> None:
        """By SIGKILL, unless it ends with its input."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.close()
        self.popen.stdout.close()
        end(self.popen, signal.SIGKILL)

    def _tell(self, line: str, answer: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        assert self._answer() == answer

    def _answer(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().decode().strip()


@contextlib.contextmanager
def showing(directory: Path, name: str = "eye") -> Iterator[Process]:
    """Such a process, for as long as the block."""
    process = Process(directory, name)
    try:
        yield process
    finally:
        process.close()


@contextlib.contextmanager
def memory() -> Iterator[Path]:
    """A directory of its own in shared memory."""
    directory = Path(tempfile.mkdtemp(prefix="edgegw-test-", dir="/dev/shm"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def segments(directory: Path) -> list[str]:
    """What lies there."""
    return sorted(os.listdir(directory))


def main(directory: str, name: str) -> None:
    """Until its input ends."""
    with Writer(name, Path(directory)) as writer:
        print("ready", flush=True)
        for line in sys.stdin:
            what, width, height, form, *number = line.split()
            size = (int(width), int(height))
            if what == "show":
                writer.write(filled(int(number[0]), size, Format(form)), int(number[0]))
                print("shown", flush=True)
            else:
                _flood(writer, [filled(value, size, Format(form)) for value in range(CYCLE)])


def _flood(writer: Writer, ready: list[Picture]) -> None:
    for number in itertools.count(1):
        writer.write(ready[number % CYCLE], number)
        if number == 1:
            print("flooding", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
