"""What can be done to the processes of the gateway: killed, stopped for a while, or not allowed to write."""

from __future__ import annotations

import contextlib
import signal
import time

import psutil

from tests.chaos.stage import Stage
from tests.services.base import until

PAUSE_s = 4.0  # longer than a child may be silent


def kill(stage: Stage, name: str) -> None:
    """SIGKILL to a child."""
    _signal(stage, name, signal.SIGKILL)


def freeze(stage: Stage, name: str) -> None:
    """SIGSTOP to a child."""
    _signal(stage, name, signal.SIGSTOP)


def thaw(stage: Stage, name: str) -> None:
    """If it has not been found hanging, and replaced, before."""
    _signal(stage, name, signal.SIGCONT)


def pause_all(stage: Stage, _: str) -> None:
    """The whole gateway stands still, as in a machine that is suspended, and goes on."""
    held = stage.gateway.processes()
    _each(held, signal.SIGSTOP)
    end = time.monotonic() + PAUSE_s
    until(lambda: time.monotonic() >= end, PAUSE_s + 30, "the pause to be over")
    _each(held, signal.SIGCONT)


def no_writes(stage: Stage, name: str) -> None:
    """No file may grow, nor be written at all: write(2) fails with EFBIG, as Python ignores SIGXFSZ."""
    _file_size(stage, name, 0)


def writes(stage: Stage, name: str) -> None:
    """Of the process that has that name now; a new one never knew of it."""
    _file_size(stage, name, psutil.RLIM_INFINITY)


def _file_size(stage: Stage, name: str, limit_bytes: int) -> None:
    process = stage.gateway.process(name)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (limit_bytes, psutil.RLIM_INFINITY))


def _signal(stage: Stage, name: str, number: signal.Signals) -> None:
    process = stage.gateway.process(name)
    _each([process] if process is not None else [], number)


def _each(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
