"""What a terminal shows of a gateway's state."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edgegw.cli import show
from edgegw.cli.status import headline
from edgegw.worker.ladder import PROBE_s, Rung


def a_child(name: str = "front", state: str = "RUNNING", why: str = "", health: dict[str, Any] | None = None) -> dict[str, Any]:
    """A process as the supervisor tells of it."""
    return {"name": name, "state": state, "pid": 4242, "uptime_s": 61.0, "restarts": 0, "why": why, "health": health}


def a_sink(**changes: Any) -> dict[str, Any]:
    """A sink that is well."""
    return {"name": "mysql", "up": True, "delivered": 10, "dead": 0, "lag": 0, "lag_s": 0.0, "why": ""} | changes


def an_answer(*children: dict[str, Any]) -> dict[str, Any]:
    """An answer of the control socket."""
    return {"gateway": "pi-7", "version": "0", "pid": 1, "uptime_s": 1.0, "state": "running", "children": list(children)}


def rendered(answer: dict[str, Any]) -> str:
    """The tables as text without a terminal."""
    console = show.console()
    with console.capture() as captured:
        console.print(show.tables(answer))
    return captured.get()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 s"),
        (42.4, "42 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5999, "100 min"),
        (6000, "1 h 40 min"),
        (11_520, "3 h 12 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 d"),
    ],
)
def test_span(seconds: float | None, text: str) -> None:
    """A duration in one or two units."""
    assert show.span(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 KiB"), (1 << 20, "1.0 MiB"), (1536 << 10, "1.5 MiB")])
def test_size(count: int, text: str) -> None:
    """Bytes in binary units."""
    assert show.size(count) == text


def test_newest_tells_its_age_only_when_it_is_old() -> None:
    """A fresh reading shows its values; one that is two seconds old or more says so."""
    health = {"newest_ns": 1_000_000_000, "newest": {"distance_m": 1.23456, "strength": 812, "temperature_degC": None}}
    assert show.newest(health, 2_500_000_000) == "distance_m=1.235 strength=812 temperature_degC=-"
    assert show.newest(health, 8_000_000_000).endswith("  7 s ago")


def test_newest_from_the_future_is_not_negative() -> None:
    """The wall clock may step back; an age never is negative."""
    assert "ago" not in show.newest({"newest_ns": 9_000_000_000, "newest": {"x": 1}}, 1_000_000_000)


def test_nothing_read_yet_shows_a_dash() -> None:
    """A sensor without a reading has no newest one; of one without values, of which many would be left out, there is nothing to show."""
    assert show.newest({}) == "-"
    bad = {"newest_ns": 1_000_000_000, "newest": dict.fromkeys([f"acceleration_{axis}_m_s2" for axis in "xyz"] + ["p", "q"])}
    assert show.newest(bad, 1_000_000_001) == "-"
    assert show.newest(bad, 9_000_000_000) == "-  8 s ago"


def test_the_supervisors_reason_wins_over_the_workers() -> None:
    """A process that is in backoff says why it ended, not what it said last."""
    (row,) = show.rows(a_child(why="killed by SIGKILL", health={"why": "waiting"}))
    assert row.why == "killed by SIGKILL"


def test_sensors_that_share_a_process_have_a_line_each() -> None:
    """Below the process, with their own state, reading and reason; the process itself reads nothing."""
    door = {"rate_hz": 1.0, "newest_ns": 1, "newest": {"distance_m": 2.0}}
    gate = {"rate_hz": 0.0, "why": "nobody answers", "rung": "quarantine"}
    answer = an_answer(a_child("slow", health={"sensors": {"door": door, "gate": gate}}))
    text = rendered(answer)
    assert [row.name for row in show.rows(answer["children"][0])] == ["slow", "door", "gate"]
    assert show.unwell(answer) == ["gate"]
    assert re.search(r"^  door +RUNNING .* 1\.0 Hz", text, re.MULTILINE)
    assert re.search(r"^  gate +QUARANTINED ", text, re.MULTILINE)
    assert "gate  nobody answers [nothing helped so far" in text


def test_what_healed_a_sensor_is_shown_with_count_and_age() -> None:
    """Every rung that helped, and how long ago it did so last."""
    health = {"healed": {"re-read": {"count": 12, "last_ns": 10**9}, "reset": {"count": 1, "last_ns": 0}}}
    assert show.healed(health, 240 * 10**9) == "re-read 12× (4 min ago), reset 1× (4 min ago)"
    assert show.healed({}) == ""


def test_three_axes_are_shown_as_one() -> None:
    """Six names that differ in a letter would fill the line; what has no z stays as it is."""
    values = {"acceleration_x_m_s2": 0.1, "acceleration_y_m_s2": -0.2, "acceleration_z_m_s2": 9.81, "temperature_degC": None}
    assert show.compact(values) == {"acceleration_m_s2": "0.1,-0.2,9.81", "temperature_degC": "-"}
    assert show.compact({"laser_x_px": 1.0, "laser_y_px": 2.0}) == {"laser_x_px": "1", "laser_y_px": "2"}


def test_every_rung_has_its_words() -> None:
    """Whatever is being tried, the line says so."""
    assert set(show.RUNGS) == {rung.value for rung in Rung} - {Rung.REREAD.value}
    assert f"{PROBE_s:.0f} s" in show.RUNGS["quarantine"]


def test_unwell_names_processes_and_sinks() -> None:
    """Not running, running with a reason, down, up with a reason: each is named, and nothing else."""
    sinks = [a_sink(), a_sink(name="rabbitmq", up=False, why="away"), a_sink(name="sqlite", why="disk full")]
    answer = an_answer(
        a_child("bridge", health={"sinks": sinks}),
        a_child("good"),
        a_child("dead", state="BACKOFF"),
        a_child("sick", health={"why": "unplugged"}),
    )
    assert show.unwell(answer) == ["dead", "sick", "rabbitmq", "sqlite"]
    assert headline(answer).strip().endswith("degraded: dead, sick, rabbitmq, sqlite")


def test_all_is_well() -> None:
    """A healthy gateway says so in its first line."""
    assert headline(an_answer(a_child("bridge", health={"sinks": [a_sink()]}), a_child())).strip().endswith("all is well")


def test_tables_show_every_process_and_sink_with_its_reason() -> None:
    """A line for each, with rate, lag, and the reason in full even where it has to be folded."""
    reason = "there is no serial port /dev/serial/by-id/usb-1a86: is the sensor plugged in, and is this its name?"
    answer = an_answer(
        a_child("bridge", health={"stored": 5, "spool_bytes": 2048, "sinks": [a_sink(up=False, lag=77, lag_s=130.0, why="MySQL is away")]}),
        a_child("front", health={"rate_hz": 99.96}),
        a_child("left", why=reason),
    )
    text = rendered(answer)
    assert all(word in text for word in ("bridge", "100.0 Hz", "mysql", "down", "77", "2 min", "MySQL is away", "spool: 2 KiB, 5 readings"))
    assert set(reason.split()) <= set(text.split())


def test_markup_in_a_reason_is_shown_as_it_is() -> None:
    """[brackets] of an error text are not taken for rich's markup."""
    assert "[Errno 111] refused [/bold]" in rendered(an_answer(a_child(why="[Errno 111] refused [/bold]")))
