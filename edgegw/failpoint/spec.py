"""A specification of failpoints as values: what stands where, when it strikes, how often. Pure."""

from __future__ import annotations

import difflib
import enum
import errno
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from edgegw.errors import ConfigError, Problem

SPEC: Final = "EDGEGW_FAILPOINTS"

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "worker.before_push": "a batch is in the window and in no socket",
        "worker.after_push": "a batch is in the socket; the window does not know yet that it was sent",
        "bridge.before_take": "messages lie in the socket, none of them is taken out",
        "bridge.after_take": "batches are in the bridge's memory and nowhere on disk",
        "spool.before_commit": "everything is written to the transaction, nothing of it is durable",
        "spool.after_commit": "the transaction is durable, and nobody has been told",
        "bridge.before_ack": "batches are durable, their workers have not been told",
        "bridge.after_ack": "the acknowledgements are in the socket",
        "sink.before_deliver": "records are read from the spool, the sink has nothing of them",
        "sink.after_deliver": "the sink has them all, its cursor has not moved",
        "spool.before_mark": "a sink's cursor has moved in memory and not on disk",
        "spool.after_mark": "cursors are written in a transaction that is not committed",
        "spool.before_trim": "what every sink has is about to be deleted",
        "spool.after_trim": "it is deleted in a transaction that is not committed",
        "book.before_close": "a worker is gone, its tally is read, its book is open",
        "book.after_close": "the book is closed on disk, the tally still there",
    }
)

_POINT = re.compile(
    r"(?:(?P<who>[a-z0-9_-]+):)?(?P<name>[a-z_.]+)=(?P<action>[a-z]+)(?::(?P<argument>[^@#]*))?(?:@(?P<when>[^#]*))?(?:#(?P<limit>.*))?"
)
_WHEN = re.compile(r"(?P<first>[1-9]\d{0,8})(?P<on>\+?)|~(?P<chance>[01](?:\.\d{1,6})?)")
_ERRNOS: Final = {name: code for code, name in errno.errorcode.items()}
_OTHERS: Final = ("", "bridge", "supervisor")  # processes that are no workers
_GRAMMAR = "[PROCESS:]NAME=kill|exit:CODE|sleep:SECONDS|error:ERRNO|hang[@n|@n+|@~p][#limit]"


class Action(enum.StrEnum):
    """What happens."""

    KILL = "kill"
    EXIT = "exit"
    SLEEP = "sleep"
    ERROR = "error"
    HANG = "hang"


class Point(msgspec.Struct, frozen=True):
    """One armed failpoint; str() of it is its specification."""

    name: str
    action: Action
    argument: float = 0  # exit code, seconds, errno
    who: str = ""  # "": every process
    first: int = 1  # which time it strikes, counted from 1 in each life of a process…
    last: int = 0  # …and until which; 0: for ever
    chance: float = 1.0
    limit: int = 0  # over all lives; 0: none

    def __str__(self) -> str:
        argument = {
            Action.EXIT: f":{self.argument:.0f}",
            Action.SLEEP: f":{_plain(self.argument, 3)}",
            Action.ERROR: f":{errno.errorcode.get(int(self.argument), '')}",
        }.get(self.action, "")
        who = f"{self.who}:" if self.who else ""
        return f"{who}{self.name}={self.action}{argument}{self._when()}{f'#{self.limit}' if self.limit else ''}"

    def _when(self) -> str:
        if self.chance < 1:
            return f"@~{_plain(self.chance, 6)}"
        if self.last:
            return f"@{self.first}"
        return f"@{self.first}+" if self.first > 1 else ""

    def concerns(self, process: str) -> bool:
        """Whether the process of that name comes by here."""
        return self.who in ("", process) or (self.who == "worker" and process not in _OTHERS)

    def due(self, hit: int) -> bool:
        """Whether it strikes at the `hit`-th time, as far as that is no matter of chance."""
        return hit >= self.first and not (self.last and hit > self.last)


def parse(text: str) -> tuple[Point, ...]:
    """The failpoints of a specification. Raises ConfigError with every fault in it."""
    points, problems = list[Point](), list[Problem]()
    for part in filter(None, map(str.strip, text.split(";"))):
        try:
            points.append(_point(part))
        except ValueError as fault:
            problems.append(Problem(SPEC, 0, part, str(fault)))
    if problems:
        raise ConfigError(problems)
    return tuple(points)


def _point(text: str) -> Point:
    found = _POINT.fullmatch(text)
    if found is None:
        raise ValueError(f"it is not of the form {_GRAMMAR}")
    if found["name"] not in NAMES:
        near = difflib.get_close_matches(found["name"], NAMES, n=1)
        raise ValueError(f"there is no such failpoint ({f'did you mean {near[0]}? ' if near else ''}there are {', '.join(NAMES)})")
    if found["action"] not in set(Action):
        raise ValueError(f"it can do {', '.join(Action)}, not {found['action']}")
    action = Action(found["action"])
    argument, limit = _argument(action, found["argument"]), _limit(found["limit"])
    return Point(found["name"], action, argument, found["who"] or "", *_when(found["when"]), limit)


def _argument(action: Action, text: str | None) -> float:
    if action in (Action.KILL, Action.HANG):
        if text is not None:
            raise ValueError(f"{action} takes nothing after it")
        return 0
    if action is Action.ERROR:
        if text not in _ERRNOS:
            raise ValueError("error takes the name of an errno, as error:EIO")
        return _ERRNOS[text]
    if action is Action.EXIT:
        if not re.fullmatch(r"\d{1,3}", text or "") or int(text or "") > 255:
            raise ValueError("exit takes a code from 0 to 255, as exit:1")
        return int(text or "")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text or ""):
        raise ValueError("sleep takes seconds, as sleep:2.5")
    return float(text or "")


def _when(text: str | None) -> tuple[int, int, float]:
    if text is None:
        return 1, 0, 1.0
    found = _WHEN.fullmatch(text)
    if found is None or (found["chance"] and not 0 < float(found["chance"]) <= 1):
        raise ValueError("@ takes a number from 1 (that time only), a number and + (from then on), or ~ and a probability, as @~0.01")
    if found["chance"]:
        return 1, 0, float(found["chance"])
    return int(found["first"]), 0 if found["on"] else int(found["first"]), 1.0


def _limit(text: str | None) -> int:
    if text is None:
        return 0
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise ValueError("# takes how often it may strike at most, from 1")
    return int(text)


def _plain(number: float, digits: int) -> str:
    """Without an exponent, which the specification has none of."""
    return f"{number:.{digits}f}".rstrip("0").rstrip(".")
