"""A virtual MPU6050 on a virtual I2C bus, which has the methods of smbus2.SMBus and fails as the kernel does, with an errno.

In a configuration: bus = "virtual", or with faults "virtual?nack=0.01&seed=3"; the names are those of Behaviour. It lives in the
process that reads it, for a bus has no other end that could be opened; tests/services/umockdev.py puts the same chip behind a
device node.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from edgegw.clock import NS_PER_S, Clock, SystemClock
from workers.virtual.asked import behaviour_as, values_of
from workers.virtual.chip6050 import Chip
from workers.virtual.line6050 import Line
from workers.virtual.scene6050 import Behaviour

ADDRESS = 0x68
BLOCK_bytes = 32  # SMBus 2.0, and smbus2 with it
MESSAGE_bytes, MESSAGES = 8192, 42  # what i2c-dev takes in one I2C_RDWR
READ = 0x0001  # i2c_msg.flags: I2C_M_RD


class Bus:
    """An I2C bus with one chip on it. Every method of smbus2 may raise OSError; other addresses answer with EREMOTEIO."""

    def __init__(self, behaviour: Behaviour | None = None, address: int = ADDRESS, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._address = address
        self.closed = 0  # how often; like a device node, it may be used again afterwards
        self.chip = Chip(behaviour or Behaviour(), self._clock.monotonic_ns)
        self.line = Line(self.chip, self._clock.monotonic_ns)

    def read_byte_data(self, i2c_addr: int, register: int) -> int:
        """One register."""
        return self._transfer({i2c_addr}, bytes([register]), 1)[0][0]

    def write_byte_data(self, i2c_addr: int, register: int, value: int) -> None:
        """One register."""
        self._transfer({i2c_addr}, bytes([register, value]))

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> list[int]:
        """That many registers, 32 at most."""
        return list(self._transfer({i2c_addr}, bytes([register]), _block(length))[0])

    def write_i2c_block_data(self, i2c_addr: int, register: int, data: Sequence[int]) -> None:
        """Several registers, 32 at most."""
        self._transfer({i2c_addr}, bytes([register, *data[: _block(len(data))]]))

    def i2c_rdwr(self, *i2c_msgs: Any) -> None:
        """Several messages, smbus2.i2c_msg, as one transfer."""
        if len(i2c_msgs) > MESSAGES or any(message.len > MESSAGE_bytes for message in i2c_msgs):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        parts = [message.len if message.flags & READ else ctypes.string_at(message.buf, message.len) for message in i2c_msgs]
        answers = iter(self._transfer({message.addr for message in i2c_msgs}, *parts))
        for message in i2c_msgs:
            if message.flags & READ:
                ctypes.memmove(message.buf, next(answers), message.len)

    def close(self) -> None:
        """As a driver does that leaves; the next one finds the same chip."""
        self.closed += 1

    def _transfer(self, addresses: set[int], *messages: bytes | int) -> list[bytes]:
        """Get through to the chip, or raise what the kernel would."""
        number, delay_s = self.line.fate()
        delay_s += self.line.takes_s(*messages)
        if delay_s:
            self._clock.sleep_until(self._clock.monotonic_ns() + round(delay_s * NS_PER_S))
        if not number and addresses != {self._address}:
            number = errno.EREMOTEIO
        if number:
            self.line.break_off(*messages)
            raise OSError(number, os.strerror(number))
        return self.line.carry(*messages)


@contextlib.contextmanager
def plug(options: Any) -> Iterator[Any]:
    """`options` with a virtual bus, on which the chip has the address that they name.

    Its behaviour is in the bus's name: "virtual?nack=0.01&seed=3". Raises DriverError for a name it does not understand.
    """
    _, _, query = str(options.bus).partition("?")
    with contextlib.closing(Bus(behaviour_of(values_of(query, "nack=0.01&seed=3")), options.address)) as bus:
        yield msgspec.structs.replace(options, bus=bus)


def behaviour_of(values: Mapping[str, str]) -> Behaviour:
    """From text; three axes stand as "0.9,-1.4,0.6". Raises DriverError, with a suggestion for a misspelt name."""
    split = {name: value.split(",") if "," in value else value for name, value in values.items()}
    return behaviour_as(Behaviour, "mpu6050", split)


def _block(length: int) -> int:
    if length > BLOCK_bytes:
        raise ValueError(f"a block has {BLOCK_bytes} bytes at most")
    return length
