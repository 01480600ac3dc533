"""Scenarios in which what is around the gateway fails: broker, disk, cable, configuration."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from edgegw.cli import again
from edgegw.cli.drill.play import Play
from edgegw.cli.drill.scenario import LeftOut, Scenario
from edgegw.cli.drill.servers import Server
from edgegw.cli.drill.stage import BEHIND, LUNA, STORE
from edgegw.cli.owned import environment
from edgegw.errors import Exit

PILE = 1000  # readings that have to wait, before the broker comes back
TOLD_s = 15.0
BACK_s = 45.0  # a broker that is away is looked for every 30 s at least


def stop_broker(play: Play) -> None:
    """It is gone for some seconds."""
    _stop(play, "rabbitmq")


def stop_database(play: Play) -> None:
    """It is gone for some seconds."""
    _stop(play, "mysql")


def _stop(play: Play, sink: str) -> None:
    server = _server(play, sink)
    with play.undisturbed(), _store_goes_on(play):
        play.did(server.cut())
        try:
            play.expect("the gateway sees that it is gone", lambda: _down(play, sink), TOLD_s)
            play.expect(f"what it cannot have waits in the spool: {PILE} readings", lambda: _piled(play, sink), TOLD_s)
        finally:
            play.did(server.mend())
        play.expect("it is found again, and gets all that has waited", lambda: _caught_up(play, sink), BACK_s)


def hang_broker(play: Play) -> None:
    """It is there and does nothing, as in a long pause of its disk."""
    _hang(play, "rabbitmq")


def hang_database(play: Play) -> None:
    """It is there and does nothing, as behind a lock."""
    _hang(play, "mysql")


def _hang(play: Play, sink: str) -> None:
    server = _server(play, sink)
    with play.undisturbed(), _store_goes_on(play):
        with _hung(play, server):
            _wait_piled(play, server)
        play.expect("it gets all that has waited", lambda: _caught_up(play, sink), BACK_s)


@contextlib.contextmanager
def _hung(play: Play, server: Server) -> Iterator[None]:
    play.did(server.hang())
    try:
        yield
    finally:
        play.did(server.go_on())


def _wait_piled(play: Play, server: Server) -> None:
    play.expect(f"what it does not take stays in the spool: {PILE} readings", lambda: _piled(play, server.sink), TOLD_s)


def full_disk(play: Play) -> None:
    """There is no room for another reading."""
    room = play.stage.room
    play.did(room.method)
    _if_any(play, room.prepare())
    play.well()
    runs = [play.stage.run(name) for name in play.stage.metronomes]
    with play.undisturbed():
        _without_room(play)
        play.expect("it takes readings in again", lambda: not _crowded(play), BACK_s)
        play.well()
    play.kept(runs)
    _if_any(play, room.restore())


def _without_room(play: Play) -> None:
    """A disk is filled while something waits for the broker; for a quota something has to wait all the time."""
    room, broker = play.stage.room, _server(play, "rabbitmq")
    with contextlib.ExitStack() as afterwards:
        afterwards.callback(lambda: play.did(room.free()))
        if room.drains:
            with _hung(play, broker):
                _wait_piled(play, broker)
                play.did(room.fill())
                play.expect("the gateway says that it has no room", lambda: _crowded(play), TOLD_s)
            play.expect("it delivers all that waits, though there still is no room", lambda: _empty(play), TOLD_s)
        else:
            play.did(room.fill())
            play.expect("the gateway says that it has no room", lambda: _crowded(play), TOLD_s)


def _if_any(play: Play, done: str) -> None:
    if done:
        play.did(done)


def unplug(play: Play) -> None:
    """A sensor's cable."""
    luna = play.stage.luna
    if luna is None:
        raise LeftOut("a virtual TF-Luna needs numpy: pip install 'edgegw[demo]'")
    with play.undisturbed():
        play.did(f"the virtual TF-Luna is gone, and {luna.port} leads nowhere")
        luna.unplug()
        try:
            play.expect("the gateway says which device is missing", lambda: _why(play, LUNA), TOLD_s)
        finally:
            luna.plug()
            play.did("it is plugged in again")
        plugged_ns = time.time_ns()
        play.expect("it is read again", lambda: _newest_ns(play, LUNA) > plugged_ns and not _why(play, LUNA), TOLD_s)


