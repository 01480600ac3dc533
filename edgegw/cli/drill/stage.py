"""The gateway that a drill plays with, and everything around it: a directory, virtual sensors, a broker, stores."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgegw import control
from edgegw.account import Line, look
from edgegw.cli.drill.luna import VirtualLuna
from edgegw.cli.drill.room import Quota, Room, SmallDisk
from edgegw.cli.drill.servers import Server
from edgegw.cli.owned import Owned, environment
from edgegw.cli.settings import load
from edgegw.config import Settings
from edgegw.errors import EdgegwError
from edgegw.signals import StopNote

METRONOMES, RATE_hz = 4, 100
LUNA = "luna"
WINDOW = 2048  # readings, 20 s: a full disk lasts for less
RELOAD_s = 30.0
BEHIND = 200  # readings that a sink lacks, more than half a second's
STORE = "sqlite"


class Child(msgspec.Struct, frozen=True):
    """One process of the gateway, as `status` shows it."""

    name: str
    pid: int
    state: str
    why: str
    health: Mapping[str, Any]


class Stage:
    """In the directory `home`, with servers that run already; close() ends the rest, and leaves the directory to its owner."""

    def __init__(self, home: Path, servers: Sequence[Server], stop: StopNote, *, no_mounts: str = "") -> None:
        """`no_mounts`: why this process has no mounts of its own. Raises ConfigError or OSError."""
        self.home = home
        self.journals = home / "journals"
        self.metronomes = tuple(f"m{number}" for number in range(METRONOMES))
        self.servers = tuple(servers)
        self.luna = VirtualLuna(home / "dev") if VirtualLuna.possible() else None
        self.config = home / "edgegw.toml"
        self.state, self.store = home / "state", home / "store" / "store.db"
        self.gateway_id = f"drill-{secrets.token_hex(3)}"
        for folder in (self.state, self.store.parent, *(self.journals / name for name in self.metronomes)):
            folder.mkdir(parents=True, exist_ok=True)
        self.room: Room = Quota(self.reload, self.servers, no_mounts) if no_mounts else SmallDisk(self.state)
        self.configure()
        self.settings: Settings = load(self.config, environment())
        self.gateway = Owned(self.config, self.settings, stop, "drill's")

    def configure(self, metronome: str = "", **sensors: str) -> None:
        """Write the configuration; `metronome`: lines for each of them, `sensors`: for that one alone."""
        blocks = [f'[gateway]\nid = "{self.gateway_id}"\nruntime_dir = "{self.home}/run"\nstate_dir = "{self.state}"']
        blocks += [f'[sinks.sqlite]\npath = "{self.store}"', *(server.section() for server in self.servers)]
        for name in self.metronomes:
            own = f'driver = "metronome"\nrate_hz = {RATE_hz}\nwindow = {WINDOW}\njournal = "{self.journals / name}"'
            blocks.append("\n".join(filter(None, [f"[sensors.{name}]", own, metronome, sensors.get(name, "")])))
        if self.luna is not None:
            blocks.append(f'[sensors.{LUNA}]\ndriver = "tfluna"\nport = "{self.luna.port}"\nrate_hz = {RATE_hz}\nwindow = {WINDOW}')
        self.config.touch(mode=0o600)  # a URL may carry a password
        self.config.write_text("\n\n".join(filter(None, blocks)) + "\n")

    def open(self) -> None:
        """Make what the servers need, plug in what can be plugged in, and start the gateway. Raises EdgegwError."""
        for server in self.servers:
            server.prepare(self.settings)
        if self.luna is not None:
            self.luna.plug()
        self.gateway.start()

    def close(self) -> None:
        """End all of it; safe to call twice."""
        self.gateway.end()
        if self.luna is not None:
            self.luna.unplug()

    def leave(self) -> None:
        """Give back the small disk; what lies on it has been looked at."""
        self.room.close()

    def reload(self, metronome: str) -> str:
        """With these lines for each metronome; what was done. Raises EdgegwError."""
        self.configure(metronome)
        control.ask(self.settings.paths.control, "reload", RELOAD_s)
        return f"edgegw reload, with {metronome} for each metronome" if metronome else "edgegw reload, with the configuration of before"

    def children(self) -> dict[str, Child]:
        """The gateway's processes by name; none while it does not answer."""
        try:
            answer = self.gateway.status()
        except EdgegwError:
            return {}
        return {
            of["name"]: Child(of["name"], of["pid"] or 0, of["state"], of["why"] or "", of["health"] or {}) for of in answer["children"]
        }

    def pid(self, name: str) -> int:
        """Of that process; 0 while it has none."""
        child = self.children().get(name)
        return child.pid if child else 0

    def sinks(self) -> dict[str, Mapping[str, Any]]:
        """The sinks as the bridge last told."""
        bridge = self.children().get("bridge")
        return {sink["name"]: sink for sink in (bridge.health if bridge else {}).get("sinks", ())}

    def sink(self, name: str) -> Mapping[str, Any]:
        """One of them; nothing while it is not known."""
        return self.sinks().get(name, {})

    def well(self) -> str:
        """What there is to see when everything runs and has caught up; empty when that is not so."""
        children, sinks = self.children(), self.sinks()
        whole = bool(children) and all(child.health and _why(child) is None and _at_ease(child) for child in children.values())
        caught_up = bool(sinks) and all(sink["up"] and sink["lag"] < BEHIND for sink in sinks.values())
        return f"{len(children)} processes, {len(sinks)} sinks" if whole and caught_up else ""

    def trouble(self) -> str:
        """What is not well, for somebody who wonders why."""
        children = self.children()
        if not children:
            return "the gateway does not answer"
        whys = {child.name: _why(child) for child in children.values()}
        wrong = [f"{name} is {children[name].state} {why}".rstrip() for name, why in whys.items() if why is not None]
        wrong += [f"{name} lacks {sink['lag']} readings: {sink['why']}" for name, sink in self.sinks().items() if sink["lag"] >= BEHIND]
        return "; ".join(wrong)

    def run(self, sensor: str) -> str:
        """The run that this sensor is in."""
        child = self.children().get(sensor)
        return str(child.health.get("run", "")) if child else ""

    def line(self, run: str) -> Line | None:
        """What the books say of that run, as far as they know it."""
        with contextlib.suppress(EdgegwError):
            return next((line for line in look(self.settings.paths, []).lines if line.run == run), None)
        return None


def _at_ease(child: Child) -> bool:
    """Next to nothing of it is unacknowledged; or a fault so soon after another would take with it what that one has held up."""
    return int(child.health.get("window", 0)) < BEHIND


def _why(child: Child) -> str | None:
    """None for a process that is well."""
    why = str(child.why or child.health.get("why", ""))
    return why if why or child.state != "RUNNING" else None
