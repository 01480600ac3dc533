"""A process under strace: the calls that changed its files, in order, with their bytes; and what it said on stdout in between."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.services.base import need

REPOSITORY = Path(__file__).parents[2]
LASTS_s = 240
CALLS = (  # a question mark: not every machine has that call
    "?open,?creat,openat,close,?dup,?dup2,dup3,lseek,write,writev,pread64,pwrite64,pwritev,?pwritev2,ftruncate,?truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,sync,syncfs,?unlink,unlinkat,?rename,?renameat,renameat2,?mkdir,mkdirat,?rmdir,?link,linkat,?symlink,symlinkat,"
    "copy_file_range,sendfile,mmap"
)
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\w+)")
_STDOUT = "1"


class Call(NamedTuple):
    """One system call that did something, or tried; a negative result is a failure."""

    name: str
    arguments: tuple[str, ...]
    result: int

    @property
    def said(self) -> bytes:
        """What it put on stdout, if it did."""
        return text(self.arguments[1]) if self.name == "write" and self.arguments[0] == _STDOUT else b""


def recorded(command: Sequence[str], log: Path, inject: str = "") -> tuple[list[Call], int, str]:
    """Run `command` with this Python; its calls, its exit code and what it said on stderr. `inject` as for strace."""
    fault = ["-e", f"inject={inject}"] if inject else []
    strace = [need("strace", "strace"), "-f", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", *fault, "-o", str(log)]
    same_each_time = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # or the first process would make more calls than the next
    done = subprocess.run(
        [*strace, sys.executable, *command],
        cwd=REPOSITORY,
        env=same_each_time,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=LASTS_s,
        check=False,
    )
    return list(_calls(log)), done.returncode, done.stderr.decode(errors="replace")


def text(argument: str) -> bytes:
    """The bytes of an argument that strace has written in hexadecimal."""
    assert not argument.endswith("..."), "strace has shortened what was written"
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))


def _calls(log: Path) -> Iterator[Call]:
    begun: dict[str, str] = {}  # of several threads: a call that another one's call interrupts is written in two lines
    with log.open() as lines:
        for line in lines:
            thread, _, rest = line.partition(" ")
            rest = rest.strip()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = rest.removesuffix("<unfinished ...>")
                continue
            if rest.startswith("<..."):
                rest = begun.pop(thread) + rest.partition("resumed>")[2]
            if found := _CALL.match(rest):  # not the lines about signals and ends
                yield Call(found["name"], tuple(found["arguments"].split(", ")), _number(found["result"]))


def _number(result: str) -> int:
    return -1 if result == "?" else int(result, 0)
