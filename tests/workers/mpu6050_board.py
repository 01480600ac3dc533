"""A virtual MPU6050 with hands on its clock, for tests that look at its registers as a driver would."""

from __future__ import annotations

import struct

from smbus2 import i2c_msg

from edgegw.testing import FakeClock
from workers.virtual import registers6050 as r
from workers.virtual.mpu6050 import Bus
from workers.virtual.scene6050 import Behaviour, number_of

ADDRESS = 0x68
MS_ns = 1_000_000


class Board:
    """A chip on a bus, and hands on the clock."""

    def __init__(self, **behaviour: object) -> None:
        self.clock = FakeClock()
        self.bus = Bus(Behaviour(**{"clock_error": 0.0, "seed": 1, **behaviour}), ADDRESS, self.clock)  # type: ignore[arg-type]  # by name
        self.chip = self.bus.chip

    def wait(self, ms: float) -> None:
        self.clock.now_ns += round(ms * MS_ns)

    def put(self, register: int, value: int) -> None:
        self.bus.write_byte_data(ADDRESS, register, value)

    def get(self, register: int) -> int:
        return self.bus.read_byte_data(ADDRESS, register)

    def wake(self, divider: int = 0, low_pass: int = 1) -> Board:
        self.put(r.PWR_MGMT_1, 0x01)
        self.put(r.CONFIG, low_pass)
        self.put(r.SMPLRT_DIV, divider)
        return self

    def collect(self, picked: int = 0x78) -> Board:
        """Empty the FIFO and let it fill, as the register map has it."""
        self.put(r.FIFO_EN, 0)
        for value in (0, r.FIFO_RESET, r.FIFO_ON):
            self.put(r.USER_CTRL, value)
        self.put(r.FIFO_EN, picked)
        return self

    def count_bytes(self) -> int:
        high, low = self.bus.read_i2c_block_data(ADDRESS, r.FIFO_COUNT_H, 2)
        return high << 8 | low

    def fifo(self, count_bytes: int) -> bytes:
        answer = i2c_msg.read(ADDRESS, count_bytes)
        self.bus.i2c_rdwr(i2c_msg.write(ADDRESS, [r.FIFO_R_W]), answer)
        return bytes(answer)

    def words(self) -> tuple[int, ...]:
        return struct.unpack(">7h", bytes(self.bus.read_i2c_block_data(ADDRESS, r.ACCEL_XOUT_H, 14)))


def numbers(data: bytes) -> list[int]:
    """Of counted packets of twelve bytes; -1 where axes stand in each other's place."""
    return [number_of(words) for words in struct.iter_unpack(">6h", data)]
