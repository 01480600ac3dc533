"""A virtual device as a process of its own, which ends with the process that started it, however that one ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgegw.errors import DeviceError

START_s = 30  # an interpreter on a busy Pi with a slow card
END_s = 5
_PR_SET_PDEATHSIG = 1  # prctl(2)


@contextlib.contextmanager
def started(module: str, arguments: Sequence[str]) -> Iterator[str]:
    """Run `python -m module --parent PID arguments` and yield the first line it prints. Raises DeviceError when there is none.

    Call it from a thread that outlives the block: the kernel takes the end of the thread for the end of the parent.
    """
    command = [sys.executable, "-P", "-m", module, "--parent", str(os.getpid()), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as child:
        try:
            yield _first_line(child, module)
        finally:
            _end(child)


def tie(parent: int) -> None:
    """In the child, first of all: die with `parent`, and take no part in its Ctrl-C. A parent already gone ends it at once."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # inherited, and a parent may well block what must end us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() != parent:
        sys.exit(1)


def environment() -> dict[str, str]:
    """Ours, with the place that these modules come from put first: the child must find the same ones."""
    here = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}


def _first_line(child: subprocess.Popen[bytes], module: str) -> str:
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], START_s)
    line = child.stdout.readline().decode().strip() if ready else ""
    if not line:
        raise DeviceError(f"the virtual device {module} did not start ({'it ended' if ready else f'nothing within {START_s} s'})")
    return line


def _end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()  # it watches this pipe
    try:
        child.wait(END_s)
    except subprocess.TimeoutExpired:
        child.kill()
