"""The real radio: an adapter of this machine by way of BlueZ, bleak and bleak-retry-connector.

Loads asyncio and bleak, so drivers import it where they use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping

from bleak import BleakClient, BleakScanner
from bleak.backends.bluezdbus import manager
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDBusError, BleakError
from bleak_retry_connector import establish_connection

from edgegw.errors import DeviceError
from workers.buses.ble import Peripheral, claim
from workers.buses.bluetoothd import POLL_s, Properties, in_plain_words, reached, within

ATTEMPTS = 2
CONNECT_s = 15.0  # for all attempts, to a peripheral that has just been heard; bleak-retry-connector would give each of them 20 s
START_s, STOP_s, SUBSCRIBE_s, READ_s, DISCONNECT_s = 5.0, 3.0, 10.0, 2.0, 1.0
NAMESAKE_s = 0.5  # of listening on for another peripheral of the same name
STALE_s = 4.0  # BlueZ takes 2 s to disconnect, lest somebody still has something to send
POWER_s = 10.0  # off and on again takes a second or two
UNHEARD_dBm = -127  # bleak's word for "not told"
OTHERS = 5  # named, of those that were heard instead

_ADDRESS = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


class BleakLink:
    """A connection; closing it gives back the claim on the peripheral."""

    def __init__(self, adapter: str, peripheral: Peripheral, client: BleakClient, mine: socket.socket) -> None:
        self._adapter = adapter
        self._peripheral = peripheral
        self._client = client
        self._mine = mine

    @property
    def lost(self) -> bool:
        return not self._client.is_connected

    def characteristics(self) -> Mapping[str, frozenset[str]]:
        able: dict[str, frozenset[str]] = {}
        for found in self._all():
            able[found.uuid.lower()] = able.get(found.uuid.lower(), frozenset()) | frozenset(found.properties)
        return able

    async def subscribe(self, characteristic: str, hear: Callable[[bytes], None]) -> None:
        with in_plain_words(self._adapter, f"{self._peripheral} does not let us subscribe to {characteristic}"):
            one = self._one(characteristic, "notify", "indicate")
            await within(SUBSCRIBE_s, self._client.start_notify(one, lambda _, payload: hear(bytes(payload))))

    async def read(self, characteristic: str) -> bytes:
        with in_plain_words(self._adapter, f"{self._peripheral} does not let us read {characteristic}"):
            return bytes(await within(READ_s, self._client.read_gatt_char(self._one(characteristic, "read"))))

    async def close(self) -> None:
        with self._mine, contextlib.suppress(Exception):  # what is wrong with the link is known, or does not matter any more
            await within(DISCONNECT_s, self._client.disconnect())

    def _all(self) -> list[BleakGATTCharacteristic]:
        with in_plain_words(self._adapter, f"{self._peripheral} was lost as soon as it was connected"):
            return list(self._client.services.characteristics.values())

    def _one(self, characteristic: str, *able: str) -> BleakGATTCharacteristic:
        """The first of that UUID, of which a peripheral may have several, that can do what is asked for."""
        for found in self._all():
            if found.uuid.lower() == characteristic and set(able) & set(found.properties):
                return found
        raise DeviceError(f"{self._peripheral} has no characteristic {characteristic} to {able[0]}")


class BleakRadio:
    """One adapter, for as long as `opened` lasts. Scanning and connecting are for whoever has the adapter's turn."""

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter

    async def find(self, device: str, timeout_s: float) -> Peripheral:
        found: dict[str, Peripheral] = {}  # kept as heard: BlueZ may show the advertised name now and the GAP's own a moment later

        def wanted(peripheral: Peripheral) -> bool:
            if hit := _is(device, peripheral.address, peripheral.name):
                found[peripheral.address] = peripheral
            return hit

        with in_plain_words(self.adapter, f"scanning on {self.adapter}"):
            await self._end_stale(device)
            linger_s = 0.0 if _ADDRESS.fullmatch(device) else NAMESAKE_s
            heard = await self.scan(timeout_s, wanted, linger_s)
        if len(found) > 1:
            raise DeviceError(f"several peripherals are called {device}: write the address of the right one ({', '.join(found)}) instead")
        if not found:
            raise DeviceError(_unheard(device, self.adapter, timeout_s, heard))
        return next(iter(found.values()))

    async def scan(self, timeout_s: float, wanted: Callable[[Peripheral], bool], linger_s: float = 0.0) -> list[Peripheral]:
        """What advertises within `timeout_s`, or until `linger_s` after a wanted one has. Raises what bleak raises."""
        heard: dict[str, Peripheral] = {}
        met = asyncio.Event()

        def hear(device: BLEDevice, advertisement: AdvertisementData) -> None:
            heard[device.address] = peripheral = _peripheral(device, advertisement)
            if wanted(peripheral):
                met.set()

        # without DuplicateData, BlueZ tells nothing of a device that another client's scan has just heard at the same strength
        scanner = BleakScanner(hear, bluez={"adapter": self.adapter, "filters": {"DuplicateData": True}})
        await self._start(scanner, timeout_s)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await met.wait()
                    await asyncio.sleep(linger_s)
        finally:
            with contextlib.suppress(Exception):  # the scan of a client that leaves the bus ends by itself
                await within(STOP_s, scanner.stop())
        return sorted(heard.values(), key=lambda peripheral: -(peripheral.rssi_dBm or UNHEARD_dBm))

    async def connect(self, peripheral: Peripheral) -> BleakLink:
        mine = claim(f"{self.adapter}/{peripheral.address}")
        if not mine:
            raise DeviceError(f"another sensor reads {peripheral} already: do two sections name the same device?")
        assert isinstance(peripheral.handle, BLEDevice)
        with contextlib.ExitStack() as failing:
            failing.enter_context(mine)
            name = peripheral.name or peripheral.address
            try:
                with in_plain_words(self.adapter, f"{peripheral} was heard, but does not connect"):
                    work = establish_connection(BleakClient, peripheral.handle, name, max_attempts=ATTEMPTS, use_services_cache=False)
                    client = await within(CONNECT_s, work)
            except DeviceError:
                await self._forget(peripheral.handle)
                raise
            failing.pop_all()
        return BleakLink(self.adapter, peripheral, client, mine)

    async def power_cycle(self) -> None:
        with in_plain_words(self.adapter, f"switching {self.adapter} off and on"):
            async with reached() as daemon:
                await within(POWER_s, daemon.off_and_on(self.adapter))

    async def let_go(self, device: str) -> bool:
        """End and forget what BlueZ has of `device`. Whether that is all there is to do: the adapter serves others, and it hears."""
        with in_plain_words(self.adapter, f"ending what is left of {device}"):
            async with reached() as daemon:
                others = False
                for path, properties in (await daemon.devices(self.adapter)).items():
                    if not self._ours(device, properties):
                        others |= bool(properties.get("Connected"))
                    elif properties.get("Connected") and not await daemon.disconnect(path, STALE_s):
                        return False
                    else:
                        await daemon.forget(self.adapter, path)
            with contextlib.suppress(BleakError, TimeoutError):  # a scan that does not even start is what a power cycle is for
                return others and bool(await self.scan(STALE_s, lambda _: True))
            return False

    async def _end_stale(self, device: str) -> None:
        """Disconnect it where BlueZ says that it is connected, and nobody claims it: a worker's link outlives the worker.

        It would not advertise as long as it is connected.
        """
        async with reached() as daemon:
            for path, properties in (await daemon.devices(self.adapter)).items():
                if properties.get("Connected") and self._ours(device, properties):
                    await daemon.disconnect(path, STALE_s)

    def _ours(self, device: str, properties: Properties) -> bool:
        """Whether it is that device, and nobody else reads it; while one has the adapter's turn nobody can begin to."""
        if not _is(device, properties["Address"], properties.get("Name")):
            return False
        free = claim(f"{self.adapter}/{properties['Address']}")
        with free or contextlib.nullcontext():
            return bool(free)

    async def _start(self, scanner: BleakScanner, timeout_s: float) -> None:
        until = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                return await within(START_s, scanner.start())
            except BleakDBusError as error:  # another program scans, or an old scan has not quite ended
                if not error.dbus_error.endswith(".InProgress") or asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(POLL_s)

    async def _forget(self, device: BLEDevice) -> None:
        with contextlib.suppress(Exception):  # why it did not connect is the news, not this
            async with reached() as daemon:
                await daemon.forget(self.adapter, device.details["path"])


