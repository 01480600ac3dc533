"""A private bus with a private BlueZ on it, whose bluetoothd is a process that can be killed and comes back, and virtual peripherals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbus_fast import Message
from dbus_fast.aio import MessageBus

from tests.services.base import end, need
from workers.virtual import dbusd
from workers.virtual.hcsr04 import process_sees

ROOT = Path(__file__).parents[2]
START_s = 60
FIRST = "AA:BB:CC:DD:EE:01"
_DBUS = "org.freedesktop.DBus"


class Bluetooth:
    """The bus at `address`, and what happened in the air above it. Everything dies with this process."""

    def __init__(self, bus: dbusd.Bus, journal: Path) -> None:
        self.address = bus.address.partition(",")[0]  # without its guid, which another bus of that name would not have
        self._bus = bus
        self._journal = journal
        self._peripherals: tuple[str, ...] = ()
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self, *peripherals: str) -> None:
        """bluetoothd, with these peripherals ("address=…&name=…&no_echo=0.1") or the ones that it had; returns once it serves."""
        assert self._daemon is None
        self._peripherals = peripherals or self._peripherals
        command = [sys.executable, "-P", "-m", "workers.virtual.hcsr04", "--parent", str(os.getpid())]
        command += ["--bus", self.address, "--journal", str(self._journal), *self._peripherals]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._daemon = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self._answer() == self.address

    def kill(self) -> None:
        """SIGKILL: the name vanishes from the bus, nobody says good-bye."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it is there, and answers nothing."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM; nothing happens where it is down already."""
        self._end(signal.SIGTERM)

    def order(self, device: str = "", do: str = "", *, refuse: int = 0, **behaviour: object) -> None:
        """Change a device (`do` is drop, zombie or eof), or the adapter (on, off, or how many scans it will refuse).

        AssertionError with its words where it refuses.
        """
        assert self._daemon is not None
        assert self._daemon.stdin is not None
        order = {"device": device, "do": do, "refuse": refuse, "set": behaviour}
        self._daemon.stdin.write(json.dumps(order).encode() + b"\n")
        self._daemon.stdin.flush()
        answer = self._answer()
        assert answer == "done", answer

    def journal(self, what: str = "", device: str = "") -> list[dict[str, Any]]:
        """What happened so far, oldest first: all of it, or of one sort or device."""
        lines = self._journal.read_text().splitlines(keepends=True) if self._journal.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if what in ("", event["what"]) and device in ("", event.get("device"))]

    def names(self) -> set[str]:
        """Who is on the bus: unique names, without the one that asks."""
        return asyncio.run(_names(self.address))

    def kill_bus(self) -> None:
        """SIGKILL to dbus-daemon, and with it goes everything that was on its bus."""
        self._bus.daemon.kill()
        self._bus.daemon.wait()
        self.stop()

    @contextlib.contextmanager
    def another_bus(self) -> Iterator[None]:
        """A fresh bus where the killed one was, for the length of the block; nobody is on it."""
        with dbusd.running(self.address.partition("edgegw-")[2]):
            yield
            self.stop()

    def _answer(self) -> str:
        assert self._daemon is not None
        assert self._daemon.stdout is not None
        ready, _, _ = select.select([self._daemon.stdout], [], [], START_s)
        return self._daemon.stdout.readline().decode().strip() if ready else ""

    def _end(self, how: signal.Signals) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.send_signal(signal.SIGCONT)
            with daemon:
                end(daemon, how)


async def _names(address: str) -> set[str]:
    bus = await MessageBus(address).connect()
    try:
        asked = Message(destination=_DBUS, path="/org/freedesktop/DBus", interface=_DBUS, member="ListNames")
        answer = await bus.call(asked)
        return {name for name in answer.body[0] if name.startswith(":") and name != bus.unique_name}
    finally:
        bus.disconnect()


@contextlib.contextmanager
def bluetooth(directory: Path) -> Iterator[Bluetooth]:
    """A bus, and libraries of this process that look for the system's bus find this one; `directory` takes the journal."""
    need("dbus-daemon", "dbus-daemon")
    with dbusd.running() as bus:
        rig = Bluetooth(bus, directory / "journal")
        try:
            with process_sees(rig.address):
                yield rig
        finally:
            rig.stop()
