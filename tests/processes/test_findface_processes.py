"""A thousand faces through the whole gateway to a FindFace that is away twice, and a bridge that is killed."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.testing.findface import FakeFindFace
from tests.processes import face_source
from tests.processes.rig import Rig, rig
from tests.services.base import until

FACES = 1000
PATIENCE_s = 90
AGAIN = re.compile(r"face_sent_again_and_may_be_there_twice.*\btrack=(\d+)")


@pytest.fixture
def fake() -> Iterator[FakeFindFace]:
    with FakeFindFace({3: "detector-token"}, api_token="api-token") as server:
        yield server


def section(home: Path, fake: FakeFindFace, rate_hz: float, *, look_up: bool, count: int = FACES) -> str:
    """A source of faces and the sink for them, as a user writes it."""
    for name, text in (("api.token", "api-token"), ("gate.token", "detector-token")):
        (home / name).touch(mode=0o600)
        (home / name).write_text(text)
    return f"""
[sensors.gate]
driver = "face_source"
count = {count}
rate_hz = {rate_hz}
note = "{home}/note"
[sinks.sqlite]
[sinks.findface]
url = "{fake.url}"
token_file = "{home}/api.token"
look_up = {str(look_up).lower()}
[sinks.findface.cameras.gate]
camera = 3
token_file = "{home}/gate.token"
"""


def kill_the_bridge(gateway: Rig) -> None:
    victim = gateway.children()["bridge"]
    victim.send_signal(signal.SIGKILL)
    until(lambda: gateway.children().get("bridge", victim).pid != victim.pid, PATIENCE_s, "a new bridge")


def away(gateway: Rig, fake: FakeFindFace, faces: int) -> None:
    """Until so many have piled up."""
    fake.stop()
    until(lambda: gateway.sinks().get("findface", {"lag": 0})["lag"] >= faces, PATIENCE_s, "a backlog")
    fake.start()


@pytest.mark.parametrize("look_up", [True, False], ids=["look_up", "blind"])
def test_a_thousand_faces_arrive(fake: FakeFindFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_up: bool) -> None:
    """All of them, through two outages and a SIGKILL of the bridge; each that is there twice was announced, and with look_up none is."""
    face_source.install(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with rig(1, 20, section(tmp_path, fake, 100, look_up=look_up)) as gateway:
        gateway.start()
        until(lambda: len(fake.events) >= 100, PATIENCE_s, "the first hundred")
        away(gateway, fake, 50)
        until(lambda: len(fake.events) >= 300, PATIENCE_s, "three hundred")
        kill_the_bridge(gateway)
        until(lambda: len(fake.events) >= 500, PATIENCE_s, "five hundred")
        away(gateway, fake, 100)
        wanted = {face_source.digest(number): number for number in range(FACES)}
        until(lambda: {event.digest for event in fake.events} >= wanted.keys(), PATIENCE_s, "all of them")
        until(lambda: gateway.sinks()["findface"]["lag"] == 0, PATIENCE_s, "the cursor to pass them")
        announced = {int(track) for track in AGAIN.findall(gateway.run("logs").stdout)}
        gateway.stop()
        kept = gateway.paths.spool.read_bytes()
        assert [number for number in range(FACES) if face_source.grain(number) in kept] == [], "a picture is still in the spool"
    times = Counter(wanted[event.digest] for event in fake.events)
    assert sorted(times) == list(range(FACES))
    twice = {number for number, count in times.items() if count > 1}
    assert twice <= announced
    if look_up:
        assert twice == set()


def test_purge_erases_what_waits(fake: FakeFindFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the gateway running and without: the pictures are gone from the disk, and their events are dead letters that say so."""
    face_source.install(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fake.stop()
    with rig(1, 20, section(tmp_path, fake, 50, look_up=False, count=30)) as gateway:
        gateway.start()
        until(lambda: gateway.sinks().get("findface", {"lag": 0})["lag"] == 30, PATIENCE_s, "thirty that wait")
        assert gateway.run("purge", "--faces").stdout == "erased 30 pictures of faces\n"
        assert face_source.picture(7)[2:40] not in _on_disk(gateway)
        fake.start()
        until(lambda: gateway.sinks()["findface"]["dead"] == 30, PATIENCE_s, "thirty dead letters")
        fake.stop()
        (tmp_path / "note").write_text("0")
        assert gateway.run("restart", "gate").returncode == 0
        until(lambda: gateway.sinks().get("findface", {"lag": 0})["lag"] == 30, PATIENCE_s, "thirty more")
        gateway.stop()
        assert face_source.picture(7)[2:40] in _on_disk(gateway)
        assert gateway.run("purge", "--faces", "--json").stdout == '{"erased":30}\n'
        assert face_source.picture(7)[2:40] not in _on_disk(gateway)
        assert gateway.run("purge", "--faces").stdout == "no picture of a face was waiting\n"
    assert fake.events == []


def _on_disk(gateway: Rig) -> bytes:
    return b"".join(file.read_bytes() for file in gateway.paths.state.glob("spool.db*") if not file.name.endswith(".ballast"))
