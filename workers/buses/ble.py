"""Bluetooth Low Energy as drivers see it: find a peripheral, connect, subscribe; and the adapter that all of them share.

A radio is the seam: `bluez.BleakRadio` is the real one; a virtual peripheral may bring one of its own where the machine has no
D-Bus. All errors leave a radio as DeviceError, in plain words.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import msgspec

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError

TURN_s = 120.0  # eight sensors that look for their peripherals in vain take a minute; more than this, and somebody hangs
_AGAIN_s = (0.02, 0.1)  # at random, so that no two of those who wait keep step
_SIG = "0000{}-0000-1000-8000-00805f9b34fb"  # the Bluetooth SIG's own 16-bit UUIDs, written out
_SYSTEM_BUS = "unix:path=/var/run/dbus/system_bus_socket"


class Peripheral(msgspec.Struct, frozen=True):
    """Something that advertises, or that is connected already."""

    address: str
    name: str | None
    rssi_dBm: int | None  # of its newest advertisement; None where none was heard
    services: tuple[str, ...] = ()  # UUIDs in the advertisement, lower case
    manufacturer: Mapping[int, bytes] = {}
    handle: object = None  # what the radio needs to connect to it

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name else self.address


class Link(Protocol):
    """A connection. `lost` may stay False on a link that is dead: only arriving data prove that it lives."""

    @property
    def lost(self) -> bool:
        """Whether the radio has noticed that the connection ended."""

    def characteristics(self) -> Mapping[str, frozenset[str]]:
        """UUID of each, lower case → what can be done with it: read, write, notify, indicate."""

    async def subscribe(self, characteristic: str, hear: Callable[[bytes], None]) -> None:
        """Call `hear`, on the loop, with the payload of every notification from now on."""

    async def read(self, characteristic: str) -> bytes:
        """Its value."""

    async def close(self) -> None:
        """Disconnect; never raises, never takes longer than 2 s."""


class Radio(Protocol):
    """One adapter."""

    async def find(self, device: str, timeout_s: float) -> Peripheral:
        """The peripheral of that address or advertised name. Raises DeviceError when it is not heard within `timeout_s`."""

    async def connect(self, peripheral: Peripheral) -> Link:
        """Connect and discover the services."""

    async def let_go(self, device: str) -> bool:
        """End and forget what is left of a connection to `device`. True when that must do: the adapter serves others, and hears."""

    async def power_cycle(self) -> None:
        """Switch the adapter off and on again: what the kernel still holds of lost connections goes with it."""


def full_uuid(uuid: str) -> str:
    """In lower case and in full: FFE1 is 0000ffe1-0000-1000-8000-00805f9b34fb."""
    return _SIG.format(uuid.lower()) if len(uuid) == 4 else uuid.lower()


def short_uuid(uuid: str) -> str:
    """The 16 bits of the SIG's own, others in full."""
    return uuid[4:8] if uuid == _SIG.format(uuid[4:8]) else uuid


def claim(what: str) -> socket.socket | None:
    """Something on this machine's Bluetooth for oneself until the socket is closed; None while somebody else has it.

    An abstract Unix socket: the kernel frees the name with whoever held it, however that ended, and there is no file to leave
    behind. It tells processes and threads apart alike. The name carries the bus, so that private ones do not meet.
    """
    bus = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", _SYSTEM_BUS)
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0edgegw/ble/{hashlib.blake2b(bus.encode(), digest_size=8).hexdigest()}/{what}")
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return held


@contextlib.asynccontextmanager
async def turn(adapter: str, patience_s: float = TURN_s) -> AsyncIterator[None]:
    """The adapter for oneself, to scan and connect: a second scan would end in InProgress, and a scan hinders a connection.

    Waits without holding up the loop; raises DeviceError after `patience_s`.
    """
    import asyncio

    until_ns = SystemClock.monotonic_ns() + round(patience_s * NS_PER_S)
    while not (held := claim(adapter)):
        if SystemClock.monotonic_ns() > until_ns:
            raise DeviceError(f"another sensor has kept Bluetooth adapter {adapter} busy for {patience_s:g} s: see whether it hangs")
        await asyncio.sleep(random.uniform(*_AGAIN_s))
    with held:
        yield
