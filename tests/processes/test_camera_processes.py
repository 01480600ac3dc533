"""A camera on the ribbon cable that fails in four ways, in a real gateway: each is found and healed, and the neighbour notices nothing."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.log.entry import Entry
from edgegw.log.reader import read
from tests.processes.rig import Rig, rig
from tests.services.base import until
from tests.workers.rpicam_program import install, path_with

LIMIT_s = 60
HZ = 100
STEADY = 8  # good readings of the camera in a row, that is 2 s, are health
SLACK_s = 4.0  # what a busy machine may add to a deadline: a gateway, two interpreters that start, and whatever runs beside the tests
EYE = """
[sensors.eye]
driver = "camera"
source = "rpicam"
width_px = 320
height_px = 240
fps = 15
rate_hz = 4
"""


class Fault(NamedTuple):
    """What is done to the camera, when it has to be found by, and how it is told."""

    text: str
    deadline_s: float
    why: str


# The deadlines are those of workers/camera/sources/rpicam.py, and for a frozen picture the 10 s of workers/camera/verdict.py.
FAULTS = {
    "hangs": Fault("fault=hang&once=1", 3.0, r"no picture comes|gives no whole picture"),
    "crashes in mid-frame": Fault("fault=crash&once=1", 0.0, r"crashed \(SIGSEGV\)"),
    "loses its camera": Fault("fault=lost", 1.0, r"frames stop coming over the ribbon cable"),  # the second that the program waits itself
    "freezes": Fault("fault=freeze&once=1", 10.0, r"one and the same picture"),
}


class Stored:
    """What the gateway has stored, as somebody else's program sees it."""

    def __init__(self, file: Path) -> None:
        self._store = sqlite3.connect(f"file:{file}?mode=ro", uri=True)

    def times_ns(self, kind: str, quality: str = "good", since_ns: int = 0) -> list[int]:
        """When the readings of that quality were taken (CLOCK_BOOTTIME), in order."""
        rows = self._store.execute(f"SELECT boot_ns FROM {kind} WHERE quality = ? AND boot_ns > ? ORDER BY boot_ns", (quality, since_ns))
        return [int(time_ns) for (time_ns,) in rows]

    def lost(self) -> int:
        """Readings of the neighbour that are missing between its first and its last."""
        rows = self._store.execute("SELECT max(seq) - min(seq) + 1 - count(*) FROM lidar GROUP BY run_id").fetchall()
        assert len(rows) == 1, "the neighbour has been started once"
        return int(rows[0][0])

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which the program misbehaves that the gateway will find on its PATH."""
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    return install(tmp_path / "bin")


def logged(gateway: Rig, event: str) -> list[Entry]:
    """What the camera's process has logged of that kind so far."""
    return [entry for entry in read(gateway.paths.logs, "eye") if entry.get("event") == event]


def good(stored: Stored, since_ns: int) -> int:
    """When the camera's readings had become good for a while after that time, waited for (CLOCK_BOOTTIME, ns)."""
    return until(lambda: stored.times_ns("camera", since_ns=since_ns)[STEADY:], LIMIT_s, "good readings of the camera")[0]


def suffered(made: Rig, stored: Stored, fault: Path, what: Fault, number: int) -> tuple[int, int]:
    """One fault: when it began, and when the camera was well again (CLOCK_BOOTTIME, ns)."""
    begun_ns, begun_s = SystemClock.boot_ns(), SystemClock.wall_ns() / NS_PER_S
    fault.write_text(what.text)
    lost = until(lambda: logged(made, "device_lost")[number:], LIMIT_s, "the fault to be found")[0]
    fault.write_text("")
    found_s = datetime.fromisoformat(str(lost["time"])).timestamp() - begun_s
    assert re.search(what.why, str(lost["why"]))
    assert found_s < what.deadline_s + SLACK_s
    healed_ns = good(stored, begun_ns + round(found_s * NS_PER_S))
    until(lambda: len(logged(made, "device_healed")) > number, LIMIT_s, "the ladder to have done with it")
    return begun_ns, healed_ns


def rate_hz(times_ns: list[int], from_ns: int, to_ns: int) -> float:
    """How many a second in that time."""
    return sum(from_ns <= time_ns < to_ns for time_ns in times_ns) * NS_PER_S / (to_ns - from_ns)


def test_a_camera_fails_in_every_way(fault: Path) -> None:
    """Found within its stated deadline, told in a sentence, healed by the ladder; the neighbour's rate stays, and it loses no reading."""
    with rig(1, HZ, EYE) as made, contextlib.ExitStack() as stack:
        made.start()
        until((made.paths.state / "store.db").exists, LIMIT_s, "the store")
        stored = Stored(made.paths.state / "store.db")
        stack.callback(stored.close)
        well_ns = good(stored, 0)
        spans = [suffered(made, stored, fault, what, number) for number, what in enumerate(FAULTS.values())]
        made.stop()
        times_ns = stored.times_ns("lidar")
        for name, before_ns, (begun_ns, healed_ns) in zip(FAULTS, [well_ns, *(healed_ns for _, healed_ns in spans)], spans, strict=False):
            ratio = rate_hz(times_ns, begun_ns, healed_ns) / rate_hz(times_ns, before_ns, begun_ns)
            assert 0.8 < ratio < 1.25, (name, ratio)
        assert stored.lost() == 0
