"""Has something done by a bridge that runs: it alone may write to its spool."""

from __future__ import annotations

import time
from typing import TypeVar

from edgegw import codec
from edgegw.bus import WorkerEnd
from edgegw.codec import Letters, Purge
from edgegw.paths import Paths

ANSWER_s = 10.0
Answer = TypeVar("Answer")


def ask(where: Paths, wish: Purge | Letters, answer: type[Answer]) -> Answer | None:
    """What it answers; None where it does not within ANSWER_s."""
    end = WorkerEnd(where.bus)
    until_s = time.monotonic() + ANSWER_s
    try:
        end.connect()
        end.send(codec.encode(wish))
        while time.monotonic() < until_s:
            end.wait(until_s - time.monotonic())
            for message in map(codec.decode, end.receive()):
                if isinstance(message, answer):
                    return message
    finally:
        end.close()
    return None
