"""Chips on I2C buses: every address is asked once, in the way that is known to be harmless there, and what answers is asked for its name.

There is no command that merely asks who is there. As i2cdetect does by default: an address is written to without any data, except
where memory chips live, which could take that for the beginning of a write; those are read from, one byte.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.driver import Found
from edgegw.errors import DeviceError
from workers.finding.usb import line
from workers.mpu6050.registers import PARTS, WHO_AM_I

TITLE = "I2C chips"
CHECK = "is I2C switched on (sudo raspi-config, Interface Options, I2C), has the chip power, are SDA and SCL the right way round?"

ADDRESSES = range(0x08, 0x78)  # what the I2C specification leaves to ordinary chips
MEMORY = {*range(0x30, 0x38), *range(0x50, 0x60)}  # EEPROMs, and their write protection
STUCK_timeouts = 2  # a NACK takes microseconds; a transfer that times out says that a line is held low
CROWD = 48  # nobody wires up so many chips: this controller takes every silence for an answer

CHIP_ID = 0xD0  # of every Bosch barometer
BOSCH = {0x55: "BMP180", 0x56: "BMP280", 0x57: "BMP280", 0x58: "BMP280", 0x60: "BME280", 0x61: "BME680"}
LUNA = 0x3C  # four registers that spell it
PIN_5 = "no driver reads it there: leave its pin 5 open, and it speaks on the serial port"


class Bus(Protocol):
    """The part of smbus2.SMBus that finding needs; every call may raise OSError."""

    def write_quick(self, i2c_addr: int) -> None: ...
    def read_byte(self, i2c_addr: int) -> int: ...
    def read_byte_data(self, i2c_addr: int, register: int) -> int: ...
    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> Sequence[int]: ...


def find(seconds: float) -> Iterator[Found]:
    """What answers on each bus, within `seconds` a bus at most. Raises DeviceError, after the rest, for buses that could not be asked."""
    troubles: list[str] = []
    for number in buses():
        try:
            yield from _on(number, seconds)
        except (OSError, DeviceError) as error:
            troubles.append(_refusal(number, error))
    if troubles:
        raise DeviceError("; ".join(troubles))


def buses() -> list[int]:
    """Numbers of the buses worth asking: not those of a PC's mainboard or graphics, whose chips nobody wants disturbed."""
    numbers = sorted(int(node.name[4:]) for node in Path("/dev").glob("i2c-*") if node.name[4:].isdecimal())
    return [number for number in numbers if _subsystem(number) not in ("pci", "drm")]


def _subsystem(number: int) -> str:
    """Of what the adapter is part of; a Raspberry Pi's header hangs on "platform", a USB adapter on "usb"."""
    return (Path(f"/sys/class/i2c-dev/i2c-{number}/device").resolve().parent / "subsystem").resolve().name


def _on(number: int, seconds: float) -> Iterator[Found]:
    from smbus2 import I2cFunc, SMBus  # here, not above: only who looks for chips loads it

    with SMBus(number) as bus:
        yield from chips(bus, number, seconds, quick=bool(bus.funcs & I2cFunc.SMBUS_QUICK))


def chips(bus: Bus, number: int, seconds: float, *, quick: bool) -> Iterator[Found]:
    """What answers on this bus; `quick`: whether its controller can write no data. Raises DeviceError where no answer can be believed."""
    present = _answering(bus, SystemClock.monotonic_ns() + round(seconds * NS_PER_S), quick=quick)
    if len(present) >= CROWD:
        raise DeviceError("every address seems to answer: its controller does not tell silence from an answer")
    for address, taken in present.items():
        yield _taken(number, address) if taken else _identified(bus, number, address)


def _answering(bus: Bus, until_ns: int, *, quick: bool) -> dict[int, bool]:
    """Addresses that answer → whether a driver of the kernel's has the chip, which then is not touched (UU in i2cdetect)."""
    present: dict[int, bool] = {}
    timeouts = 0
    for address in ADDRESSES:
        try:
            _ask(bus, address, quick=quick and address not in MEMORY)
            present[address] = False
        except OSError as error:
            timeouts += error.errno == errno.ETIMEDOUT
            if error.errno == errno.EBUSY:
                present[address] = True
        if timeouts >= STUCK_timeouts or SystemClock.monotonic_ns() > until_ns:
            raise DeviceError("it hangs: a wire, or a chip without power, holds SDA or SCL low")
    return present


def _ask(bus: Bus, address: int, *, quick: bool) -> None:
    """Address it, and no more; raises OSError when nobody answers."""
    if quick:
        try:
            return bus.write_quick(address)
        except OSError as error:  # some controllers have the kernel promise what they refuse: a message of no length
            if error.errno != errno.EOPNOTSUPP:
                raise
    bus.read_byte(address)
    return None


def _identified(bus: Bus, number: int, address: int) -> Found:
    name, driver, detail = "", "", ""
    with contextlib.suppress(OSError):  # it is there, but has no such register
        if address in (0x68, 0x69):
            code = bus.read_byte_data(address, WHO_AM_I)
            name, driver = (PARTS[code].name, "mpu6050") if code in PARTS else ("", "")
            detail = f"WHO_AM_I {code:#04x}" + ("" if name else ": perhaps a clock, a DS3231 or DS1307")
        elif address in (0x76, 0x77):
            name = BOSCH.get(bus.read_byte_data(address, CHIP_ID), "")
        elif address == 0x10 and bytes(bus.read_i2c_block_data(address, LUNA, 4)) == b"LUNA":
            name, detail = "TF-Luna in I2C mode", PIN_5
        elif address in MEMORY:
            detail = "memory, as a rule: of a HAT, a monitor, a clock module"
    options = {"bus": number, "address": address} if driver else {}
    return Found(bus="i2c", where=_where(number, address), what=name, detail=detail, driver=driver, options=options)


def _taken(number: int, address: int) -> Found:
    name = line(Path(f"/sys/bus/i2c/devices/{number}-{address:04x}/name"))
    return Found(bus="i2c", where=_where(number, address), what=name, detail="a driver of the kernel's has it")


def _where(number: int, address: int) -> str:
    return f"bus {number}, address {address:#04x}"


def _refusal(number: int, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"no permission to open /dev/i2c-{number}: add yourself to the group i2c, and log in again"
    return f"bus {number} cannot be asked: {getattr(error, 'strerror', None) or error}"
