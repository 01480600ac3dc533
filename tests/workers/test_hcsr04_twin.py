"""The virtual peripheral at work: that bleak cannot tell, that its faults are those of BlueZ, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from edgegw.driver import DriverError
from tests.services.base import end, need, until
from tests.services.bluez import ROOT, Bluetooth, bluetooth
from tests.workers.hcsr04_air import DEVICE, PATIENCE_s, options, reading, take
from workers.virtual.hcsr04 import SYSTEM_BUS, plug, process_sees
from workers.virtual.hcsr04.behaviour import Behaviour
from workers.virtual.hcsr04.payload import profile_of
from workers.virtual.hcsr04.radio import VirtualRadio


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Bluetooth]:
    with bluetooth(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no_ecko=1", "did you mean no_echo?"),
        ("no_echo=2", "no_echo"),
        ("no_echo", "come pairs as in"),
        ("address=door", "address"),
        ("format=json", "format"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(text: str, said: str) -> None:
    """One sentence, as for any other option."""
    with pytest.raises(DriverError, match=said.replace("?", r"\?")), plug(options(device=f"virtual?{text}")):
        pass


async def found(name: str) -> BLEDevice:
    device = await BleakScanner.find_device_by_name(name, timeout=PATIENCE_s)
    assert device is not None
    return device


async def notified(client: BleakClient, count: int, *, socket: bool) -> None:
    """Subscribe, and wait for so many notifications."""
    came = asyncio.Semaphore(0)
    characteristic = profile_of(Behaviour()).characteristic
    await client.start_notify(characteristic, lambda *_: came.release(), bluez={"use_start_notify": not socket})
    async with asyncio.timeout(PATIENCE_s):
        for _ in range(count):
            await came.acquire()


@pytest.mark.parametrize("socket", [False, True])
def test_bleak_scans_connects_subscribes_and_reads(rig: Bluetooth, socket: bool) -> None:
    """Notifications by StartNotify and by AcquireNotify's socket; two times, so what the first left behind does no harm."""

    async def visit() -> None:
        async with BleakClient(await found("door")) as client:
            await notified(client, 5, socket=socket)
            assert len(await client.read_gatt_char(profile_of(Behaviour()).characteristic)) == 2
            await client.stop_notify(profile_of(Behaviour()).characteristic)

    rig.start("name=door")
    for _ in range(2):
        asyncio.run(visit())
    assert len(rig.journal("disconnect")) == 2


def test_the_end_of_a_notify_socket_is_not_told(rig: Bluetooth) -> None:
    """BlueZ closes it, bleak only stops reading: the client thinks itself connected, and its callback is silent."""

    async def visit() -> None:
        lost = asyncio.Event()
        async with BleakClient(await found("door"), disconnected_callback=lambda _: lost.set()) as client:
            await notified(client, 2, socket=True)
            rig.order("door", "eof")
            await client.read_gatt_char(profile_of(Behaviour()).characteristic)  # an answer behind the end of file
            assert client.is_connected
            assert not lost.is_set()

    rig.start("name=door")
    asyncio.run(visit())


def test_a_late_disconnection_is_told_late(rig: Bluetooth) -> None:
    """For a while the lost link looks connected; then the callback comes."""

    async def visit() -> None:
        lost = asyncio.Event()
        async with BleakClient(await found("door"), disconnected_callback=lambda _: lost.set()) as client:
            await notified(client, 2, socket=False)
            rig.order("door", "drop", late_s=0.5)
            assert client.is_connected
            async with asyncio.timeout(PATIENCE_s):
                await lost.wait()
            assert not client.is_connected

    rig.start("name=door")
    asyncio.run(visit())


def test_an_order_for_nobody_is_refused(rig: Bluetooth) -> None:
    """And does no harm."""
    rig.start("name=door")
    with pytest.raises(AssertionError, match="there is no virtual device gate"):
        rig.order("gate", "drop")
    with pytest.raises(AssertionError, match="did you mean no_echo"):
        rig.order("door", no_ecko=1)
    rig.order("door", "drop")


