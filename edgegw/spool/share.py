"""What a sensor may take of the spool, and what became of what it handed over when there was no room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Policy = Literal["block", "drop_oldest", "drop_newest"]
Cause = Literal["share", "quota", "disk"]  # its own part of the spool is used up, the whole spool is, the disk is
NO_ROOM: Mapping[Cause, str] = {
    "share": "a sensor has used up its part of it",
    "quota": "all that it may hold is used up, so it takes nothing in until the sinks have some of it",
    "disk": "its disk is full, so it takes nothing in until there is room again",
}


class Share(msgspec.Struct, frozen=True):
    """As configured for one sensor."""

    policy: Policy = "block"  # what happens when there is no room
    max_bytes: int = 0  # that it may hold in the spool; 0: as much as there is


class GivenUp(msgspec.Struct, frozen=True):
    """Readings of a sensor that one commit gave up, as its policy asks."""

    sensor: str
    policy: Policy
    cause: Cause
    readings: int


class Turn(msgspec.Struct, frozen=True):
    """What one commit did with what was handed to it. What is not in `blocked` is done with: on disk, or turned away and counted."""

    newest: int = 0  # position
    kept: int = 0  # readings that were taken in
    blocked: Mapping[str, Cause] = {}  # runs of which nothing was taken in
    given_up: Sequence[GivenUp] = ()
