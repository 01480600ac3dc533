"""An I2C bus as drivers see it: smbus2's own surface, and the sentences for what the kernel answers when a transfer fails."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from edgegw.errors import DeviceAbsent, DeviceError

ADAPTERS = Path("/sys/class/i2c-adapter")


class Message(Protocol):
    """One half of a combined transfer: smbus2.i2c_msg."""

    addr: int
    flags: int
    len: int

    def __iter__(self) -> Iterator[int]: ...
    def __bytes__(self) -> bytes: ...


class Bus(Protocol):
    """The part of smbus2.SMBus that drivers use; every call may raise OSError. A virtual chip on a virtual bus has the same."""

    def read_byte_data(self, i2c_addr: int, register: int) -> int: ...
    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None: ...
    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> Sequence[int]: ...
    def write_i2c_block_data(self, i2c_addr: int, register: int, data: Sequence[int]) -> None: ...
    def i2c_rdwr(self, *messages: Message) -> None: ...
    def close(self) -> None: ...


def path_of(bus: int | str | Bus) -> str:
    """The name of a bus as sentences have it: /dev/i2c-1 for 1 and for "1", and what a virtual bus calls itself."""
    if isinstance(bus, str):
        return f"/dev/i2c-{bus}" if re.fullmatch(r"\d+", bus) else bus
    return f"/dev/i2c-{bus}" if isinstance(bus, int) else "the virtual bus"


@contextlib.contextmanager
def opened(bus: int | str | Bus) -> Iterator[Bus]:
    """The bus of that number or path, closed afterwards; something that is a bus already is lent out as it is, and stays open.

    Raises DeviceAbsent when there is no such bus, DeviceError when it cannot be opened.
    """
    if not isinstance(bus, int | str):
        yield bus
        return
    import smbus2  # here, not above: a gateway without I2C sensors never loads it

    path = path_of(bus)
    device = smbus2.SMBus()
    # smbus2 keeps the file open when what was opened turns out to be no bus
    with contextlib.closing(device):
        try:
            device.open(path)
        except OSError as error:
            raise refusal(error, path) from error
        yield cast("Bus", device)  # its methods have optional arguments besides


def clock_hz(bus: int | str | Bus, adapters: Path = ADAPTERS) -> int:
    """How fast the bus is clocked, as far as the device tree says; 0 where it does not, as on a PC."""
    node = Path(path_of(bus)).resolve().name  # a name that udev gave leads to the kernel's own
    try:
        return int.from_bytes((adapters / node / "of_node/clock-frequency").read_bytes(), "big")
    except OSError:
        return 0


def refusal(error: OSError, path: str) -> DeviceError:
    """Why the bus itself cannot be opened."""
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return DeviceAbsent(f"there is no I2C bus {path}: enable I2C (dtparam=i2c_arm=on in config.txt), or see ls /dev/i2c-*")
        case errno.EACCES | errno.EPERM:
            return DeviceError(f"no permission to open {path}: add the user that the gateway runs as to the group i2c")
        case errno.ENOTTY | errno.EINVAL:
            return DeviceError(f"{path} is not an I2C bus: name one out of ls /dev/i2c-*")
    return DeviceError(f"{path} cannot be opened: {error}")


def trouble(error: OSError, path: str, address: int) -> DeviceError:
    """Why a transfer to a chip failed."""
    where = f"address {address:#04x} on {path}"
    match error.errno:
        case errno.EREMOTEIO | errno.ENXIO:  # the Pi's controller says the first where a chip does not acknowledge, others the second
            return DeviceError(f"nothing answers at {where}: is the sensor powered, are SDA and SCL connected (i2cdetect -y shows all)?")
        case errno.ETIMEDOUT:
            return DeviceError(f"{path} is stuck (a transfer to {address:#04x} never ended): a chip holds SDA low; switch it off and on")
        case errno.EBUSY:
            return DeviceError(f"a kernel driver owns {where}: unbind it, or take its dtoverlay out of config.txt")
        case errno.EIO | errno.EAGAIN | errno.EPROTO:
            return DeviceError(f"transfers to {where} break off ({error.strerror}): shorter wires, stronger pull-ups or a slower bus help")
        case errno.ENODEV | errno.EBADF:
            return DeviceError(f"{path} has gone: was its adapter unplugged?")
        case errno.EOPNOTSUPP:
            return DeviceError(f"{path} cannot do combined transfers: use a mode of the sensor that does without, such as burst")
    return DeviceError(f"a transfer to {where} failed: {error}")
