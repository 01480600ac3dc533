"""The top of the recovery ladder, filters and shared processes, through the real commands."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.processes.rig import Rig, rig
from tests.services.base import living, until

LIMIT_s = 90
SLOW = """
[sensors.door]
driver = "tfluna"
port = "virtual?seed=1"
rate_hz = 50
process = "slow"
min_interval_s = 0.2
[sensors.gate]
driver = "tfluna"
port = "/dev/serial/by-id/nothing"
process = "slow"
"""


def child(gateway: Rig, name: str) -> dict[str, Any]:
    return next(each for each in gateway.status()["children"] if each["name"] == name)


def sensors(gateway: Rig) -> dict[str, Any]:
    """What the shared process says of its sensors."""
    found: dict[str, Any] = (child(gateway, "slow")["health"] or {}).get("sensors", {})
    return found


def test_slow_sensors_share_a_process() -> None:
    """One process for both, a line each in status, one in trouble and one well; restart by the sensor's name; filtered is accounted for."""
    with rig(1, 50, SLOW) as made:
        made.start()
        until(lambda: sensors(made).get("door", {}).get("filtered", 0) > 20 and sensors(made)["gate"].get("why"), LIMIT_s, "both")
        shown = made.run("status").stdout
        assert set(made.children()) == {"supervisor", "bridge", "s0", "slow"}
        assert re.findall(r"^  (\S+)", shown, re.MULTILINE) == ["door", "gate", "gate"]  # two in the table, one among what is wrong
        assert "What is wrong:" in shown
        line = json.loads(made.run("tap", "door", "--json", "-n", "1").stdout)
        assert line["sensor"] == "door"
        before = made.children()["slow"]
        assert made.run("restart", "gate").returncode == 0
        until(lambda: not living(before), LIMIT_s, "the end of the old process")
        until(lambda: sensors(made).get("door", {}).get("rate_hz"), LIMIT_s, "the new one to read")
        made.stop()
        runs = [book for book in made.books() if book.run.sensor == "door"]
        assert len(runs) == 2
        for book in runs:
            counts = book.counts
            assert book.closed
            assert counts.produced == counts.filtered + book.kept, "what is not filtered is in the spool, nothing between"
            assert 0 < book.kept < counts.produced / 4


def test_a_device_that_nothing_helps_ends_in_quarantine() -> None:
    """Reopened, then in a fresh process, then left alone but for a try now and then; status says so, the neighbour reads on."""
    with rig(1, 50, '[sensors.file]\ndriver = "tfluna"\nport = "/dev/null"\n') as made:
        made.start()
        until(lambda: child(made, "file")["restarts"], LIMIT_s, "a fresh process")
        until(lambda: (child(made, "file")["health"] or {}).get("rung") == "quarantine", LIMIT_s, "quarantine")
        shown = made.run("status")
        assert child(made, "file")["restarts"] == 1
        assert child(made, "s0")["health"]["rate_hz"] > 0
    assert shown.returncode == 150
    assert "QUARANTINED" in shown.stdout
    assert "/dev/null is not a serial port" in shown.stdout