def bad_config(play: Play) -> None:
    """An operator's slip of the pen."""
    with play.undisturbed():
        play.stage.configure(m2="rate_hzz = 7")
        play.did("edgegw reload, with a misspelt key in the file")
        done = _reload(play)
        play.hold("the file is refused, and the key is named", done.returncode == Exit.CONFIG and "rate_hzz" in done.stdout, _said(done))
    run = play.stage.run("m2")
    with play.undisturbed("m2"):
        play.stage.configure(m2="linger_s = 0.15")
        play.did("edgegw reload, with another linger_s for m2")
        done = _reload(play)
        play.hold("the file is taken", done.returncode == Exit.DONE, _said(done))
        play.expect("m2, and m2 alone, was restarted for it", lambda: play.stage.run("m2") not in ("", run), TOLD_s)
    line = play.stage.line(run)
    found = f"{line.produced} readings, {line.lost} lost" if line else "no book"
    play.hold("that restart lost nothing", line is not None and not line.lost, found)


def _server(play: Play, sink: str) -> Server:
    return next(server for server in play.stage.servers if server.sink == sink)


@contextlib.contextmanager
def _store_goes_on(play: Play) -> Iterator[None]:
    before = play.stage.sink(STORE).get("delivered", 0)
    yield
    sink = play.stage.sink(STORE)
    more = sink.get("delivered", 0) - before
    play.hold(f"{STORE} did not have to wait for it", more >= PILE and sink["lag"] < BEHIND, f"{more} readings meanwhile")


def _down(play: Play, sink: str) -> str:
    found = play.stage.sink(sink)
    return str(found["why"]) if found and not found["up"] else ""


def _piled(play: Play, sink: str) -> str:
    lag = play.stage.sink(sink).get("lag", 0)
    return f"{lag} wait" if lag >= PILE else ""


def _caught_up(play: Play, sink: str) -> str:
    found = play.stage.sink(sink)
    return f"{found['lag']} wait" if found and found["up"] and found["lag"] < BEHIND else ""


def _crowded(play: Play) -> str:
    bridge = play.stage.children().get("bridge")
    crowded = bridge.health.get("crowded", ()) if bridge else ()
    return str(crowded[0]["why"]) if crowded else ""


def _empty(play: Play) -> str:
    lags = {name: sink["lag"] for name, sink in play.stage.sinks().items()}
    return ", ".join(f"{name} has all" for name in lags) if lags and not any(lags.values()) else ""


def _why(play: Play, sensor: str) -> str:
    child = play.stage.children().get(sensor)
    return str(child.health.get("why", "") or child.why) if child else ""


def _newest_ns(play: Play, sensor: str) -> int:
    child = play.stage.children().get(sensor)
    return int(child.health.get("newest_ns", 0)) if child else 0


def _reload(play: Play) -> subprocess.CompletedProcess[str]:
    words = again.command("reload", "-c", str(play.stage.config))
    env = again.environment(environment())
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, timeout=60, check=False)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split())


SCENARIOS = (
    Scenario("stop-broker", "The broker is gone for some seconds", stop_broker),
    Scenario("hang-broker", "The broker hangs for some seconds", hang_broker),
    Scenario("stop-database", "The database is gone for some seconds", stop_database, needs="mysql"),
    Scenario("hang-database", "The database hangs for some seconds", hang_database, needs="mysql"),
    Scenario("full-disk", "The disk is full", full_disk),
    Scenario("unplug", "A sensor is unplugged", unplug),
    Scenario("bad-config", "The configuration is changed, first wrongly", bad_config),
)
