"""The driver, over unmodified bleak, when what lies below it fails: bluetoothd, the bus, what the kernel remembers; and how it shares."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import psutil
import pytest
from bleak import BleakClient

import workers.hcsr04
from edgegw.errors import DeviceError
from tests.services.base import until
from tests.services.bluez import ROOT, Bluetooth, bluetooth
from tests.workers.hcsr04_air import DEVICE, DRIVER, PATIENCE_s, options, persistent, reading, take, trouble
from workers.buses import bluetoothd, bluez

OTHER = "AA:BB:CC:DD:EE:02"
BACK_s = 30  # after the return of what was gone, readings come again within this
RECONNECTS = int(os.environ.get("EDGEGW_RECONNECTS", "30"))  # the long form: 500
FAREWELL_s = 4  # no sign of life for longer than this would worry the supervisor


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Bluetooth]:
    with bluetooth(tmp_path) as opened:
        yield opened


@contextlib.contextmanager
def reader(device: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that reads `device`; ended by force."""
    command = [sys.executable, "-m", "tests.workers.hcsr04_reader", device, str(os.getpid())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def notified(rig: Bluetooth, device: str = DEVICE) -> int:
    """How many notifications have gone to somebody."""
    return len(rig.journal("notify", device))


def more(rig: Bluetooth, device: str) -> None:
    """Wait until the device has been heard some more."""
    before = notified(rig, device)
    until(lambda: notified(rig, device) > before + 3, PATIENCE_s, f"{device} to be read")


@pytest.mark.parametrize("returns", ["", "held=1", "stale=1"])
def test_bluetoothd_may_be_killed_and_come_back(rig: Bluetooth, returns: str) -> None:
    """bluetoothd says nothing when it is killed; the age of the data tells. When it is back, readings are, in time.

    Also where it shows the old link as connected, and where the peripheral is not to be found until the adapter was off and on.
    """
    rig.start("")
    troubles: list[str] = []
    with contextlib.closing(persistent(options(), troubles)) as samples:
        take(samples, 5)
        rig.kill()
        until(lambda: next(samples) is None and len(troubles) >= 2, PATIENCE_s, "the loss to be noticed")
        rig.start(returns)
        back = time.monotonic()
        take(samples, 5)
    took_s = time.monotonic() - back
    print(f"readings again {took_s:.1f} s after the return of bluetoothd")
    assert "silent" in troubles[0]
    assert "bluetoothd does not run" in troubles[1]
    assert took_s < BACK_s
    assert bool(rig.journal("power")) == (returns == "stale=1")


def test_the_whole_bus_may_be_killed_and_come_back(rig: Bluetooth) -> None:
    """A dead bus is told in plain words; a new one in its place is used without a new process."""
    rig.start("")
    troubles: list[str] = []
    with contextlib.closing(persistent(options(), troubles)) as samples:
        take(samples, 5)
        rig.kill_bus()
        until(lambda: next(samples) is None and len(troubles) >= 2, PATIENCE_s, "the loss to be noticed")
        with rig.another_bus():
            rig.start()
            take(samples, 5)
            samples.close()
    assert "D-Bus" in troubles[1]


def test_a_bluetoothd_that_hangs_holds_up_nobody(rig: Bluetooth, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers nothing any more: reading ends, opening fails, closing is quick, and signs of life come all the while."""
    monkeypatch.setattr(bluetoothd, "ANSWER_s", 1.0)
    rig.start("")
    gaps_s, troubles = [0.0], []
    for step in ("silent", "no answer in time"):
        before = time.monotonic()
        with reading(options()) as samples:
            if step == "silent":
                take(samples, 5)
                rig.freeze()
                before = time.monotonic()
            with pytest.raises(DeviceError) as caught:
                for _ in samples:
                    gaps_s.append(time.monotonic() - before)
                    before = time.monotonic()
        gaps_s.append(time.monotonic() - before)
        troubles.append(step in str(caught.value))
    rig.thaw()
    with reading(options()) as samples:
        take(samples, 5)
    assert troubles == [True, True]
    assert max(gaps_s) < FAREWELL_s


def test_an_adapter_that_is_switched_off_is_switched_on_again(rig: Bluetooth) -> None:
    """By the reset rung: whatever switched it off, a sensor that is to be read needs it on."""
    rig.start("")
    troubles: list[str] = []
    with contextlib.closing(persistent(options(), troubles)) as samples:
        take(samples, 5)
        rig.order(do="off")
        until(lambda: next(samples) is None and len(troubles) >= 1, PATIENCE_s, "the loss to be noticed")
        take(samples, 5)
    assert any("switched off" in trouble for trouble in troubles)


def test_a_slow_adapter_is_waited_for(rig: Bluetooth) -> None:
    """It answers Busy while it switches; a reset waits, and power was off before it is on."""
    rig.start("power_s=0.5&stale=1")
    assert DRIVER.reset is not None
    for _ in DRIVER.reset(options()):
        pass
    assert [event["on"] for event in rig.journal("power")] == [False, True]
    with reading(options()) as samples:
        take(samples, 5)


def test_a_slow_disconnection_holds_up_nobody(rig: Bluetooth) -> None:
    """BlueZ takes 2 s over it; closing does not wait for that, and opening again finds the peripheral once it is free."""
    rig.start("disconnect_s=2")
    with reading(options()) as samples:
        take(samples, 5)
        begun = time.monotonic()
    assert time.monotonic() - begun < FAREWELL_s
    with reading(options()) as samples:
        take(samples, 5)
    assert rig.journal("power") == []


def test_an_adapter_that_is_not_there_is_named(rig: Bluetooth) -> None:
    """With where to look for the one that is."""
    rig.start("")
    with reading(options(adapter="hci7")) as samples:
        assert "no Bluetooth adapter hci7" in trouble(samples)


def test_the_end_of_a_notify_socket_is_found_by_the_age_of_the_data(rig: Bluetooth, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some versions of bleak subscribe: BlueZ closes the socket, and bleak only stops reading."""
    subscribe = partialmethod(BleakClient.start_notify, bluez={"use_start_notify": False})
    monkeypatch.setattr(BleakClient, "start_notify", subscribe)
    rig.start("")
    troubles: list[str] = []
    with contextlib.closing(persistent(options(), troubles)) as samples:
        take(samples, 5)
        rig.order(DEVICE, "eof")
        until(lambda: next(samples) is None and len(troubles) == 1, PATIENCE_s, "the silence to be noticed")
        take(samples, 5)
    assert "silent" in troubles[0]
    assert rig.journal("eof")


def test_two_sensors_on_one_adapter_take_turns(rig: Bluetooth) -> None:
    """Two processes find and lose their peripherals again and again at the same time, and never scan both at once."""
    rig.start("name=door", f"address={OTHER}&name=gate")
    with reader("door"), reader("gate"):
        for _ in range(5):
            for device in (DEVICE, OTHER):
                more(rig, device)
            rig.order("door", "drop")
            rig.order("gate", "drop")
    scans = rig.journal("scan")
    assert len(scans) >= 8
    assert {scan["at_once"] for scan in scans} == {1}
    assert len({scan["client"] for scan in scans}) >= 2


def test_one_sensor_in_trouble_leaves_the_other_its_link(rig: Bluetooth) -> None:
    """A reset for one peripheral does not switch off the adapter under another that reads well."""
    rig.start("name=door", f"address={OTHER}&name=gate")
    with reader("gate"):
        more(rig, OTHER)
        assert DRIVER.reset is not None
        for _ in DRIVER.reset(options()):
            pass
        more(rig, OTHER)
    assert rig.journal("power") == []
    assert len(rig.journal("connect", OTHER)) == 1


def test_two_sections_cannot_read_one_peripheral(rig: Bluetooth) -> None:
    """The second is told, or not served, and takes nothing from the first."""
    rig.start("")
    with reader(DEVICE):
        more(rig, DEVICE)
        with pytest.MonkeyPatch.context() as patch, reading(options()) as samples:
            patch.setattr(workers.hcsr04, "SCAN_s", 1.0)
            assert DEVICE in trouble(samples)
        more(rig, DEVICE)
    assert len(rig.journal("connect")) == 1


def test_a_killed_worker_is_replaced(rig: Bluetooth) -> None:
    """Its link outlives it, and a connected peripheral does not advertise: the next worker ends that link, and reads."""
    rig.start("")
    with reader(DEVICE) as first:
        more(rig, DEVICE)
        first.send_signal(signal.SIGKILL)
    with reading(options()) as samples:
        take(samples, 5)
    assert rig.journal("power") == []


def test_a_worker_killed_while_it_scans_leaves_the_adapter_free(rig: Bluetooth) -> None:
    """Its turn goes with it, and so does its scan."""
    rig.start("advertising=0")
    with reader(DEVICE) as first:
        until(lambda: rig.journal("scan"), PATIENCE_s, "the first to scan")
        first.send_signal(signal.SIGKILL)
    rig.order(DEVICE, advertising=True)
    with reading(options()) as samples:
        take(samples, 5)
    assert {scan["at_once"] for scan in rig.journal("scan")} == {1}


def test_reconnecting_leaks_nothing(rig: Bluetooth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections lost in different ways: no more open files than after the first few, and nobody more on the bus."""
    monkeypatch.setattr(bluez, "CONNECT_s", 2.0)
    rig.start("")
    held: list[tuple[int, int]] = []
    for number in range(3 + RECONNECTS):
        fault = ("works", "works", "refused", "lost")[number % 4]
        rig.order(DEVICE, connect=fault)
        with reading(options()) as samples:
            if fault == "works":
                take(samples, 2)
                rig.order(DEVICE, "drop")
            trouble(samples)
        held.append((psutil.Process().num_fds(), len(rig.names())))
    assert set(held[3:]) == {held[3]}
    assert held[3][1] == 1  # bluetoothd
