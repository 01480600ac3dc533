"""The tap's reader, at a real XPUB socket."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import pytest

from edgegw import codec, tap
from edgegw.bus import BridgeEnd
from edgegw.clock import SystemClock
from edgegw.errors import NotRunning
from edgegw.signals import StopNote
from tests.records import a_reading, a_run
from tests.services.base import service_dir

SENSORS = ("front", "left", "door")
KINDS = {"front": "lidar", "left": "lidar", "door": "ultrasonic"}


class Source:
    """A bridge's tap that offers a reading of each sensor over and over."""

    def __init__(self, place: Path) -> None:
        self.socket = place / "tap.sock"
        self._end = BridgeEnd(place / "bus.sock", self.socket)
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """No more readings."""
        self._stop.set()
        self._thread.join()
        self._end.close()

    def _run(self) -> None:
        seq = 0
        while not self._stop.wait(0.005):
            if not self._end.tapped():
                continue
            for sensor in SENSORS:
                run = a_run(0, sensor)
                self._end.offer(f"{KINDS[sensor]}/{sensor}", codec.reading_json(run, "lidar", a_reading(seq, (1.5, None, 41.5))))
            seq += 1


@pytest.fixture
def source() -> Iterator[Source]:
    """A tap with three sensors."""
    place = service_dir("tap")
    made = Source(place)
    yield made
    made.close()
    place.rmdir()


def tapped(source: Source, wish: tap.Wish, stop: StopNote | None = None) -> list[str]:
    """The lines that come."""
    out = io.StringIO()
    note = stop or StopNote()
    count = tap.run(source.socket, wish, out, SystemClock(), note)
    note.close()
    lines = out.getvalue().splitlines()
    assert count == len(lines)
    return lines


def sensors(lines: Sequence[str]) -> set[str]:
    """Whose readings they are."""
    return {json.loads(line)["sensor"] for line in lines}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), {"front", "left", "door"}),
        (("front",), {"front"}),
        (("lidar/*",), {"front", "left"}),
        (("*/door",), {"door"}),
        (("lidar/front", "door"), {"front", "door"}),
        (("f*",), {"front"}),
        (("lidar/[fl]*",), {"front", "left"}),
    ],
)
def test_patterns(source: Source, patterns: tuple[str, ...], expected: set[str]) -> None:
    """A name is a sensor of any kind; kind/sensor may hold wildcards; several patterns add up."""
    assert sensors(tapped(source, tap.Wish(patterns, json=True, count=30))) == expected


def test_a_name_is_not_a_prefix(source: Source) -> None:
    """`lidar/fron` is no sensor, though ZeroMQ's filter would let `lidar/front` pass."""
    assert tapped(source, tap.Wish(("lidar/fron",), seconds=0.5)) == []


def test_count(source: Source) -> None:
    """-n 7 is seven lines."""
    assert len(tapped(source, tap.Wish(count=7))) == 7


def test_seconds_end_it(source: Source) -> None:
    """It ends by itself, with readings."""
    assert tapped(source, tap.Wish(seconds=1.0))


def test_limit_is_per_sensor(source: Source) -> None:
    """--limit 2 over a second leaves at most three lines a sensor (both ends count), and forgets no sensor."""
    lines = tapped(source, tap.Wish(json=True, seconds=1.0, limit_hz=2))
    assert sensors(lines) == set(SENSORS)
    assert all(sum(json.loads(line)["sensor"] == sensor for line in lines) <= 3 for sensor in SENSORS)


def test_a_request_to_stop_ends_it(source: Source) -> None:
    """Asked before it begins, it shows nothing and leaves."""
    stop = StopNote()
    stop.ask()
    assert tapped(source, tap.Wish(), stop) == []


def test_a_line_says_when_whose_and_what() -> None:
    """Local time to the millisecond, sensor, seq, values with null as a dash, and the quality only when it is not good."""
    reading = json.loads(codec.reading_json(a_run(), "lidar", a_reading(0, (1.234567891, None, 41.5))))
    text = tap.line(reading)
    assert text.split()[1:] == ["front", "0", "distance_m=1.23457", "strength=-", "temperature_degC=41.5"]
    assert text.split()[0].endswith(".123")
    assert tap.line(reading | {"quality": "bad"}).endswith("  [bad]")


def test_without_a_gateway_it_says_what_to_do(tmp_path: Path) -> None:
    """No socket: one sentence that names the command that says why."""
    note = StopNote()
    with pytest.raises(NotRunning, match="edgegw status"):
        tap.run(tmp_path / "tap.sock", tap.Wish(), io.StringIO(), SystemClock(), note)
    note.close()