@contextlib.asynccontextmanager
async def opened(adapter: str) -> AsyncIterator[BleakRadio]:
    """A radio for the length of the block; then what bleak holds for this loop is let go."""
    try:
        yield BleakRadio(adapter)
    finally:
        _end_of(asyncio.get_running_loop())


def _end_of(loop: asyncio.AbstractEventLoop) -> None:
    """Close the connection to the bus that bleak keeps for a loop as long as there is no other: ours has a loop for each attempt.

    bleak has no call for that; what follows is its own sweep, which comes with the next attempt only. The task that watches the
    connection goes first, or it would warn of a loss.
    """
    ours = manager._global_instances.pop(loop, None)
    if ours and ours._bus:
        if ours._bus_watcher_task:
            ours._bus_watcher_task.cancel()
        ours._bus._finalize(None)


def _peripheral(device: BLEDevice, advertisement: AdvertisementData) -> Peripheral:
    return Peripheral(
        address=device.address,
        name=advertisement.local_name or device.name,
        rssi_dBm=None if advertisement.rssi == UNHEARD_dBm else advertisement.rssi,
        services=tuple(uuid.lower() for uuid in advertisement.service_uuids),
        manufacturer=advertisement.manufacturer_data,
        handle=device,
    )


def _is(device: str, address: str, name: str | None) -> bool:
    return address.upper() == device.upper() if _ADDRESS.fullmatch(device) else name == device


def _unheard(device: str, adapter: str, timeout_s: float, heard: list[Peripheral]) -> str:
    if not heard:
        return f"{device} was not heard on {adapter} within {timeout_s:g} s, nor was anything else: is it powered, and within reach?"
    shown = f"{', '.join(map(str, heard[:OTHERS]))}{', …' if len(heard) > OTHERS else ''}"
    advice = "is it powered, near enough, and connected to nobody else?"
    return f"{device} was not heard on {adapter} within {timeout_s:g} s ({advice}); heard {len(heard)} others: {shown}"
