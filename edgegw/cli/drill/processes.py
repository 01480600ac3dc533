"""Scenarios in which processes die or hang."""

from __future__ import annotations

import os
import signal
import time

from edgegw.cli.drill.play import Play
from edgegw.cli.drill.scenario import Scenario
from edgegw.errors import EdgegwError

BACK_s = 10.0  # a process is there again; it takes about one, on a machine that has nothing else to do
NOTICED_s = 10.0  # three heartbeats of a second are missed, then it is aborted, which a stopped process does not hear, then killed
GONE_s = 2.0  # nothing may outlive its supervisor for longer


def kill_worker(play: Play) -> None:
    """One sensor's process dies."""
    victim = "m0"
    run = play.stage.run(victim)
    with play.undisturbed(victim):
        pid = _signal(play, victim, signal.SIGKILL)
        play.expect(f"{victim} has a new process", lambda: _another(play, victim, pid), BACK_s)
        play.expect(f"{victim} is read again", lambda: _reads(play, victim, run), BACK_s)
    _declared(play, run)


def hang_worker(play: Play) -> None:
    """One sensor's process stands still; the kernel shows it as alive."""
    victim = "m1"
    run = play.stage.run(victim)
    with play.undisturbed(victim):
        pid = _signal(play, victim, signal.SIGSTOP)
        play.expect("that is noticed, for its heartbeat is missing, and it is killed", lambda: _gone(pid), NOTICED_s)
        play.expect(f"{victim} has a new process, and is read again", lambda: _reads(play, victim, run), BACK_s)
    _declared(play, run)


def kill_bridge(play: Play) -> None:
    """Everything goes through this process."""
    runs = [play.stage.run(name) for name in play.stage.metronomes]
    with play.undisturbed("bridge"):
        pid = _signal(play, "bridge", signal.SIGKILL)
        play.expect("there is a new bridge", lambda: _another(play, "bridge", pid), BACK_s)
        play.well()
    play.kept(runs)


def kill_supervisor(play: Play) -> None:
    """Nobody is left who would start anything again."""
    children = play.stage.children()
    runs = [play.stage.run(name) for name in play.stage.metronomes]
    play.did(f"SIGKILL to the supervisor, process {play.stage.gateway.pid}")
    play.stage.gateway.kill()
    _all_gone(play, [child.pid for child in children.values()])
    _start_again(play, runs)


def kill_all(play: Play) -> None:
    """Nobody has time for anything."""
    children = play.stage.children()
    runs = [play.stage.run(name) for name in play.stage.metronomes]
    pids = [play.stage.gateway.pid, *(child.pid for child in children.values())]
    play.did(f"SIGKILL to all {len(pids)} processes at once")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    play.stage.gateway.kill()
    _all_gone(play, pids)
    _start_again(play, runs)


def _start_again(play: Play, runs: list[str]) -> None:
    play.did("edgegw start")
    begun = time.monotonic()
    try:
        play.stage.gateway.start()
        found = f"it runs after {time.monotonic() - begun:.1f} s"
    except EdgegwError as error:
        found = str(error)
    play.hold("it starts: no lock and no socket of the dead one is in its way", play.stage.gateway.lives, found)
    play.well()
    for run in runs[:1]:
        _declared(play, run)


def _signal(play: Play, victim: str, number: signal.Signals) -> int:
    pid = play.stage.pid(victim)
    play.did(f"{number.name} to the process of {victim}, {pid}")
    os.kill(pid, number)
    return pid


def _declared(play: Play, run: str) -> None:
    """The books know what died with that process, and that it is not more than it can have been."""
    name = next((line.sensor for line in [play.stage.line(run)] if line), run)
    play.expect(f"the books of {name} say what died with it, and it is no more than may be", lambda: _loss(play, run), 20)


def _loss(play: Play, run: str) -> str:
    line = play.stage.line(run)
    if line is None or not line.closed or line.bound is None or not 0 <= line.lost <= line.bound:
        return ""
    return f"{line.lost} of {line.produced} readings; its window holds {line.bound}"


def _another(play: Play, name: str, pid: int) -> bool:
    child = play.stage.children().get(name)
    return child is not None and child.pid not in (0, pid) and child.state == "RUNNING"


def _reads(play: Play, sensor: str, run: str) -> str:
    child = play.stage.children().get(sensor)
    health = child.health if child else {}
    return f"{health['produced']} readings" if health.get("produced") and health.get("run") not in ("", run) else ""


def _all_gone(play: Play, pids: list[int]) -> None:
    play.expect(f"nothing outlives it: all {len(pids)} processes are gone", lambda: all(map(_gone, pids)), GONE_s)


def _gone(pid: int) -> bool:
    """No such process, or one that waits for its parent to notice."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


SCENARIOS = (
    Scenario("kill-worker", "The process of one sensor is killed", kill_worker),
    Scenario("hang-worker", "The process of one sensor hangs", hang_worker),
    Scenario("kill-bridge", "The process that everything goes through is killed", kill_bridge),
    Scenario("kill-supervisor", "The process that restarts the others is killed", kill_supervisor),
    Scenario("kill-all", "All processes are killed at once, as by a system that is out of memory", kill_all),
)
