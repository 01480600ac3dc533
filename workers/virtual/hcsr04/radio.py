"""A radio inside this process that hears virtual peripherals: for machines without D-Bus, and for demonstrations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from edgegw.errors import DeviceError
from workers.buses import ble
from workers.virtual.hcsr04 import peripheral as virtual
from workers.virtual.hcsr04.adapter import Adapter, Busy, Off

ADVERTISE_s = 0.1
CONNECT_s = 20.0


class VirtualRadio:
    """Satisfies workers.buses.ble.Radio. It outlives the event loops that use it, one after the other, as an adapter does."""

    def __init__(self, adapter: Adapter, connect_s: float = CONNECT_s) -> None:
        self._adapter = adapter
        self._connect_s = connect_s

    async def find(self, device: str, timeout_s: float) -> ble.Peripheral:
        """By address or name. Raises DeviceError when it is not heard in time, or when the adapter does not scan."""
        for peripheral in self._adapter.peripherals:
            if peripheral.abandoned and _called(peripheral, device):
                peripheral.disconnect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._scan(device)
        raise DeviceError(f"{device} was not heard for {timeout_s:g} s: is it powered, in range, and not connected to another central?")

    async def connect(self, peripheral: ble.Peripheral) -> VirtualLink:
        """Raises DeviceError when the peripheral refuses, does not answer, or is lost again at once."""
        assert isinstance(peripheral.handle, virtual.Peripheral)
        if peripheral.handle.behaviour.forgotten:
            raise DeviceError(f"{peripheral.address} was forgotten before it could be connected")
        link = VirtualLink(peripheral.handle)
        try:
            async with asyncio.timeout(self._connect_s):
                link.up = await peripheral.handle.connect(link)
        except TimeoutError:
            raise DeviceError(f"{peripheral.address} did not answer within {self._connect_s:g} s") from None
        except virtual.ConnectRefused:
            raise DeviceError(f"{peripheral.address} refused the connection") from None
        await asyncio.sleep(virtual.SETUP_s)
        if link.lost:
            raise DeviceError(f"{peripheral.address} was lost while its services were looked up")
        return link

    async def let_go(self, device: str) -> bool:
        """As Radio has it; to serve others here means to have a link to one."""
        for peripheral in self._adapter.peripherals:
            if _called(peripheral, device):
                peripheral.disconnect()
        return any(peripheral.link for peripheral in self._adapter.peripherals)

    async def power_cycle(self) -> None:
        """Off and on."""
        self._adapter.power(False)
        self._adapter.power(True)

    async def _scan(self, device: str) -> ble.Peripheral:
        client = f"radio {id(asyncio.current_task())}"
        while not await self._started(client):
            await asyncio.sleep(ADVERTISE_s)
        try:
            while True:
                await asyncio.sleep(ADVERTISE_s)
                for found in self._adapter.audible():
                    if _called(found, device):
                        return _shown(found)
        finally:
            self._adapter.stop_scan(client)

    async def _started(self, client: str) -> bool:
        """Whether the scan runs; a busy adapter is asked again."""
        try:
            self._adapter.start_scan(client)
        except Busy:
            return False
        except Off:
            raise DeviceError("the Bluetooth adapter is switched off: bluetoothctl power on") from None
        return True


class VirtualLink:
    """Satisfies workers.buses.ble.Link."""

    def __init__(self, peripheral: virtual.Peripheral) -> None:
        self._peripheral = peripheral
        self._hear: Callable[[bytes], None] | None = None
        self._ended = False
        self.up: virtual.Link | None = None

    @property
    def lost(self) -> bool:
        return self._ended

    def characteristics(self) -> Mapping[str, frozenset[str]]:
        return self._peripheral.characteristics()

    async def subscribe(self, characteristic: str, hear: Callable[[bytes], None]) -> None:
        if characteristic not in self.characteristics():
            raise DeviceError(f"{self._peripheral.behaviour.address} has no characteristic {characteristic}")
        if self._ended:
            raise DeviceError(f"{self._peripheral.behaviour.address} is not connected any more")
        self._hear = hear

    async def read(self, characteristic: str) -> bytes:
        if self._ended or characteristic not in self.characteristics():
            raise DeviceError(f"{characteristic} of {self._peripheral.behaviour.address} cannot be read")
        return self._peripheral.value(characteristic)

    async def close(self) -> None:
        self._hear = None
        if self.up is not None and self._peripheral.link is self.up:
            self._peripheral.disconnect()
        self._ended = True

    def heard(self, payload: bytes) -> None:
        """What the peripheral sends."""
        if self._hear:
            self._hear(payload)

    def ended(self) -> None:
        """The peripheral says that the link is gone."""
        self._ended = True

    def deaf(self) -> None:
        """The subscription is gone, and nobody says so."""
        self._hear = None


def _called(peripheral: virtual.Peripheral, device: str) -> bool:
    return device.upper() == peripheral.behaviour.address or device == peripheral.behaviour.name


def _shown(found: virtual.Peripheral) -> ble.Peripheral:
    behaviour = found.behaviour
    return ble.Peripheral(behaviour.address, behaviour.name, -60, (found.profile.service,), {}, found)