def test_a_virtual_device_is_on_a_bus_where_there_can_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the length of the block, the system's bus is a private one; then all is as it was."""
    need("dbus-daemon", "dbus-daemon")
    monkeypatch.setenv(SYSTEM_BUS, "unix:path=/nowhere")
    with plug(options(device="virtual?no_echo=0.5&seed=3")) as real:
        assert (real.device, real.adapter) == (DEVICE, "hci0")
        assert "abstract" in os.environ[SYSTEM_BUS]
        with reading(real) as samples:
            take(samples, 3)
    assert os.environ[SYSTEM_BUS] == "unix:path=/nowhere"


def test_a_virtual_device_is_in_this_process_where_there_is_no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dbus-daemon nothing is started; the driver is given a radio in place of an adapter's name."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv(SYSTEM_BUS, raising=False)
    with plug(options(device="virtual")) as real:
        assert isinstance(real.adapter, VirtualRadio)
        assert SYSTEM_BUS not in os.environ
        with reading(real) as samples:
            take(samples, 3)


@pytest.mark.parametrize("path", [None, "/nonexistent"])
def test_try_reads_a_virtual_sensor(path: str | None) -> None:
    """`edgegw try hcsr04 device=virtual`, with a dbus-daemon on the PATH and without."""
    if path is None:
        need("dbus-daemon", "dbus-daemon")
    environment = {**os.environ, **({"PATH": path} if path else {})}
    command = [sys.executable, "-m", "edgegw", "try", "hcsr04", "device=virtual", "-n", "3"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_s)
    assert done.returncode == 0, done.stderr
    assert [line.split("=")[0] for line in done.stdout.splitlines()] == ["distance_m"] * 3


@contextlib.contextmanager
def served(stdin: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command line, once it serves, and the address that it prints."""
    need("dbus-daemon", "dbus-daemon")
    command = [sys.executable, "-m", "workers.virtual.hcsr04", "name=door"]
    with subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode().strip()
            assert address.startswith("unix:abstract=")
            yield process, address
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["end of input", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_command_line_ends_and_its_bus_with_it(how: str | signal.Signals) -> None:
    """However it is ended."""
    with served(subprocess.PIPE) as (process, _):
        bus = psutil.Process(process.pid).children()
        if isinstance(how, str):
            assert process.stdin is not None
            process.stdin.close()
            until(lambda: process.poll() is not None, PATIENCE_s, "it to end")
        else:
            end(process, how)
        assert process.returncode == (-how if how is signal.SIGKILL else 0)
    gone, _ = psutil.wait_procs(bus, timeout=PATIENCE_s)
    assert len(gone) == len(bus) == 1


def test_the_command_line_says_what_is_wrong() -> None:
    """A misspelt word, before anything is started."""
    command = [sys.executable, "-m", "workers.virtual.hcsr04", "no_ecko=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_s)
    assert done.returncode == 2
    assert "did you mean no_echo?" in done.stderr


def test_without_a_pipe_the_command_line_runs_on() -> None:
    """As a service does, whose standard input is /dev/null."""
    with served(subprocess.DEVNULL) as (process, address):
        with process_sees(address), reading(options(device="door")) as samples:
            take(samples, 10)
        end(process)
        assert process.returncode == 0


def test_a_virtual_device_dies_with_its_reader() -> None:
    """Even with one that was killed: neither its process nor its bus stays behind."""
    need("dbus-daemon", "dbus-daemon")
    command = [sys.executable, "-m", "edgegw", "try", "hcsr04", "device=virtual"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline().startswith(b"distance_m=")
        behind = psutil.Process(reader.pid).children(recursive=True)
        assert "dbus-daemon" in {process.name() for process in behind}
        reader.kill()
    gone, _ = psutil.wait_procs(behind, timeout=PATIENCE_s)
    assert len(gone) == len(behind)
