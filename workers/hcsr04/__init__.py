"""HC-SR04 ultrasonic rangefinder behind a Bluetooth Low Energy peripheral, which measures by itself and notifies.

What a notification says of its echo decides what is reported; the first row that fits counts:

    no echo, as `decode` has it        nothing sent the sound back     distance null  uncertain
    below `minimum_m` (0.02 m)         nearer than it can measure      distance kept  uncertain
    above `maximum_m` (4.00 m)         farther than it is rated for    distance kept  uncertain
    anything else                                                      distance kept  good

"No echo" is the sensor's answer, not a failure; it is uncertain, not good, because cloth or a slanted board nearby answers the same.
The signal strength is that of the advertisement by which the peripheral was found: BlueZ tells none of a connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, cast

from edgegw.clock import SystemClock
from edgegw.errors import DeviceError
from edgegw.reading import Sample
from workers.buses import ble
from workers.hcsr04.options import Options

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

__all__ = ["FIELDS", "SIMULATOR", "Options", "read", "reset"]

FIELDS = {"ultrasonic": {"distance_m": float, "rssi_dBm": int, "battery_V": float}}
SIMULATOR = "workers.virtual.hcsr04"

SCAN_s = 8.0  # most peripherals advertise once a second or more, and a radio that scans hears about every other of them


async def read(options: Options) -> AsyncGenerator[Sample, None]:
    """Samples as they are notified. Raises DeviceError when the peripheral is not found, is another one, or falls silent."""
    from workers.hcsr04.listening import Listener  # here, not above: it needs asyncio

    async with _radio(options) as radio, contextlib.AsyncExitStack() as leaving:
        async with _turn(options):
            peripheral = await radio.find(options.device, SCAN_s)
            link = await radio.connect(peripheral)
            leaving.push_async_callback(link.close)
        listener = Listener(options, peripheral, link, SystemClock())
        async with contextlib.aclosing(listener.samples()) as samples:
            async for sample in samples:
                yield sample


async def reset(options: Options) -> AsyncGenerator[None, None]:
    """Bring the Bluetooth adapter back to its senses by switching it off and on. Raises DeviceError when that fails.

    What the kernel still holds of lost connections goes with that, and so do the links of all other peripherals on the
    adapter; their drivers find them again. So an adapter that serves others and hears well is spared: then only what is
    left of this peripheral's own connection is ended.
    """
    async with _radio(options) as radio, _turn(options):
        if not await radio.let_go(options.device):
            await radio.power_cycle()
    yield None


def _radio(options: Options) -> AbstractAsyncContextManager[ble.Radio]:
    """The adapter of that name; or the radio itself, where a virtual device has put one in its place."""
    own = _own(options.adapter)
    return contextlib.nullcontext(own) if own else _bluez().opened(options.adapter)


def _turn(options: Options) -> AbstractAsyncContextManager[None]:
    return contextlib.nullcontext() if _own(options.adapter) else ble.turn(options.adapter)


def _own(adapter: object) -> ble.Radio | None:
    return None if isinstance(adapter, str) else cast(ble.Radio, adapter)


def _bluez() -> ModuleType:
    try:
        from workers.buses import bluez  # here, not above: it loads asyncio and bleak
    except ImportError as error:
        raise DeviceError("Bluetooth needs bleak, which is not installed: pip install 'edgegw[ble]'") from error
    return bluez
