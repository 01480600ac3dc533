"""How a gateway's state looks in a terminal: one table of processes, one of sinks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

STYLES = {
    "RUNNING": "green",
    "STARTING": "yellow",
    "BACKOFF": "red",
    "STOPPING": "yellow",
    "EXITED": "red",
    "QUARANTINED": "bold red",
    "up": "green",
    "down": "red",
}

# What is being done about a sensor's trouble, by the rung of the recovery ladder.
RUNGS = {
    "reopen": "it is opened again and again",
    "reset": "it is being reset",
    "restart": "being tried in a fresh process",
    "quarantine": "nothing helped so far; it is tried again every 15 s",
}

MANY = 4
Child = Mapping[str, Any]


def console() -> Console:
    """Colour only on a terminal and never with NO_COLOR (rich sees to both); piped, lines keep their width."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


class Row(msgspec.Struct, frozen=True):
    """A line of the table: a process, or one of the several sensors that share one."""

    name: str
    state: str
    child: Child
    health: Mapping[str, Any]
    why: str
    indented: bool = False


def rows(child: Child) -> list[Row]:
    """The lines of one process: itself, and below it its sensors where there are several."""
    health = child.get("health") or {}
    shared: Mapping[str, Any] = health.get("sensors", {})
    own = str(child.get("why") or health.get("why") or "")
    state = child["state"]
    if not shared:
        return [Row(child["name"], _state(state, health), child, health, own)]
    each = [Row(name, _state(state, of), child, of, str(of.get("why", "")), indented=True) for name, of in shared.items()]
    return [Row(child["name"], state, child, {}, own), *each]


def _state(state: str, health: Mapping[str, Any]) -> str:
    """A sensor that its own process has given up for now is as good as quarantined, though the process lives."""
    return "QUARANTINED" if state == "RUNNING" and health.get("rung") == "quarantine" else state


def unwell(answer: Mapping[str, Any]) -> list[str]:
    """Names of what is not well: processes, sensors and sinks."""
    names = [row.name for child in answer["children"] for row in rows(child) if row.state != "RUNNING" or row.why]
    names += [name for name, _ in _warnings(answer)]
    return names + [sink["name"] for sink in sinks(answer) if not sink["up"] or sink["why"]]


