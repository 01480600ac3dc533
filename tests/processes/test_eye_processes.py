"""A camera that follows faces, in a whole gateway: events in the store, pictures at FindFace, frames for a second process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.testing.findface import FakeFindFace
from tests.processes.rig import Rig, rig
from tests.services.base import until

PATIENCE_s = 60


@pytest.fixture
def fake() -> Iterator[FakeFindFace]:
    with FakeFindFace({3: "detector-token"}) as server:
        yield server


def section(home: Path, fake: FakeFindFace) -> str:
    """A camera whose faces go to FindFace, and a second sensor that looks through it."""
    (home / "gate.token").touch(mode=0o600)
    (home / "gate.token").write_text("detector-token")
    return f"""
[sensors.gate]
driver = "camera"
source = "virtual?faces=2&stay_s=3&format=yuv420"
width_px = 640
height_px = 360
faces = true
send_faces = true
purpose = "to see that a test passes"
share = "test-{os.getpid()}"
masks = [[0.0, 0.0, 0.1, 0.0, 0.1, 0.1, 0.0, 0.1]]
[sensors.second]
driver = "camera"
source = "shared:test-{os.getpid()}"
[sinks.sqlite]
[sinks.findface]
url = "{fake.url}"
[sinks.findface.cameras.gate]
camera = 3
token_file = "{home}/gate.token"
"""


def asked(gateway: Rig, question: str) -> list[tuple[object, ...]]:
    """Of the embedded store."""
    with closing(sqlite3.connect(f"file:{gateway.paths.state / 'store.db'}?mode=ro", uri=True)) as store:
        return list(store.execute(question))


def test_faces_reach_the_store_and_findface(fake: FakeFindFace, tmp_path: Path) -> None:
    """Who enters leaves, once each; a picture of each goes out, and none is logged or stored; a second process looks on."""
    with rig(1, 20, section(tmp_path, fake)) as gateway:
        gateway.start()
        until(lambda: len(fake.events) >= 3, PATIENCE_s, "three faces at FindFace")
        status = {child["name"]: child for child in gateway.status()["children"]}
        assert (status["gate"]["health"].get("why", ""), status["second"]["health"].get("why", "")) == ("", "")
        assert status["second"]["health"]["newest"]["width_px"] == 640
        assert status["gate"]["health"]["newest"]["faces"] in (0, 1, 2, 3)
        assert "\\xff\\xd8" not in gateway.logs()
        gateway.stop()
        entered = {track for (track,) in asked(gateway, "SELECT track FROM face WHERE event = 'enter'")}
        left = [track for (track,) in asked(gateway, "SELECT track FROM face WHERE event = 'leave'")]
        assert len(left) == len(set(left)) >= len(fake.events)
        assert set(left) <= entered
        assert b"\xff\xd8\xff" not in (gateway.paths.state / "store.db").read_bytes()
    assert all(event.camera == 3 and event.picture_bytes > 1000 and len(event.roi) == 4 for event in fake.events)
    assert not list(Path("/dev/shm").glob(f"edgegw-*-test-{os.getpid()}-*"))
