"""One chip on a bus: transfers that are tried again, who it is, and how it is reset, woken and set up."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from edgegw.clock import Clock
from edgegw.errors import DeviceError
from workers.buses import i2c
from workers.buses.i2c import Bus
from workers.mpu6050 import registers as reg
from workers.mpu6050.options import Options
from workers.mpu6050.registers import MPU6050, PARTS, PACKET_bytes, Part
from workers.mpu6050.setting import Setting

T = TypeVar("T")

TRIES = 3
SLOW_ns = 50_000_000  # a transfer that took longer was ended by the kernel's time-out: a second one would take a second, too
FOREVER_ns = 1 << 63
RESET_ns = 100_000_000  # RM 4.28
WAIT_ns = 50_000_000  # of a pause, between two heartbeats
UNSTEADY = "its supply dips, or its wires pick up noise; a capacitor at the sensor and shorter wires help"
FLOATING = b"\xff" * PACKET_bytes  # what pull-ups give when nobody drives the bus

_PLACES = (*range(reg.SMPLRT_DIV, reg.SMPLRT_DIV + 5), reg.FIFO_EN, reg.USER_CTRL, reg.PWR_MGMT_1, reg.PWR_MGMT_2)


class SettingsLost(DeviceError):
    """The chip has started anew by itself, mostly for a dip in its supply: it answers, but not as it was set up."""


class Chip:
    """Transfers to one address; each is tried up to three times. Raises DeviceError, in plain words, when none of them worked."""

    def __init__(self, bus: Bus, options: Options, clock: Clock) -> None:
        self.where = f"address {options.address:#04x} on {i2c.path_of(options.bus)}"
        self.clock = clock
        self.faults = 0  # failed transfers, lost packets and lost settings since new_faults()
        self.began_ns = 0  # when the last try of the last transfer did
        self.wakes_up = False  # after a reset it measures by itself, in ranges that nobody asked for; an MPU6050 sleeps
        self._bus = bus
        self._path = i2c.path_of(options.bus)
        self._address = options.address

    def new_faults(self) -> int:
        """How many there were since the last call."""
        new, self.faults = self.faults, 0
        return new

    def read(self, register: int, length_bytes: int, until_ns: int = FOREVER_ns) -> bytes:
        """Registers from that one on, at most 32. No try begins that cannot be expected to end by `until_ns`."""
        return self._tried(lambda: self._block(register, length_bytes), until_ns)

    def burst(self, until_ns: int) -> bytes:
        """The fourteen bytes of one sample, all of one moment."""
        return self._tried(self._sample, until_ns)

    def write(self, register: int, value: int) -> None:
        """One register."""
        self._tried(lambda: self._bus.write_byte_data(self._address, register, value), FOREVER_ns)

    def counted(self) -> tuple[int, int]:
        """INT_STATUS, which reading clears, and the bytes in the FIFO; both in one call to the kernel."""
        status, count = self._tried(lambda: self._combined((reg.INT_STATUS, 1), (reg.FIFO_COUNT_H, 2)), FOREVER_ns)
        return status[0], int.from_bytes(count, "big")

    def collected(self, length_bytes: int) -> tuple[bytes, int]:
        """So many bytes out of the FIFO, and INT_STATUS as it is behind them. Not tried again: the FIFO gives nothing twice."""
        data, status = self._tried(lambda: self._combined((reg.FIFO_R_W, length_bytes), (reg.INT_STATUS, 1)), FOREVER_ns, tries=1)
        return data, status[0]

    def _combined(self, *reads: tuple[int, int]) -> list[bytes]:
        """Several reads (register, bytes), of any length, in one call to the kernel."""
        from smbus2 import i2c_msg  # here, not above: bursts do without

        # smbus2's stub leaves out the fields that its messages have
        pairs = [(i2c_msg.write(self._address, [place]), i2c_msg.read(self._address, length)) for place, length in reads]
        messages: list[Any] = [half for pair in pairs for half in pair]
        self._bus.i2c_rdwr(*messages)
        return [bytes(answer) for answer in messages[1::2]]

    def _sample(self) -> bytes:
        data = self._block(reg.ACCEL_XOUT_H, PACKET_bytes)
        if data == FLOATING:
            raise OSError(errno.EREMOTEIO, "the bus reads FF")
        return data

    def _block(self, register: int, length_bytes: int) -> bytes:
        data = bytes(self._bus.read_i2c_block_data(self._address, register, length_bytes))
        if len(data) != length_bytes:
            raise OSError(errno.EIO, f"{len(data)} bytes instead of {length_bytes}")
        return data

    def _tried(self, transfer: Callable[[], T], until_ns: int, tries: int = TRIES) -> T:
        for left in reversed(range(tries)):
            began_ns = self.began_ns = self.clock.monotonic_ns()
            try:
                return transfer()
            except OSError as error:
                self.faults += 1
                ended_ns = self.clock.monotonic_ns()
                took_ns = ended_ns - began_ns
                if not left or took_ns > SLOW_ns or ended_ns + took_ns > until_ns:
                    raise i2c.trouble(error, self._path, self._address) from error
        raise AssertionError("the last try returns or raises")


def identify(chip: Chip, accepted: tuple[int, ...]) -> Part:
    """Who answers. Raises DeviceError for somebody who is not wanted."""
    who = chip.read(reg.WHO_AM_I, 1)[0]
    if who in accepted:
        return PARTS.get(who, MPU6050)
    if who in (0x00, 0xFF):
        raise DeviceError(f"what answers at {chip.where} says {who:02X} to everything: is the sensor powered, SDA or SCL shorted?")
    known = f"is a {PARTS[who].name}" if who in PARTS else "is no part that is known here"
    raise DeviceError(f"what answers at {chip.where} {known} (WHO_AM_I {who:#04x}): if it shall be read, add {who:#04x} to identities")


def restart(chip: Chip) -> Iterator[None]:
    """Reset the chip by its own command; it is asleep afterwards, or awake, as the part has it."""
    chip.write(reg.PWR_MGMT_1, reg.DEVICE_RESET)
    yield from pause(chip.clock, RESET_ns)


def set_up(chip: Chip, setting: Setting) -> Iterator[None]:
    """Reset, wake, configure, and wait until what it measures can be trusted. Raises DeviceError when it does not keep its settings."""
    yield from restart(chip)
    chip.wakes_up = not chip.read(reg.PWR_MGMT_1, 1)[0] & reg.SLEEP
    chip.write(reg.PWR_MGMT_1, reg.CLOCK_PLL)
    chip.write(reg.PWR_MGMT_2, 0)
    for register, value in setting.writes:
        chip.write(register, value)
    yield from pause(chip.clock, setting.settling_ns)
    if setting.fifo:
        start_fifo(chip)
    if wrong := mismatch(fingerprint(chip), setting):
        raise DeviceError(f"the chip at {chip.where} does not keep its settings ({wrong}): {UNSTEADY}")


def start_fifo(chip: Chip) -> None:
    """Empty the FIFO and let it fill again, a packet's first byte first. RM 4.27: it can be emptied only while it is off."""
    chip.write(reg.FIFO_EN, 0)
    chip.write(reg.USER_CTRL, 0)
    chip.write(reg.USER_CTRL, reg.FIFO_RESET)
    chip.write(reg.USER_CTRL, reg.FIFO_ON)
    chip.write(reg.FIFO_EN, reg.FIFO_ALL)


def fingerprint(chip: Chip) -> bytes:
    """What the chip holds where a reset would show: SMPLRT_DIV to ACCEL_CONFIG_2, FIFO_EN, USER_CTRL to PWR_MGMT_2."""
    return chip.read(reg.SMPLRT_DIV, 5) + chip.read(reg.FIFO_EN, 1) + chip.read(reg.USER_CTRL, 3)


def mismatch(held: bytes, setting: Setting) -> str:
    """Which registers hold something else than was written; "" when none does."""
    pairs = zip(_PLACES, held, setting.fingerprint, strict=True)
    return ", ".join(f"register {place:02X} holds {is_:02X}, not {should:02X}" for place, is_, should in pairs if is_ != should)


def pause(clock: Clock, wait_ns: int) -> Iterator[None]:
    """Let so much time pass, with a heartbeat now and then."""
    until_ns = clock.monotonic_ns() + wait_ns
    while (now_ns := clock.monotonic_ns()) < until_ns:
        yield None
        clock.sleep_until(min(until_ns, now_ns + WAIT_ns))
