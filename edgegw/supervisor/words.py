"""What is said about a child: its states, what is to be done with its process, and a change as the log tells it."""

from __future__ import annotations

import enum

import msgspec


class State(enum.StrEnum):
    """Part of the contract."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    QUARANTINED = "QUARANTINED"


class Do(enum.Enum):
    """What the loop is to do with the process."""

    START = enum.auto()
    TERMINATE = enum.auto()
    ABORT = enum.auto()
    KILL = enum.auto()


class Change(msgspec.Struct, frozen=True):
    """One change of state, for the log."""

    state: State
    why: str
    wait_s: float = 0.0  # until the next try, in BACKOFF and QUARANTINED
