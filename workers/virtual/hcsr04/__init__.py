"""A virtual HC-SR04 behind a Bluetooth peripheral: on a private D-Bus, where bleak cannot tell, or on a radio within this process.

python -m workers.virtual.hcsr04 "name=door&no_echo=0.1"

By hand, it prints the address of its bus: with DBUS_SYSTEM_BUS_ADDRESS set to that, anything that uses BlueZ finds it there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from workers.virtual import dbusd, process
from workers.virtual.hcsr04.behaviour import Behaviour, behaviour_of, values_of

if TYPE_CHECKING:
    from workers.hcsr04 import Options

SYSTEM_BUS = "DBUS_SYSTEM_BUS_ADDRESS"


@contextlib.contextmanager
def plug(options: Options) -> Iterator[Options]:
    """`options` for a virtual peripheral that is there as long as the block; this process sees no other bus meanwhile.

    Its behaviour is in the device's name: "virtual?no_echo=0.1&seed=3". Raises DriverError for a name it does not understand.
    """
    _, _, query = options.device.partition("?")
    values = {**_as_asked(options), **values_of(query)}
    behaviour = behaviour_of(values)
    if _bus_possible():
        with process.started(__name__, [urllib.parse.urlencode(values)]) as address, process_sees(address):
            yield msgspec.structs.replace(options, device=behaviour.address)
    else:
        yield msgspec.structs.replace(options, device=behaviour.address, adapter=_radio(behaviour))


def _as_asked(options: Options) -> dict[str, Any]:
    """The payloads that the driver expects, which words after the ? may change."""
    form = options.form()
    none = {"none": options.invalid[0]} if options.invalid else {}
    return {"format": options.format, "characteristic": form.characteristic, "layout": options.layout, "scale_m": form.scale_m, **none}


def _bus_possible() -> bool:
    return dbusd.installed() and all(importlib.util.find_spec(name) for name in ("bleak", "bleak_retry_connector", "dbus_fast"))


@contextlib.contextmanager
def process_sees(address: str) -> Iterator[None]:
    """Libraries of this process that look for the system's bus find this one, for the length of the block."""
    before = os.environ.get(SYSTEM_BUS)
    os.environ[SYSTEM_BUS] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[SYSTEM_BUS]
        else:
            os.environ[SYSTEM_BUS] = before


def _radio(behaviour: Behaviour) -> object:
    from workers.virtual.hcsr04.air import Air
    from workers.virtual.hcsr04.radio import VirtualRadio

    return VirtualRadio(Air([behaviour]).adapter)
