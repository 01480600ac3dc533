"""A private BlueZ: org.bluez with one adapter, on a bus of its own, behind which virtual peripherals advertise, connect and notify.

What a client sees is what BlueZ 5.66 shows: objects under /org/bluez, their properties and signals, and the errors by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dbus_fast import Variant
from dbus_fast.aio import MessageBus

from workers.virtual.bluez.device import CHARACTERISTIC, DEVICE, ERROR, Device
from workers.virtual.bluez.tree import NOTHING, Answer, Call, Handler, Refusal, Tree
from workers.virtual.hcsr04.adapter import Adapter, Busy, Off

NAME = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
ADVERTISE_s = 0.1  # what most peripherals do: often enough to be found at once


class BlueZ:
    """The service. Serves as long as `bus` is connected."""

    def __init__(self, bus: MessageBus, adapter: Adapter) -> None:
        self.adapter = adapter
        self.path = "/org/bluez/hci0"
        self._tree = Tree(bus, self._calls(), self._gone)
        self._tree.on_set = self._set
        self._switching: asyncio.TimerHandle | None = None
        self._advertising: asyncio.TimerHandle | None = None
        self._devices = [Device(self._tree, self.path, peripheral) for peripheral in adapter.peripherals]

    async def serve(self) -> None:
        """Take the name org.bluez."""
        self._tree.add("/org/bluez", {})
        self._tree.add(self.path, {ADAPTER: self._properties()})
        for device in self._devices:
            device.show_held()
        await self._tree.own(NAME)

    def power(self, on: bool) -> None:
        """As a client does by setting Powered."""
        for device in () if on else self._devices:
            device.cancel()
        self.adapter.power(on)
        self._tree.change(self.path, ADAPTER, {"Powered": Variant("b", on)})
        self._show_scan()

    def _calls(self) -> dict[tuple[str, str], Handler]:
        return {
            (ADAPTER, "SetDiscoveryFilter"): self._nothing,
            (ADAPTER, "StartDiscovery"): self._start_discovery,
            (ADAPTER, "StopDiscovery"): self._stop_discovery,
            (ADAPTER, "RemoveDevice"): self._remove_device,
            (DEVICE, "Connect"): self._to(Device.connect),
            (DEVICE, "Disconnect"): self._to(Device.disconnect),
            (CHARACTERISTIC, "StartNotify"): self._to(Device.start_notify),
            (CHARACTERISTIC, "StopNotify"): self._to(Device.stop_notify),
            (CHARACTERISTIC, "AcquireNotify"): self._to(Device.acquire_notify),
            (CHARACTERISTIC, "ReadValue"): self._to(Device.read),
        }

    def _to(self, handle: Callable[[Device, Call], Any]) -> Handler:
        """The device that the path belongs to answers. An adapter that is off refuses for all of them."""

        async def answer(call: Call) -> Answer:
            if not self.adapter.powered:
                raise Refusal(f"{ERROR}.NotReady", "Resource Not Ready")
            for device in self._devices:
                if call.path.startswith(device.path):
                    done: Answer = await handle(device, call)
                    return done
            raise Refusal("org.freedesktop.DBus.Error.UnknownMethod", f"{call.path} is no device")

        return answer

    async def _nothing(self, _: Call) -> Answer:
        return NOTHING

    async def _start_discovery(self, call: Call) -> Answer:
        try:
            self.adapter.start_scan(call.sender)
        except Off:
            raise Refusal(f"{ERROR}.NotReady", "Resource Not Ready") from None
        except Busy:
            raise Refusal(f"{ERROR}.InProgress", "Operation already in progress") from None
        self._show_scan()
        if not self._advertising:
            self._advertising = asyncio.get_running_loop().call_later(ADVERTISE_s, self._advertise)
        return NOTHING

    async def _stop_discovery(self, call: Call) -> Answer:
        if not self.adapter.powered:
            raise Refusal(f"{ERROR}.NotReady", "Resource Not Ready")
        if not self.adapter.stop_scan(call.sender):
            raise Refusal(f"{ERROR}.Failed", "No discovery started")
        self._show_scan()
        return NOTHING

    async def _remove_device(self, call: Call) -> Answer:
        for device in self._devices:
            if device.path == call.body[0] and self._tree.has(device.path):
                device.peripheral.disconnect()
                self._tree.remove(device.path)
                return NOTHING
        raise Refusal(f"{ERROR}.DoesNotExist", "Does Not Exist")

    def _advertise(self) -> None:
        """Everything audible is heard, again and again while somebody scans."""
        self._advertising = None
        if self.adapter.scanning:
            for device in self._devices:
                if device.peripheral in self.adapter.audible():
                    device.advertise()
            self._advertising = asyncio.get_running_loop().call_later(ADVERTISE_s, self._advertise)

    def _show_scan(self) -> None:
        self._tree.change(self.path, ADAPTER, {"Discovering": Variant("b", bool(self.adapter.scanning))})
        if not self.adapter.scanning:
            for device in self._devices:
                device.quiet()

    def _set(self, path: str, name: str, value: Any) -> None:
        if (path, name) != (self.path, "Powered"):
            raise Refusal("org.freedesktop.DBus.Error.PropertyReadOnly", f"{name} of {path} cannot be set")
        if self._switching:
            raise Refusal(f"{ERROR}.Busy", "")
        power_s = max(device.peripheral.behaviour.power_s for device in self._devices)
        self._switching = asyncio.get_running_loop().call_later(power_s, self._switch, value)

    def _switch(self, on: bool) -> None:
        self._switching = None
        self.power(on)

    def _gone(self, client: str) -> None:
        """A client left the bus, perhaps by SIGKILL: its scan and its notifications end, its connections stay."""
        if self.adapter.stop_scan(client):
            self._show_scan()
        for device in self._devices:
            device.forget(client)

    def _properties(self) -> dict[str, Variant]:
        return {
            "Address": Variant("s", "00:11:22:33:44:55"),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", "edge"),
            "Alias": Variant("s", "edge"),
            "Powered": Variant("b", self.adapter.powered),
            "Discovering": Variant("b", False),
            "Roles": Variant("as", ["central", "peripheral"]),
            "UUIDs": Variant("as", []),
        }
