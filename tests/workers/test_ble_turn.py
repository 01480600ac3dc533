"""One scanner on each Bluetooth adapter: the turn that sensors take, over threads and processes, and what is claimed for longer."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgegw.errors import DeviceError
from tests.services.base import die_with_parent, end
from workers.buses import ble
from workers.buses.ble import claim, full_uuid, short_uuid, turn

ROOT = Path(__file__).parents[2]
PATIENCE_s = 60
HOLD = """
import asyncio, sys
from workers.buses.ble import turn
async def hold():
    async with turn(sys.argv[1]):
        print("mine", flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""


@pytest.fixture(autouse=True)
def _bus_of_this_test(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Names carry the bus: under one of its own, no test meets another, nor a gateway that runs here."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:abstract=nobody-{id(request)}")


async def taken(adapter: str, patience_s: float = PATIENCE_s) -> None:
    async with turn(adapter, patience_s):
        pass


def test_a_turn_is_waited_for() -> None:
    """Twenty sensors in one loop: never two at once, and each gets its turn."""
    inside: list[int] = []
    most: list[int] = []

    async def sensor(number: int) -> None:
        async with turn("hci0", PATIENCE_s):
            inside.append(number)
            most.append(len(inside))
            await asyncio.sleep(0)
            inside.remove(number)

    async def all_of_them() -> None:
        await asyncio.gather(*map(sensor, range(20)))

    asyncio.run(all_of_them())
    assert most == [1] * 20


def test_the_turn_is_kept_between_threads() -> None:
    """Sensors in threads of one process, each with its own loop, never have the adapter at once."""
    inside: list[int] = []
    most: list[int] = []

    async def sensor(number: int) -> None:
        for _ in range(5):
            async with turn("hci0", PATIENCE_s):
                inside.append(number)
                most.append(len(inside))
                await asyncio.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=lambda n=number: asyncio.run(sensor(n))) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_s)
    assert most == [1] * 20


def test_a_killed_process_gives_its_turn_back() -> None:
    """SIGKILL leaves nothing to clean up: the kernel frees the name with the process."""
    command = die_with_parent([sys.executable, "-c", HOLD, "hci0"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"mine\n"
            assert claim("hci0") is None
        finally:
            end(holder, signal.SIGKILL)
    asyncio.run(taken("hci0"))


def test_waiting_does_not_hold_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks at whether it is its turn, the loop goes round many times; and to be cancelled takes nothing."""
    held = claim("hci0")
    looks: list[str] = []

    def look(what: str) -> None:
        looks.append(what)

    async def wait_and_run() -> int:
        waiting = asyncio.create_task(taken("hci0"))
        rounds = 0
        while len(looks) < 4:
            await asyncio.sleep(0)
            rounds += 1
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        return rounds

    assert held
    with held, monkeypatch.context() as patch:
        patch.setattr(ble, "claim", look)
        assert asyncio.run(wait_and_run()) > 40
    asyncio.run(taken("hci0"))


def test_the_wait_has_an_end() -> None:
    """It says which adapter somebody keeps, and for how long by now."""
    held = claim("hci7")
    assert held
    with held, pytest.raises(DeviceError, match=r"adapter hci7 busy for 0\.05 s"):
        asyncio.run(taken("hci7", 0.05))


def test_a_turn_is_given_back_when_the_scan_fails() -> None:
    """Whatever is raised within it."""

    async def fail() -> None:
        async with turn("hci0", PATIENCE_s):
            raise DeviceError("not heard")

    with pytest.raises(DeviceError, match="not heard"):
        asyncio.run(fail())
    asyncio.run(taken("hci0", 0))


def test_adapters_peripherals_and_buses_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another adapter is free, so is a peripheral on the same one, and so is everything on another bus."""
    one = claim("hci0")
    assert one
    assert claim("hci0") is None
    others = [claim("hci1"), claim("hci0/AA:BB:CC:DD:EE:01")]
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:abstract=somebody-else-" + "x" * 200)  # however long: names have 107 bytes
    others.append(claim("hci0"))
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS")
    for other in [one, *others]:
        assert other
        other.close()


def test_uuids_are_written_in_full_and_shown_short() -> None:
    """The SIG's own have 16 bits; all others are shown as they are."""
    assert full_uuid("FFE1") == "0000ffe1-0000-1000-8000-00805f9b34fb"
    assert short_uuid(full_uuid("FFE1")) == "ffe1"
    nordic = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"
    assert short_uuid(full_uuid(nordic.upper())) == nordic
