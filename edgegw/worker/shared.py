"""Several slow sensors in one process: a thread each, one heartbeat for all of them.

A thread that hangs stops the heartbeat of the whole process, and a bug in one ends it: what shares a process shares its fate.
That is the price of the 8 MiB which each process of its own would cost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from edgegw.clock import NS_PER_S, Clock
from edgegw.config import SensorSettings, Settings
from edgegw.notify import Notifier
from edgegw.process import Process
from edgegw.worker.single import work_on

TURN_s = 0.25
FRESH_ns = 2 * NS_PER_S  # a sensor that was not heard for so long withholds the heartbeat of all


class Choir:
    """Hears each sensor's heartbeat and gives one for the process, from the one thread that speaks to the supervisor."""

    def __init__(self, names: Sequence[str], notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._ready = dict.fromkeys(names, False)
        self._done = dict.fromkeys(names, False)
        self._beats: dict[str, tuple[int, str]] = {}
        self._told_ready = False

    def voice(self, name: str) -> Voice:
        """What the thread of `name` speaks to instead of the supervisor."""
        return Voice(self, name)

    def ready(self, name: str) -> None:
        self._ready[name] = True

    def beat(self, name: str, health_json: str) -> None:
        self._beats[name] = (self._clock.monotonic_ns(), health_json)

    def done(self, name: str) -> None:
        self._done[name] = True

    def turn(self) -> None:
        """Pass on what is common to all."""
        if not self._told_ready and all(self._ready.values()):
            self._told_ready = True
            self._notifier.ready()
        now = self._clock.monotonic_ns()
        living = [name for name, done in self._done.items() if not done]
        if living and all(name in self._beats and now - self._beats[name][0] < FRESH_ns for name in living):
            told = [(name, self._beats[name][1]) for name in self._done if name in self._beats]  # in the order of the configuration
            each = ",".join(f"{msgspec.json.encode(name).decode()}:{health}" for name, health in told)
            self._notifier.beat(f'{{"sensors":{{{each}}}}}')


class Voice(Notifier):
    """A Notifier of one sensor among several."""

    def __init__(self, choir: Choir, name: str) -> None:
        super().__init__()
        self._choir = choir
        self._name = name

    def ready(self) -> None:
        self._choir.ready(self._name)

    def beat(self, health_json: str | None = None) -> None:
        self._choir.beat(self._name, health_json or "{}")

    def stopping(self) -> None:
        """The process tells it for all."""


def work_together(sensors: Sequence[SensorSettings], settings: Settings, process: Process) -> None:
    """Read all of them until told to stop. Raises what ended the first one that a bug ended."""
    choir = Choir([sensor.name for sensor in sensors], process.notifier, process.clock)
    failures: list[BaseException] = []

    def work(sensor: SensorSettings) -> None:
        own = msgspec.structs.replace(process, notifier=choir.voice(sensor.name), log=process.log.bind(sensor=sensor.name))
        try:
            work_on(sensor, settings, own, may_restart=False)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that the process ends with
            failures.append(error)
            process.stop.ask()
        finally:
            choir.done(sensor.name)

    threads = [threading.Thread(target=work, args=(sensor,), name=sensor.name) for sensor in sensors]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        _join(threads)
        choir.turn()
        if process.lifeline.cut():
            process.stop.ask()
    if failures:
        raise failures[0]


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        if thread.is_alive():
            thread.join(TURN_s)
            return
