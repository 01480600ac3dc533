"""The command: which scenarios, on which servers, told how; and that nothing is left of it, unless it shall be kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from edgegw import history
from edgegw.cli import show
from edgegw.cli.drill import processes, room, surroundings
from edgegw.cli.drill.drill import Result, play
from edgegw.cli.drill.scenario import Interrupted, Scenario
from edgegw.cli.drill.servers import Server, from_urls
from edgegw.cli.drill.stage import LUNA, STORE, RATE_hz, Stage
from edgegw.cli.drill.teller import Spoken, Teller
from edgegw.errors import EdgegwError, Exit
from edgegw.signals import StopNote

SCENARIOS = (*processes.SCENARIOS, *surroundings.SCENARIOS)
INTERRUPTED = 128 + signal.SIGINT  # as a shell has it
PREFIX = "edgegw-drill-"


class Wish(msgspec.Struct, frozen=True):
    """What to play, where, and how to show it."""

    names: tuple[str, ...] = ()  # none: all that can be played there
    as_json: bool = False
    rabbitmq: str | None = None
    mysql: str | None = None
    keep: Path | None = None


class CannotPlay(EdgegwError):
    """There is no scenario of that name, or nothing to play it with."""

    exit_code = Exit.USAGE


class NoRoom(EdgegwError):
    """What is to be kept cannot be put there."""

    exit_code = Exit.CANNOT_CREATE


def listing() -> str:
    """Every scenario, a line each."""
    return "".join(f"{one.name:<16} {one.title}\n" for one in SCENARIOS)


def run(wish: Wish) -> int:
    """Play, tell, close the books; returns the exit code. Raises EdgegwError."""
    scenarios = chosen(wish)
    if wish.keep is not None and wish.keep.exists():
        raise NoRoom(f"{wish.keep} is there already: --keep makes a new directory, and overwrites nothing")
    no_mounts = room.alone()  # before there is any thread
    stop = StopNote()
    stop.listen(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # also when its terminal is closed
    os.umask(0o077)  # the gateway refuses directories that others may write to
    teller: Teller = Teller() if wish.as_json else Spoken(show.console())
    try:
        result = _played(wish, scenarios, teller, stop, no_mounts)
    except Interrupted:
        teller.say("Interrupted: all of it is stopped and deleted, and nothing was judged.")
        return INTERRUPTED
    finally:
        stop.close()
    if wish.as_json:
        sys.stdout.write(msgspec.json.encode(result.document()).decode() + "\n")
    teller.end(ok=result.ok, sentence=result.sentence)
    return Exit.DONE if result.ok else Exit.FAILED


def chosen(wish: Wish) -> list[Scenario]:
    """Those that are wished for, in our order. Raises CannotPlay."""
    there = {"", "rabbitmq", *(["mysql"] if wish.mysql else [])}
    known = {one.name: one for one in SCENARIOS}
    for name in wish.names:
        if name not in known:
            raise CannotPlay(f"there is no scenario {name!r} (there are {', '.join(known)})")
        if known[name].needs not in there:
            raise CannotPlay(f"{name} needs a server of yours: give its URL with --{known[name].needs}")
    return [one for one in SCENARIOS if (one.name in wish.names if wish.names else one.needs in there)]


def _played(wish: Wish, scenarios: Sequence[Scenario], teller: Teller, stop: StopNote, no_mounts: str) -> Result:
    with _home() as home, _running(from_urls(home, wish.rabbitmq, wish.mysql)) as servers:
        stage = Stage(home, servers, stop, no_mounts=no_mounts)
        try:
            teller.opening(_opening(stage))
            result = play(stage, scenarios, teller, stop)
            teller.closing(result.closing, stage.settings.paths)
            if wish.keep is None and result.ok:
                return result
            kept = _keep(wish.keep, stage, result)
            teller.say(f"Kept for you to look into: {kept}")
            return msgspec.structs.replace(result, kept=str(kept))
        finally:
            stage.leave()


def _opening(stage: Stage) -> list[str]:
    luna = f", and {LUNA}, a virtual TF-Luna on a serial port" if stage.luna else ""
    ticking = f"{stage.metronomes[0]} to {stage.metronomes[-1]}, which tick {RATE_hz} times a second and note each tick themselves"
    return [
        "edgegw drill: a gateway of its own is hurt on purpose, and its books are closed at the end.",
        f"Sensors: {ticking}{luna}. Each has a process.",
        "The bridge takes their readings into its spool, a file, and delivers from there to:",
        *(f"  {server.sink}: {server.what}" for server in stage.servers),
        f"  {STORE}: a database file",
        "The supervisor starts all of these processes, and starts again what ends.",
        f"Everything lies in {stage.home} and goes with it; nothing of yours is touched. Ctrl-C ends it.",
        "→ is what is done; ✓ is what was expected of the gateway then, and after how many seconds, of how many at most, it was so.",
    ]


def _keep(wanted: Path | None, stage: Stage, result: Result) -> Path:
    into = wanted or Path(tempfile.mkdtemp(prefix=f"{PREFIX}kept-"))
    into.parent.mkdir(parents=True, exist_ok=True)
    names = " ".join(outcome.name for outcome in result.outcomes)
    folders = {"home": stage.home}
    place = into / "drill" if wanted is None else into
    return history.keep(place, names, history.together(*result.closing.verdicts), result.closing.cases, folders)


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """A short temporary directory: the kernel takes 107 bytes for a socket's path."""
    made = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _running(servers: Sequence[Server]) -> Iterator[Sequence[Server]]:
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)
            server.start()
        yield servers
