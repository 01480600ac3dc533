"""What the virtual peripheral measures and writes: payloads byte for byte, lines cut as a serial module cuts them, the scene, the radio."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from workers.virtual.hcsr04.adapter import Adapter, Busy
from workers.virtual.hcsr04.behaviour import Behaviour, behaviour_of, values_of
from workers.virtual.hcsr04.payload import Chunks, profile_of
from workers.virtual.hcsr04.peripheral import Peripheral
from workers.virtual.hcsr04.scene import FAR_m, NEAR_m, Scene

UART = {"format": "nordic-uart"}
# What the makers' documents say: behaviour, distance in m, seconds since power-up, payload
PAYLOADS: list[tuple[Mapping[str, object], float | None, float, bytes]] = [
    (UART, 1.234, 0, b"123.4\r\n"),
    (UART, None, 0, b"0.0\r\n"),
    ({"format": "hm10", "scale_m": 0.001}, 1.234, 0, b"1234.0\r\n"),
    ({"format": "text"}, 1.234, 0, b"123.4"),
    ({"format": "u16-mm"}, 1.234, 0, bytes.fromhex("D204")),
    ({"format": "u16-mm"}, None, 0, bytes.fromhex("FFFF")),
    ({"format": "u16-cm"}, 1.234, 0, bytes.fromhex("7B00")),
    ({"format": "f32-m"}, 1.234, 0, bytes.fromhex("B6F39D3F")),
    ({"format": "f32-m"}, None, 0, bytes.fromhex("0000C07F")),
    ({"format": "obs8"}, 1.0, 43567.893, bytes.fromhex("15CB98026400FFFF")),
    ({"format": "obs8"}, None, 0, bytes.fromhex("00000000FFFFFFFF")),
    ({"format": "sig-length"}, 1.234, 0, bytes.fromhex("204BBC00")),
    ({"format": "sig-length"}, None, 0, bytes.fromhex("FFFFFFFF")),
    ({"format": "custom", "layout": "<2xf", "scale_m": 0.01, "none": 999.5}, 1.234, 0, bytes.fromhex("0000CDCCF642")),
    ({"format": "custom", "layout": ">xh", "scale_m": 0.001, "none": -1}, None, 0, bytes.fromhex("00FFFF")),
]


@pytest.mark.parametrize(("told", "distance_m", "at_s", "payload"), PAYLOADS)
def test_payloads_are_those_of_the_documents(told: Mapping[str, object], distance_m: float | None, at_s: float, payload: bytes) -> None:
    """Byte for byte."""
    assert profile_of(behaviour_of(told)).encode(distance_m, at_s) == payload


def test_a_serial_module_cuts_lines_anyhow_and_loses_nothing() -> None:
    """Never more than 20 bytes; some lines come in parts, some together; put together, they are what went in."""
    chunks, lines = Chunks(seed=1), [f"{number}.5\r\n".encode() for number in range(1000)]
    cut = [chunk for line in lines for chunk in chunks.cut(line)]
    assert b"".join(lines).startswith(b"".join(cut))
    assert len(b"".join(lines)) - len(b"".join(cut)) <= Chunks.LENGTH_bytes
    assert 1 <= min(map(len, cut)) < max(map(len, cut)) == Chunks.LENGTH_bytes
    assert any(b"\r\n" in chunk[:-2] for chunk in cut)
    assert sum(not chunk.endswith(b"\n") for chunk in cut) > 100


def test_the_scene_is_a_door() -> None:
    """It opens and closes between its two ends, mostly stands still, and moves no faster than a door."""
    scene, quiet = Scene(seed=4), Behaviour(noise_m=0.0)
    seen_m = [distance or 0.0 for distance in (scene.measure(tick / 10, quiet) for tick in range(600))]
    assert min(seen_m) == pytest.approx(NEAR_m, abs=0.05)
    assert max(seen_m) == pytest.approx(FAR_m, abs=0.05)
    steps_m = [abs(after - before) for before, after in itertools.pairwise(seen_m)]
    assert max(steps_m) < 0.4
    assert sum(step < 0.05 for step in steps_m) > 300


def test_a_stuck_line_stays_high_for_as_long_as_told() -> None:
    """One missing echo, and a second without any."""
    scene = Scene(seed=1)
    assert scene.measure(0, Behaviour(no_echo=1, stuck_s=1)) is None
    assert scene.measure(0.9, Behaviour()) is None
    assert scene.measure(1.0, Behaviour()) is not None


def test_the_adapter_counts_who_scans() -> None:
    """Two at once are seen as two, so that a test which finds one at a time has found something."""
    events: list[tuple[str, dict[str, Any]]] = []
    adapter = Adapter([Peripheral(Behaviour())], lambda what, more: events.append((what, more)))
    adapter.start_scan("a")
    adapter.start_scan("b")
    with pytest.raises(Busy):
        adapter.start_scan("b")
    assert [more["at_once"] for what, more in events if what == "scan"] == [1, 2]


def test_values_are_pairs() -> None:
    """As in the query of a URL; nothing at all is no pair, and no fault."""
    assert values_of("") == {}
    assert values_of("name=back%20door&no_echo=0.1") == {"name": "back door", "no_echo": "0.1"}
