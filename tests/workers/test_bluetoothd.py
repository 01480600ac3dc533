"""What BlueZ, the bus and bleak may answer, in plain words; and a limit on what may take for ever."""

from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)
from dbus_fast import AuthError, DBusError

from edgegw.errors import DeviceError
from workers.buses.bluetoothd import in_plain_words, reached, within

Reason = BleakBluetoothNotAvailableReason


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


TROUBLES: list[tuple[Exception, str]] = [
    (BleakBluetoothNotAvailableError("No adapters", Reason.NO_BLUETOOTH), "no Bluetooth adapter for Low Energy"),
    (BleakBluetoothNotAvailableError("", Reason.NO_BLE_CENTRAL_ROLE), "no Bluetooth adapter for Low Energy"),
    (BleakBluetoothNotAvailableError("", Reason.POWERED_OFF), "hci0 is switched off"),
    (BleakBluetoothNotAvailableError("", Reason.DENIED_BY_SYSTEM), "group bluetooth"),
    (BleakBluetoothNotAvailableError("nobody knows", Reason.UNKNOWN), "nobody knows"),
    (BleakError("adapter 'hci0' not found"), "there is no Bluetooth adapter hci0"),
    (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), "hci0 is switched off"),
    (BleakDBusError("org.bluez.Error.InProgress", []), "another program keeps Bluetooth adapter hci0 busy"),
    (BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["Rejected send message"]), "group bluetooth"),
    (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), "bluetoothd does not run"),
    (BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-remote"]), "scanning: [org.bluez.Error.Failed] le-connection-"),
    (DBusError("org.bluez.Error.Blocked", "Blocked through rfkill"), "blocked by rfkill"),
    (DBusError("org.freedesktop.DBus.Error.NameHasNoOwner", "no owner"), "bluetoothd does not run"),
    (AuthError("REJECTED"), "group bluetooth"),
    (FileNotFoundError(errno.ENOENT, "No such file"), "no D-Bus"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "no D-Bus"),
    (EOFError(), "no D-Bus"),
    (TimeoutError(), "scanning: no answer in time"),
    (KeyError("org.bluez.GattService1"), "scanning: 'org.bluez.GattService1'"),
    (AssertionError(), "scanning: AssertionError"),
    (caused(BleakError("Failed after 2 attempts"), TimeoutError()), "scanning: no answer in time"),
    (caused(BleakError("Failed after 2 attempts"), BleakDBusError("org.bluez.Error.NotReady", [])), "hci0 is switched off"),
    (BleakDeviceNotFoundError("AA", "Device AA was not found"), "scanning: Device AA was not found"),
]


@pytest.mark.parametrize(("error", "words"), TROUBLES)
def test_every_trouble_has_its_sentence(error: Exception, words: str) -> None:
    """Each error that has been seen leaves as DeviceError, with what to do about it."""
    with pytest.raises(DeviceError) as said, in_plain_words("hci0", "scanning"):
        raise error
    assert words in str(said.value)
    assert said.value.__cause__ is error


def test_what_is_plain_already_passes() -> None:
    """A DeviceError is not wrapped a second time, and to be cancelled is no trouble."""
    with pytest.raises(DeviceError, match=r"^not heard$"), in_plain_words("hci0", "scanning"):
        raise DeviceError("not heard")
    with pytest.raises(asyncio.CancelledError), in_plain_words("hci0", "scanning"):
        raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("address", "words"),
    [("unix:path=/nonexistent/bus", "no D-Bus"), ("unix:abstract=edgegw-nobody-listens-here", "no D-Bus"), ("nonsense", "scanning: ")],
)
def test_a_bus_that_is_not_there_is_said_so(address: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, nobody behind it, or an address that is none."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)

    async def reach() -> None:
        with in_plain_words("hci0", "scanning"):
            async with reached():
                pass

    with pytest.raises(DeviceError, match=words):
        asyncio.run(reach())


def test_what_hangs_is_given_up() -> None:
    """Even what answers to being cancelled by asking somebody who hangs as well, as bleak does; nothing of it is left."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    async def give_up() -> int:
        with contextlib.suppress(TimeoutError):
            await within(0.01, stubborn())
            pytest.fail("it cannot have ended")
        return len(asyncio.all_tasks())

    assert asyncio.run(give_up()) == 1


def test_what_ends_in_time_is_as_it_is() -> None:
    """Its value, or its error."""

    async def value() -> int:
        return 3

    async def error() -> int:
        raise KeyError("x")

    assert asyncio.run(within(60, value())) == 3
    with pytest.raises(KeyError):
        asyncio.run(within(60, error()))


def test_who_is_cancelled_takes_its_work_along() -> None:
    """Nothing goes on behind the back of a driver that is closed."""

    async def cancel() -> int:
        task = asyncio.create_task(within(60, asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert asyncio.run(cancel()) == 1
