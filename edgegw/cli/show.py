"""How a gateway's state looks in a terminal: one table of processes, one of sinks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

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

Child = Mapping[str, Any]


def console() -> Console:
    """Colour only on a terminal and never with NO_COLOR (rich sees to both); piped, lines keep their width."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def why(child: Child) -> str:
    """Why a process is not well; "" when it is."""
    return str(child.get("why") or (child.get("health") or {}).get("why") or "")


def unwell(answer: Mapping[str, Any]) -> list[str]:
    """Names of what is not well: processes and sinks."""
    names = [child["name"] for child in answer["children"] if child["state"] != "RUNNING" or why(child)]
    return names + [sink["name"] for sink in sinks(answer) if not sink["up"] or sink["why"]]


def sinks(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The sinks as the bridge last told."""
    return [sink for child in answer["children"] for sink in (child.get("health") or {}).get("sinks", ())]


def tables(answer: Mapping[str, Any]) -> RenderableType:
    """Everything that `status` shows."""
    return Group(_processes(answer["children"]), _sinks(answer))


def _processes(children: Sequence[Child]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("PROCESS", "left"),
        ("STATE", "left"),
        ("PID", "right"),
        ("UP", "right"),
        ("RESTARTS", "right"),
        ("FAULTS", "right"),
        ("RATE", "right"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type] # mypy widens the literals of the tuple
    table.add_column("NEWEST", no_wrap=True, overflow="ellipsis", max_width=64)
    table.add_column("WHY", overflow="fold")
    for child in children:
        health = child.get("health") or {}
        table.add_row(
            child["name"],
            Text(child["state"], STYLES.get(child["state"], "")),
            str(child["pid"] or "-"),
            span(child["uptime_s"]),
            str(child["restarts"]),
            str(health.get("faults", 0)) if "rate_hz" in health else "-",
            f"{health['rate_hz']:.1f} Hz" if "rate_hz" in health else "-",
            newest(health),
            Text(why(child), "yellow"),
        )
    return table


def _sinks(answer: Mapping[str, Any]) -> RenderableType:
    found = sinks(answer)
    if not found:
        return Text("")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SINK", "STATE", "DELIVERED", "LAG", "BEHIND", "DEAD"):
        table.add_column(heading, justify="left" if heading in ("SINK", "STATE") else "right", no_wrap=True)
    table.add_column("WHY", overflow="fold")
    for sink in found:
        state = "up" if sink["up"] else "down"
        counts = (f"{sink['delivered']}", f"{sink['lag']}", span(sink["lag_s"]), f"{sink['dead']}")
        table.add_row(sink["name"], Text(state, STYLES[state]), *counts, Text(sink["why"], "yellow"))
    spool: Mapping[str, Any] = next((child["health"] for child in answer["children"] if (child.get("health") or {}).get("sinks")), {})
    return Group(
        Text(""), table, Text(f"\nspool: {size(spool.get('spool_bytes', 0))}, {spool.get('stored', 0)} readings since the bridge started")
    )


def newest(health: Mapping[str, Any], now_ns: int | None = None) -> str:
    """The newest reading and its age."""
    if not health.get("newest_ns"):
        return "-"
    age_s = max(0.0, ((now_ns or time.time_ns()) - health["newest_ns"]) / 1e9)
    values = " ".join(f"{name}={brief(value)}" for name, value in health["newest"].items())
    return f"{values}  {span(age_s)} ago" if age_s >= 2 else values


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
