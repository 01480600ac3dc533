"""What can go wrong, as types that say what to do about it; and the table of exit codes.

    EdgegwError
    ├── ConfigError        the file is wrong: tell the operator everything at once, start nothing
    ├── DeviceError        the device misbehaves: close it, wait, open it again, and climb the recovery ladder
    │   └── DeviceAbsent   there is nothing under that name: look again soon, for nothing else can bring it
    ├── CodecError         bytes that are not a message of ours: count them, skip them
    ├── SpoolError         the spool cannot keep its promise: do not acknowledge
    ├── SinkError
    │   ├── Unavailable    the other side is away: keep the readings, try again soon
    │   │   └── Busy       it is there, and takes nothing just now: ask again every second
    │   ├── Refused        the other side says no until somebody acts: keep, try again slowly
    │   └── Rejected       the other side refuses this content: find the poison, set it aside
    ├── AlreadyRunning     somebody else holds the lock: touch nothing
    └── NotRunning         there is no gateway to talk to

OSError from a device is a DeviceError in all but name; anything outside this tree is a bug and ends the process.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec


class Exit(enum.IntEnum):
    """Exit codes, sysexits(3) where it has one; part of the contract."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # click's own
    NO_SUCH_SENSOR = 4
    UNAVAILABLE = 69
    INTERNAL = 70
    CANNOT_CREATE = 73
    IO = 74
    ALREADY_RUNNING = 75
    NO_PERMISSION = 77
    CONFIG = 78  # systemd does not restart on this one


class EdgegwError(Exception):
    """Base of every error that edgegw raises on purpose; str() of it is one plain sentence for the operator."""

    exit_code = Exit.FAILED


class Problem(msgspec.Struct, frozen=True):
    """One fault in a configuration file: where it stands, what is wrong, what to write instead."""

    file: str
    line: int  # 1-based; 0: the file as a whole
    key: str  # dotted, as "sensors.front.rate_hz"; "" where the file does not parse
    what: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}:{key} {self.what}{hint}"


class ConfigError(EdgegwError):
    """The configuration cannot be used; carries every problem found, in file order."""

    exit_code = Exit.CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DeviceError(EdgegwError):
    """A device does not behave as its datasheet says."""

    exit_code = Exit.IO


class DeviceAbsent(DeviceError):
    """There is no node of that name: it is unplugged, or was never there. Looking again is cheap, and all that can be done."""


class CodecError(EdgegwError):
    """Bytes that are not a message of this version."""


class SpoolError(EdgegwError):
    """The spool cannot append, read or commit."""

    exit_code = Exit.IO


class SinkError(EdgegwError):
    """A sink did not take what it was given; nothing is lost, its cursor stays."""

    exit_code = Exit.UNAVAILABLE


class Unavailable(SinkError):
    """The other side is away or too slow; trying again soon is right."""


class Busy(Unavailable):
    """The other side is there and holds us back (a full queue, an alarm); asking every second costs neither side anything."""


class Refused(SinkError):
    """The other side refuses us (credentials, rights, a missing table); somebody has to act, so try again slowly."""


class Rejected(SinkError):
    """The other side refuses something in this delivery for its content; halving the delivery finds it.

    `code` is the other side's own; a word of ours, in small letters, where we rejected it before it was sent.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{reason} ({code})")


class AlreadyRunning(EdgegwError):
    """Another gateway holds the lock of this runtime directory."""

    exit_code = Exit.ALREADY_RUNNING


class NotRunning(EdgegwError):
    """No gateway answers in this runtime directory."""
