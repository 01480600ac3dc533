"""Looking for Bluetooth peripherals: unmodified bleak on a private bus with a BlueZ of the tests' own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgegw import driver
from edgegw.errors import DeviceError
from tests.services.bluez import Bluetooth, bluetooth
from workers.buses.ble import Peripheral, claim, full_uuid
from workers.finding import ble

SECONDS = 0.5


@pytest.fixture
def air(tmp_path: Path) -> Iterator[Bluetooth]:
    """Two peripherals."""
    with bluetooth(tmp_path) as rig:
        rig.start("address=AA:BB:CC:DD:EE:01&name=Door&format=hm10", "address=AA:BB:CC:DD:EE:02&name=Bin&format=nordic-uart")
        yield rig


def test_peripherals_are_heard(air: Bluetooth) -> None:
    """Name, address and service of each; the service suggests the driver and its format, and those options are right."""
    found = {each.where: each for each in ble.find(SECONDS)}
    assert {each.where: each.what for each in found.values()} == {"AA:BB:CC:DD:EE:01": "Door", "AA:BB:CC:DD:EE:02": "Bin"}
    assert found["AA:BB:CC:DD:EE:01"].options == {"device": "AA:BB:CC:DD:EE:01", "format": "hm10"}
    assert "HM-10 serial module" in found["AA:BB:CC:DD:EE:01"].detail
    assert " dBm" in found["AA:BB:CC:DD:EE:01"].detail
    assert air.journal("scan") != []
    for each in found.values():
        assert driver.bind(driver.find(each.driver), each.options).device == each.where


def test_bluetooth_switched_off(air: Bluetooth) -> None:
    """One sentence with the command that switches it on."""
    air.order(do="off")
    with pytest.raises(DeviceError, match=r"switched off: .*bluetoothctl power on"):
        list(ble.find(SECONDS))


def test_bluetoothd_does_not_run(air: Bluetooth) -> None:
    """One sentence with the command that starts it."""
    air.stop()
    with pytest.raises(DeviceError, match="systemctl start bluetooth"):
        list(ble.find(SECONDS))


def test_a_gateway_has_its_turn(air: Bluetooth, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker scans or connects, nothing disturbs it: that is said instead, and no scan is begun."""
    monkeypatch.setattr(ble, "PATIENCE_s", 0.1)
    held = claim("hci0")
    assert held
    with held, pytest.raises(DeviceError, match="a gateway on this machine keeps hci0 busy"):
        list(ble.find(SECONDS))
    assert air.journal("scan") == []


def test_without_a_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without D-Bus is told so."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus")
    with pytest.raises(DeviceError, match="D-Bus"):
        list(ble.find(SECONDS))


def test_without_bleak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the sentence is the command that installs it."""
    monkeypatch.delitem(sys.modules, "workers.buses.bluez", raising=False)
    monkeypatch.setitem(sys.modules, "bleak", None)
    with pytest.raises(DeviceError, match=r"pip install 'edgegw\[ble\]'"):
        list(ble.find(SECONDS))


def heard(address: str, kind: str, name: str | None, *services: str) -> Peripheral:
    """As BlueZ tells of it."""
    return Peripheral(address, name, -70, services, handle=SimpleNamespace(details={"props": {"AddressType": kind}}))


NORDIC = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"


@pytest.mark.parametrize(
    ("peripheral", "options"),
    [
        (heard("5A:00:00:00:00:01", "random", "Door", NORDIC), {"device": "Door", "format": "nordic-uart"}),
        (heard("C2:00:00:00:00:01", "random", "Door", NORDIC), {"device": "C2:00:00:00:00:01", "format": "nordic-uart"}),
        (heard("5A:00:00:00:00:01", "public", "Door", NORDIC), {"device": "5A:00:00:00:00:01", "format": "nordic-uart"}),
        (heard("5A:00:00:00:00:01", "random", None, NORDIC), {"device": "5A:00:00:00:00:01", "format": "nordic-uart"}),
        (heard("5A:00:00:00:00:01", "public", "Lamp", full_uuid("180f")), {"device": "5A:00:00:00:00:01"}),
        (heard("5A:00:00:00:00:01", "public", None), {}),
    ],
)
def test_what_to_write(peripheral: Peripheral, options: dict[str, str]) -> None:
    """An address that changes is no name to find a peripheral by; what has neither name nor known service cannot be one of ours."""
    assert ble.found(peripheral).options == options


@pytest.mark.parametrize("service", ble.SERVICES)
def test_every_suggestion_binds(service: str) -> None:
    """Whatever service is heard, the driver takes what is suggested for it."""
    suggested = ble.found(heard("AA:BB:CC:DD:EE:01", "public", "Door", service), "hci1")
    assert driver.bind(driver.find(suggested.driver), suggested.options).adapter == "hci1"
