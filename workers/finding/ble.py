"""Bluetooth Low Energy peripherals that advertise: what the adapter hears in a few seconds."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgegw.driver import Found
from edgegw.errors import DeviceError
from workers.buses.ble import Peripheral, full_uuid, short_uuid, turn

TITLE = "Bluetooth peripherals"
CHECK = "is the peripheral powered and within a few metres? One that is connected already, to whomever, does not advertise"

FIRST = "hci0"  # the adapter that drivers use when nothing else is said
PATIENCE_s = 2.0  # for the turn of a gateway that runs here

# What people put a rangefinder behind: the service → what it is, and the format of its readings where one is usual.
SERVICES = {
    "6e400001-b5a3-f393-e0a9-e50e24dcca9e": ("Nordic UART", "nordic-uart"),
    full_uuid("ffe0"): ("HM-10 serial module", "hm10"),
    full_uuid("181a"): ("Environmental Sensing", "sig-length"),
    "4fafc201-1fb5-459e-8fcc-c5c9c331914b": ("service of an ESP32 example", ""),
    "1fe7faf9-ce63-4236-0004-000000000000": ("OpenBikeSensor", "obs8"),
}


def find(seconds: float) -> Iterator[Found]:
    """What advertises within `seconds`, the nearest first. Raises DeviceError when there is no Bluetooth to listen with."""
    import asyncio

    try:
        importlib.import_module("workers.buses.bluez")  # bleak, which is an extra, comes with it
    except ImportError as error:
        raise DeviceError("bleak is not installed: pip install 'edgegw[ble]'") from error
    adapter = min((entry.name for entry in Path("/sys/class/bluetooth").glob("hci*") if ":" not in entry.name), default=FIRST)
    for peripheral in asyncio.run(_heard(adapter, seconds)):
        yield found(peripheral, adapter)


async def _heard(adapter: str, seconds: float) -> list[Peripheral]:
    from workers.buses.bluetoothd import in_plain_words
    from workers.buses.bluez import opened

    async with opened(adapter) as radio, contextlib.AsyncExitStack() as until_done:
        try:
            await until_done.enter_async_context(turn(adapter, PATIENCE_s))
        except DeviceError as error:
            raise DeviceError(f"a gateway on this machine keeps {adapter} busy: try again in a moment, or stop it first") from error
        with in_plain_words(adapter, f"scanning on {adapter}"):
            return await radio.scan(seconds, lambda _: False)


def found(peripheral: Peripheral, adapter: str = FIRST) -> Found:
    """One of them, as it is shown."""
    name = peripheral.name or ""
    known = [SERVICES[uuid] for uuid in peripheral.services if uuid in SERVICES]
    private = _private(peripheral)
    details = ["" if peripheral.rssi_dBm is None else f"{peripheral.rssi_dBm} dBm", "its address changes" if private else ""]
    details[1:1] = [SERVICES.get(uuid, (short_uuid(uuid).upper(),))[0] for uuid in peripheral.services]
    options = {"device": name if private and name else peripheral.address} if known or name else {}
    if known and known[0][1]:
        options["format"] = known[0][1]
    if options and adapter != FIRST:
        options["adapter"] = adapter
    driver = "hcsr04" if known else ""
    return Found(bus="ble", where=peripheral.address, what=name, detail=", ".join(filter(None, details)), driver=driver, options=options)


def _private(peripheral: Peripheral) -> bool:
    """Whether its address changes every quarter of an hour or so. Random ones that begin with two ones stay (Core, 6.B.1.3.2)."""
    details = getattr(peripheral.handle, "details", None)
    properties = details.get("props") if isinstance(details, Mapping) else None
    random = isinstance(properties, Mapping) and properties.get("AddressType") == "random"
    return random and int(peripheral.address[:2], 16) < 0xC0
