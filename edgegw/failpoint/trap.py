"""What the environment arms in this process: traps that count who comes by and strike, and what they have struck, kept in a directory."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import ConfigError, Problem
from edgegw.failpoint.spec import SPEC, Action, Point, parse

SEED: Final = "EDGEGW_FAILPOINTS_SEED"
DIRECTORY: Final = "EDGEGW_FAILPOINTS_DIR"
HERE: Final = "EDGEGW_FAILPOINTS_HERE"  # who this process is; nobody else sets it


class Trap:
    """A point in this life of this process: counts who comes by, and strikes. Any thread may come by."""

    def __init__(self, point: Point, chance: random.Random, count: Path | None) -> None:
        self._point = point
        self._chance = chance
        self._count = count
        self._hits = 0
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Somebody comes by: whether that is the moment."""
        with self._lock:
            self._hits += 1
            return self._point.due(self._hits) and (self._point.chance >= 1 or self._chance.random() < self._point.chance)

    def strike(self) -> None:
        """Do it, unless it has been done often enough. Raises OSError where that is what shall happen."""
        if self._count is not None and not _counted(self._count, self._point.limit):
            return
        argument = self._point.argument
        match self._point.action:
            case Action.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Action.EXIT:
                os._exit(int(argument))
            case Action.SLEEP:
                clock = SystemClock()
                clock.sleep_until(clock.monotonic_ns() + round(argument * NS_PER_S))
            case Action.ERROR:
                raise OSError(int(argument), f"{os.strerror(int(argument))} (failpoint {self._point.name})")
            case Action.HANG:
                while True:
                    pass


def spring(traps: Sequence[Trap]) -> None:
    """Somebody comes by at a place. All of its traps see that, also those behind one that raises."""
    for trap in [trap for trap in traps if trap.due()]:
        trap.strike()


def _counted(file: Path, limit: int) -> bool:
    """Note one more strike, a byte each; False where that would be one too many."""
    with file.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if limit and os.fstat(held.fileno()).st_size >= limit:
            return False
        os.write(held.fileno(), b".")
    return True


def struck(directory: Path) -> dict[str, int]:
    """Specification → how often it has struck so far, over all lives."""
    return {path.name: path.stat().st_size for path in sorted(directory.iterdir()) if "=" in path.name}


def armed(environment: Mapping[str, str]) -> Mapping[str, Sequence[Trap]]:
    """Name → the traps there, as `environment` says. Raises ConfigError."""
    process = environment.get(HERE, "")
    traps = dict[str, list[Trap]]()
    concerned = [point for point in points(environment) if point.concerns(process)]
    folder = Path(environment[DIRECTORY]) if environment.get(DIRECTORY) else None
    life = _life(folder, process) if concerned else 0
    for point in concerned:
        chance = random.Random(f"{environment.get(SEED, '')}/{process}/{life}/{point}")
        traps.setdefault(point.name, []).append(Trap(point, chance, folder / str(point) if folder else None))
    return traps


def points(environment: Mapping[str, str]) -> tuple[Point, ...]:
    """All that `environment` asks for. Raises ConfigError, also where what it needs is not there."""
    found = parse(environment.get(SPEC, ""))
    folder = environment.get(DIRECTORY)
    if folder and not Path(folder).is_dir():
        raise ConfigError([Problem(DIRECTORY, 0, "", f"there is no directory {folder}: make it before the gateway starts")])
    if not folder and any(point.limit for point in found):
        raise ConfigError([Problem(SPEC, 0, "", f"# needs a directory to count in: set {DIRECTORY}")])
    return found


def _life(folder: Path | None, process: str) -> int:
    """Which life of `process` this is, so that chance is another in each: the same would end them all at the same place."""
    if folder is None:
        return 0
    lives = folder / f"lives.{process}"
    _counted(lives, 0)
    return lives.stat().st_size