def _bridge(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the bridge last told, if it has."""
    return next((child["health"] for child in answer["children"] if "spool_bytes" in (child.get("health") or {})), {})


def _warnings(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and sentence: sensors that the spool has no room for, the spool that has little, the tap that takes nobody."""
    bridge = _bridge(answer)
    crowded = [
        (each["sensor"], f"{each['why']} (for {span(each['for_s'])}; {each['waiting']} readings wait, {each['given_up']} were given up)")
        for each in bridge.get("crowded", ())
    ]
    return crowded + [(name, bridge[key]) for name, key in (("spool", "room"), ("tap", "tap")) if bridge.get(key)]


def sinks(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The sinks as the bridge last told."""
    return [sink for child in answer["children"] for sink in (child.get("health") or {}).get("sinks", ())]


def tables(answer: Mapping[str, Any]) -> RenderableType:
    """Everything that `status` shows."""
    every = [row for child in answer["children"] for row in rows(child)]
    return Group(_processes(every), _sinks(answer), *_reasons(every, answer))


def _processes(every: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("PROCESS", "STATE", "PID", "UP", "RESTARTS", "FAULTS", "RATE"):
        table.add_column(heading, justify="left" if heading in ("PROCESS", "STATE") else "right", no_wrap=True)
    table.add_column("NEWEST", no_wrap=True, overflow="ellipsis", max_width=80)
    table.add_column("HEALED", overflow="fold")
    for row in every:
        child, health = row.child, row.health
        process = ("", "", "") if row.indented else (str(child["pid"] or "-"), span(child["uptime_s"]), str(child["restarts"]))
        table.add_row(
            f"  {row.name}" if row.indented else row.name,
            Text(row.state, STYLES.get(row.state, "")),
            *process,
            str(health.get("faults", 0)) if "rate_hz" in health else "-",
            f"{health['rate_hz']:.1f} Hz" if "rate_hz" in health else "-",
            newest(health),
            healed(health),
        )
    return table


def _reasons(every: Sequence[Row], answer: Mapping[str, Any]) -> list[RenderableType]:
    """What is wrong, in whole sentences: a column among others would chop them up."""
    wrong = [(row.name, row.why, RUNGS.get(str(row.health.get("rung", "")), "")) for row in every if row.why]
    wrong += [(name, why, "") for name, why in _warnings(answer)]
    wrong += [(sink["name"], sink["why"], "") for sink in sinks(answer) if sink["why"]]
    if not wrong:
        return []
    lines = Table(box=None, pad_edge=False, show_header=False)
    for name, reason, rung in wrong:
        lines.add_row(f"  {name}", Text(reason, "yellow").append(f" [{rung}]" if rung else "", "dim"))
    return [Text("\nWhat is wrong:", "bold"), lines]


def healed(health: Mapping[str, Any], now_ns: int | None = None) -> str:
    """Which rungs of the recovery ladder helped, how often, and how long ago the last time was."""
    now_ns = now_ns or time.time_ns()
    return ", ".join(
        f"{rung} {of['count']}× ({span(max(0.0, (now_ns - of['last_ns']) / 1e9))} ago)" for rung, of in health.get("healed", {}).items()
    )


def _sinks(answer: Mapping[str, Any]) -> RenderableType:
    found = sinks(answer)
    if not found:
        return Text("")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SINK", "STATE", "DELIVERED", "LAG", "BEHIND", "DEAD"):
        table.add_column(heading, justify="left" if heading in ("SINK", "STATE") else "right", no_wrap=True)
    for sink in found:
        state = "up" if sink["up"] else "down"
        counts = (f"{sink['delivered']}", f"{sink['lag']}", span(sink["lag_s"]), f"{sink['dead']}")
        table.add_row(sink["name"], Text(state, STYLES[state]), *counts)
    spool = _bridge(answer)
    text = f"\nspool: {size(spool.get('spool_bytes', 0))}, {spool.get('stored', 0)} readings since the bridge started"
    return Group(Text(""), table, Text(text), *([Text(f"card: {spool['card']}")] if spool.get("card") else []))


def newest(health: Mapping[str, Any], now_ns: int | None = None) -> str:
    """The newest reading and its age."""
    if not health.get("newest_ns"):
        return "-"
    age_s = max(0.0, ((now_ns or time.time_ns()) - health["newest_ns"]) / 1e9)
    values = " ".join(f"{name}={value}" for name, value in compact(health["newest"]).items()) or "-"  # of many values there may be none
    return f"{values}  {span(age_s)} ago" if age_s >= 2 else values


def compact(values: Mapping[str, Any]) -> dict[str, str]:
    """Values in a few characters; what has an x, a y and a z becomes one, and of many the nulls are left out."""
    short: dict[str, str] = {}
    for name, value in values.items():
        if value is None and len(values) > MANY:
            continue
        axes = [name.replace("_x_", f"_{axis}_") for axis in "xyz"]
        if "_x_" in name and all(axis in values for axis in axes):
            short[name.replace("_x_", "_")] = ",".join(brief(values[axis]) for axis in axes)
        elif not any(f"_{axis}_" in name and name.replace(f"_{axis}_", "_") in short for axis in "yz"):
            short[name] = brief(value)
    return short


def brief(value: object) -> str:
    """A value in a few characters."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def span(seconds: float | None) -> str:
    """A duration in one or two units, as 42 s, 5 min, 3 h 12 min."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{seconds / 86_400:.0f} d"


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1024:.0f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MiB"


def many(count: int, name: str) -> str:
    """As in 1 reading, 2 readings."""
    return f"{count} {name}{'' if count == 1 else 's'}"
