"""A virtual peripheral as BlueZ shows it on the bus: Device1, and below it a GATT service with one characteristic."""

from __future__ import annotations

import asyncio
import random
import socket

from dbus_fast import Variant

from workers.virtual.bluez.tree import NOTHING, Answer, Call, Properties, Refusal, Tree
from workers.virtual.hcsr04.peripheral import ConnectRefused, Link, Peripheral, SETUP_s

DEVICE = "org.bluez.Device1"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
ERROR = "org.bluez.Error"
MTU_bytes = 185


class Device:
    """The central's end of a peripheral's links; `path` is its object."""

    def __init__(self, tree: Tree, adapter_path: str, peripheral: Peripheral) -> None:
        self.peripheral = peripheral
        self.path = f"{adapter_path}/dev_{peripheral.behaviour.address.replace(':', '_')}"
        self._adapter_path = adapter_path
        self._service = f"{self.path}/service0010"
        uuids = peripheral.characteristics()
        self._characteristics = {f"{self._service}/char{0x11 + 2 * i:04x}": uuid for i, uuid in enumerate(uuids)}
        self._notifies = next(iter(self._characteristics))  # the first one
        self._tree = tree
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
        self._notified: set[str] = set()  # clients that asked by StartNotify
        self._socket: socket.socket | None = None  # for the one that asked by AcquireNotify

    def advertise(self) -> None:
        """An advertisement was heard: the device appears, or its signal strength changes."""
        strength = Variant("n", -60 - random.randrange(10))
        if self._tree.has(self.path):
            self._tree.change(self.path, DEVICE, {"RSSI": strength})
        else:
            self._tree.add(self.path, {DEVICE: {**self._properties(), "RSSI": strength}})

    def show_held(self) -> None:
        """A link that bluetoothd found with the kernel when it started: connected, and nothing is known of its services."""
        if self.peripheral.held:
            self._tree.add(self.path, {DEVICE: {**self._properties(), "Connected": Variant("b", True)}})

    def quiet(self) -> None:
        """The scan is over: what is known of the signal strength is out of date, and sometimes all that is known of the device."""
        if self.peripheral.behaviour.forgotten and not self._link:
            self._tree.remove(self.path)
        self._tree.change(self.path, DEVICE, {}, ("RSSI",))

    async def connect(self, _: Call) -> Answer:
        if self._connecting:
            raise Refusal(f"{ERROR}.InProgress", "Operation already in progress")
        if self._link:
            return NOTHING
        self._connecting = asyncio.ensure_future(self.peripheral.connect(self))
        try:
            self._link = await self._connecting
        except ConnectRefused:
            raise Refusal(f"{ERROR}.Failed", "le-connection-abort-by-remote") from None
        except asyncio.CancelledError:
            raise Refusal(f"{ERROR}.Failed", "le-connection-abort-by-local") from None
        finally:
            self._connecting = None
        self._tree.change(self.path, DEVICE, {"Connected": Variant("b", True)})
        asyncio.get_running_loop().call_later(SETUP_s, self._resolve, self._link)
        return NOTHING

    async def disconnect(self, _: Call) -> Answer:
        """Also cancels a Connect under way."""
        if self._connecting:
            self.cancel()
        elif not self._link and not self.peripheral.held:
            raise Refusal(f"{ERROR}.NotConnected", "Not Connected")
        await asyncio.sleep(self.peripheral.behaviour.disconnect_s)  # a real one waits 2 s, lest somebody still has something to send
        if self.peripheral.held:
            self._tree.change(self.path, DEVICE, {"Connected": Variant("b", False)})
        self.peripheral.disconnect()
        if self._link:  # one that was lost, late to be noticed
            self._link.up = False
            self.ended()
        return NOTHING

    def cancel(self) -> None:
        """A Connect under way fails."""
        if self._connecting:
            self._connecting.cancel()

    async def start_notify(self, call: Call) -> Answer:
        if call.sender in self._notified or self._socket:
            raise Refusal(f"{ERROR}.InProgress", "Operation already in progress")
        self._notified.add(call.sender)
        self._tree.change(self._notifies, CHARACTERISTIC, {"Notifying": Variant("b", True)})
        return NOTHING

    async def stop_notify(self, call: Call) -> Answer:
        if call.sender not in self._notified:
            raise Refusal(f"{ERROR}.Failed", "No notify session started")
        self.forget(call.sender)
        return NOTHING

    async def acquire_notify(self, _: Call) -> Answer:
        """The other way to be notified: a socket, one packet for each. BlueZ gives it to one client."""
        if self._socket or self._notified:
            raise Refusal(f"{ERROR}.NotPermitted", "Notify acquired")
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._tree.change(self._notifies, CHARACTERISTIC, {"NotifyAcquired": Variant("b", True)})
        return Answer("hq", (0, MTU_bytes), (theirs.detach(),))

    async def read(self, call: Call) -> Answer:
        return Answer("ay", (self.peripheral.value(self._characteristics[call.path]),))

    def forget(self, client: str) -> None:
        """It wants no more notifications, or has left the bus."""
        if client in self._notified:
            self._notified.remove(client)
            self._tree.change(self._notifies, CHARACTERISTIC, {"Notifying": Variant("b", bool(self._notified))})

    def heard(self, payload: bytes) -> None:
        if self._notified:
            self._tree.change(self._notifies, CHARACTERISTIC, {"Value": Variant("ay", payload)})
        if self._socket:
            try:
                self._socket.send(payload)
            except BlockingIOError:
                pass  # nobody reads, and the socket is full: it loses what does not fit
            except OSError:  # the other end is closed: that is how a client says that it wants no more
                self.deaf()

    def ended(self) -> None:
        self._link = None
        self.deaf()
        self._notified.clear()
        self._tree.change(self.path, DEVICE, {"ServicesResolved": Variant("b", False)})
        self._tree.change(self.path, DEVICE, {"Connected": Variant("b", False)})
        self._tree.remove(self._service)

    def deaf(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
            self._tree.change(self._notifies, CHARACTERISTIC, {"NotifyAcquired": Variant("b", False)})

    def _resolve(self, link: Link) -> None:
        """The services are discovered, if the link still stands."""
        if self._link is not link:
            return
        self._tree.add(self._service, {SERVICE: self._service_properties()})
        for path, uuid in self._characteristics.items():
            self._tree.add(path, {CHARACTERISTIC: self._characteristic_properties(uuid)})
        self._tree.change(self.path, DEVICE, {"ServicesResolved": Variant("b", True)})

    def _properties(self) -> Properties:
        behaviour = self.peripheral.behaviour
        return {
            "Address": Variant("s", behaviour.address),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", behaviour.name),
            "Alias": Variant("s", behaviour.name),
            "Adapter": Variant("o", self._adapter_path),
            "UUIDs": Variant("as", [self.peripheral.profile.service]),
            **{name: Variant("b", False) for name in ("Paired", "Bonded", "Trusted", "Blocked", "LegacyPairing")},
            **{name: Variant("b", False) for name in ("Connected", "ServicesResolved")},
        }

    def _service_properties(self) -> Properties:
        uuid, path = Variant("s", self.peripheral.profile.service), Variant("o", self.path)
        return {"UUID": uuid, "Device": path, "Primary": Variant("b", True), "Includes": Variant("ao", [])}

    def _characteristic_properties(self, uuid: str) -> Properties:
        flags = self.peripheral.characteristics()[uuid]
        notifies = {"Notifying": Variant("b", False), "NotifyAcquired": Variant("b", False)}
        return {
            "UUID": Variant("s", uuid),
            "Service": Variant("o", self._service),
            "Flags": Variant("as", sorted(flags)),
            **(notifies if "notify" in flags else {}),
            "MTU": Variant("q", MTU_bytes),
        }
