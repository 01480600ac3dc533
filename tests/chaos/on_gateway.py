"""What happens to a gateway as a whole: killed, stopped, armed with failpoints, configured anew, and spoken to by strangers."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from typing import Final

import zmq

from edgegw.bus import endpoint
from edgegw.errors import Exit
from tests.chaos.stage import Stage

FRAMES = 200
SMALL_bytes = 30_000
POLICIES: Final = {"fast0": "drop_oldest", "fast1": "drop_newest", "fast2": "block"}
BAD = '\n[sensors.nobody]\ndriver = "of no such name"\n'

# What may strike in the life that begins then, once in some seconds; each comes by some ten times a second.
POINTS: Final[Mapping[str, str]] = {
    "deaths": "worker:worker.after_push=kill@~0.002; bridge:spool.before_commit=kill@~0.003; bridge:spool.after_commit=kill@~0.003;"
    "bridge:sink.after_deliver=kill@~0.003; bridge:spool.before_mark=kill@~0.003; bridge:spool.after_trim=kill@~0.003",
    "errors": "bridge:spool.before_commit=error:EIO@~0.01; bridge:spool.before_mark=error:ENOSPC@~0.01;"
    "bridge:spool.before_trim=error:EIO@~0.01",
    "waits": "worker:worker.before_push=sleep:2.5@~0.001; bridge:bridge.before_ack=sleep:2.5@~0.003;"
    "bridge:sink.before_deliver=sleep:2.5@~0.005; bridge:spool.after_commit=sleep:1@~0.003",
    "hangs": "worker:worker.before_push=hang@~0.001; bridge:spool.before_commit=hang@~0.003",
}


def kill(stage: Stage, _: str) -> None:
    """SIGKILL to the supervisor, and a new life as soon as all of the old one has ended."""
    stage.gateway.kill_all()
    stage.gateway.start()


def stop(stage: Stage, _: str) -> None:
    """In order, and started again."""
    stage.gateway.stop()
    stage.gateway.start()


def arm(stage: Stage, points: str) -> None:
    """A new life of the gateway in which these strike; the life after it knows nothing of them."""
    stage.gateway.kill_all()
    stage.gateway.arm(POINTS[points])
    stage.gateway.start()
    stage.gateway.arm("")


def restart(stage: Stage, sensor: str) -> None:
    """By an operator."""
    if sensor in stage.gateway.children():
        done = stage.gateway.run("restart", sensor)
        assert done.returncode == 0, done.stdout + done.stderr


def remove(stage: Stage, sensor: str) -> None:
    """Its section is taken out of the configuration."""
    stage.gateway.absent.add(sensor)
    _reload(stage)


def bring_back(stage: Stage, sensor: str) -> None:
    """And put in again."""
    stage.gateway.absent.discard(sensor)
    _reload(stage)


def fill_spool(stage: Stage, _: str) -> None:
    """Both servers are away, and some sensors may keep what they give in some seconds: each gives way in another manner."""
    for proxy in stage.servers.proxies.values():
        proxy.down()
    stage.gateway.more = {name: f'spool_max_bytes = {SMALL_bytes}\nspool_full = "{policy}"' for name, policy in POLICIES.items()}
    _reload(stage)


def drain_spool(stage: Stage, _: str) -> None:
    """They may keep as much as ever, and the servers are back."""
    stage.gateway.more = {}
    _reload(stage)
    for proxy in stage.servers.proxies.values():
        proxy.up()


def misconfigure(stage: Stage, _: str) -> None:
    """A file with a fault is refused, and everything stays as it was."""
    with stage.gateway.config.open("a") as file:
        file.write(BAD)
    done = stage.gateway.run("reload")
    stage.gateway.configure()
    assert done.returncode == Exit.CONFIG, done.stdout + done.stderr


def start_again(stage: Stage, _: str) -> None:
    """A second gateway on the same directories gives way."""
    done = stage.gateway.run("start")
    assert done.returncode == Exit.ALREADY_RUNNING, done.stdout + done.stderr


def babble(stage: Stage, seed: str) -> None:
    """A stranger on the bus whose messages are of no version that there is."""
    rng, context = random.Random(seed), zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(endpoint(stage.gateway.paths.bus))
    with contextlib.suppress(zmq.Again):
        for _ in range(FRAMES):
            socket.send(bytes([rng.randrange(2, 256)]) + rng.randbytes(rng.randrange(2000)), zmq.NOBLOCK)
    context.destroy(linger=500)


def turn_deaf(stage: Stage, _: str) -> None:
    """Somebody who wants every reading from the tap, and takes none out of the socket."""
    tune_out(stage, _)
    stage.listener = zmq.Context()
    socket = stage.listener.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 1)
    socket.subscribe(b"")
    socket.connect(endpoint(stage.gateway.paths.tap))


def tune_out(stage: Stage, _: str) -> None:
    """They are gone."""
    held, stage.listener = stage.listener, None
    if held is not None:
        held.destroy(linger=0)


def _reload(stage: Stage) -> None:
    stage.gateway.configure()
    done = stage.gateway.run("reload")
    assert done.returncode == 0, done.stdout + done.stderr
