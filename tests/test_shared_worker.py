"""Several sensors in one process: one heartbeat for all, one fate for all, and each with its own run and its own readings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from edgegw import driver, tally
from edgegw.clock import NS_PER_S, SystemClock
from edgegw.config import GatewaySettings, SensorSettings, Settings, SinksSettings, SpoolSettings
from edgegw.errors import DeviceError
from edgegw.health import SharedHealth
from edgegw.paths import Paths
from edgegw.reading import Sample
from edgegw.testing import FakeClock, NoOptions
from edgegw.worker.shared import Choir, FRESH_ns, work_together
from tests.rig import Heard, Rig
from tests.services.base import until

LIMIT_s = 30
Life = Callable[[str], Generator[Sample | None, None, None]]


def test_the_process_is_ready_when_all_are() -> None:
    """And not twice."""
    heard, clock = Heard(), FakeClock()
    choir = Choir(["door", "gate"], heard, clock)
    choir.voice("door").ready()
    choir.turn()
    assert heard.told == []
    choir.voice("gate").ready()
    choir.turn()
    choir.turn()
    assert heard.told == ["ready"]


def test_one_silent_sensor_withholds_the_heartbeat_of_all() -> None:
    """So a thread that hangs is found as a process that hangs; a sensor that has ended is not waited for."""
    heard, clock = Heard(), FakeClock()
    choir = Choir(["door", "gate"], heard, clock)
    door, gate = choir.voice("door"), choir.voice("gate")
    door.beat('{"rate_hz":1.0}')
    choir.turn()
    assert heard.beats == []
    gate.beat('{"why":"deaf"}')
    choir.turn()
    health = msgspec.json.decode(heard.beats[-1], type=SharedHealth)
    assert (health.sensors["door"].rate_hz, health.sensors["gate"].why) == (1.0, "deaf")
    clock.now_ns += FRESH_ns
    door.beat("{}")
    choir.turn()
    assert len(heard.beats) == 1
    choir.done("gate")
    choir.turn()
    assert len(heard.beats) == 2


class Bench:
    """Settings with two sensors, whose drivers do as they are told."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = Paths(home / "run", home / "state")
        self.paths.runtime.mkdir()
        self.paths.state.mkdir()
        self.threads: dict[str, int] = {}
        self.lives: dict[str, Life] = {"door": self.well, "gate": self.well}
        sensors = [SensorSettings(name=name, driver=name, options=NoOptions(), linger_s=0.01, process="slow") for name in self.lives]
        self.settings = Settings(
            gateway=GatewaySettings(id="gw", runtime_dir=self.paths.runtime, state_dir=self.paths.state),
            spool=SpoolSettings(),
            sensors=tuple(sensors),
            sinks=SinksSettings(),
            paths=self.paths,
            sources=(),
        )
        monkeypatch.setattr(driver, "find", self._find)

    def _find(self, name: str) -> driver.Driver:
        return driver.Driver(name, NoOptions, {"lidar": {"distance_m": float}}, lambda _: self.lives[name](name))

    def well(self, name: str) -> Generator[Sample | None, None, None]:
        """A sample every few milliseconds."""
        self.threads[name] = threading.get_ident()
        while True:
            SystemClock.sleep_until(SystemClock.monotonic_ns() + NS_PER_S // 200)
            yield Sample({"distance_m": 1.0})


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def worked(bench: Bench, rig: Rig) -> SharedHealth:
    """Both read until there is a heartbeat, and are told to stop; what the heartbeat said."""
    process = msgspec.structs.replace(rig.process, clock=SystemClock())
    runner = threading.Thread(target=work_together, args=(bench.settings.sensors, bench.settings, process))
    runner.start()
    until(lambda: rig.heard.beats, LIMIT_s, "a heartbeat of both")
    rig.stop.ask()
    runner.join(LIMIT_s)
    assert not runner.is_alive()
    return msgspec.json.decode(rig.heard.beats[-1], type=SharedHealth)


def test_each_sensor_has_a_thread_and_a_run_of_its_own(bench: Bench, rig: Rig) -> None:
    """Both read at the same time, and both books are closed at the end."""
    health = worked(bench, rig)
    assert set(health.sensors) == {"door", "gate"}
    assert len(set(bench.threads.values())) == 2
    closed = {ended.run.sensor: ended.counts.produced for ended in tally.ended(bench.paths.tally)}
    assert set(closed) == {"door", "gate"}
    assert min(closed.values()) > 0


def test_a_device_in_trouble_disturbs_no_companion(bench: Bench, rig: Rig) -> None:
    """It climbs its own ladder, without the rung that would restart the process of the other."""

    def deaf(_name: str) -> Generator[Sample | None, None, None]:
        raise DeviceError("deaf")
        yield None

    bench.lives["gate"] = deaf
    health = worked(bench, rig)
    assert health.sensors["gate"].why == "deaf"
    assert health.sensors["door"].produced > 0
    assert {entry["sensor"] for entry in rig.log("device_lost")} == {"gate"}


def test_a_bug_in_one_ends_the_process(bench: Bench, rig: Rig) -> None:
    """The supervisor sees it; the companion's readings are counted to the last."""

    def buggy(_name: str) -> Generator[Sample | None, None, None]:
        raise ZeroDivisionError
        yield None

    bench.lives["gate"] = buggy
    with pytest.raises(ZeroDivisionError):
        work_together(bench.settings.sensors, bench.settings, msgspec.structs.replace(rig.process, clock=SystemClock()))
    assert {ended.run.sensor for ended in tally.ended(bench.paths.tally)} == {"door", "gate"}
