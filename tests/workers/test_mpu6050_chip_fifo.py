"""The virtual MPU6050 against what the datasheet says of the real one: bursts, status and FIFO."""

from __future__ import annotations

import itertools
import struct

import pytest

from tests.workers.mpu6050_board import Board, numbers
from workers.virtual import registers6050 as r
from workers.virtual.scene6050 import number_of

PACKETS = {0x78: 12, 0xF8: 14, 0x08: 6, 0x80: 2, 0x40: 2}  # FIFO_EN: bytes a sample


def test_a_burst_shows_one_sample_and_single_bytes_do_not() -> None:
    """The chip keeps the set that a burst began with; bytes read one by one belong to different samples."""
    board = Board(scene="count").wake()
    for _ in range(50):
        board.wait(1.7)
        assert number_of(board.words()) >= 0
    slow = []
    for register in range(r.ACCEL_XOUT_H, r.GYRO_ZOUT_L + 1):
        slow.append(board.get(register))
        board.wait(1.7)
    assert number_of(struct.unpack(">7h", bytes(slow))) == -1


def test_reading_the_status_clears_it() -> None:
    """INT_STATUS: data ready after a sample, gone when it was read."""
    board = Board().wake()
    board.wait(2)
    assert board.get(r.INT_STATUS) == r.DATA_READY
    assert board.get(r.INT_STATUS) == 0
    board.wait(2)
    assert board.get(r.INT_STATUS) == r.DATA_READY


def test_any_read_may_clear_the_status() -> None:
    """With INT_RD_CLEAR in INT_PIN_CFG another register's read does as well."""
    board = Board().wake()
    board.put(r.INT_PIN_CFG, r.ANY_READ_CLEARS)
    board.wait(2)
    board.get(r.WHO_AM_I)
    assert board.get(r.INT_STATUS) == 0


def test_a_part_may_note_only_what_is_enabled() -> None:
    """With status_gated an overflow shows in INT_STATUS only if INT_ENABLE has its bit."""
    for enabled, seen in ((0, 0), (r.OVERFLOW, r.OVERFLOW)):
        board = Board(status_gated=True).wake().collect()
        board.put(r.INT_ENABLE, enabled)
        board.wait(500)
        assert board.get(r.INT_STATUS) == seen


@pytest.mark.parametrize(("picked", "size"), list(PACKETS.items()))
def test_fifo_en_chooses_the_packet(picked: int, size: int) -> None:
    """78: accelerometer and gyroscope, 12 bytes; F8: with temperature between them, 14; and each by itself."""
    board = Board(scene="count").wake().collect(picked)
    board.wait(10)
    assert board.count_bytes() == 10 * size


def test_the_fifo_holds_every_sample_in_order() -> None:
    """Whatever the reader's rhythm, numbers follow each other and the axes keep their places."""
    board = Board(scene="count", clock_error=0.013).wake().collect()
    got = []
    for pause_ms in itertools.islice(itertools.cycle((1, 20, 3.3, 47, 80)), 100):
        board.wait(pause_ms)
        got += numbers(board.fifo(board.count_bytes() // 12 * 12))
    assert got == list(range(got[0], got[0] + len(got)))
    assert len(got) > 3000


@pytest.mark.parametrize(("size", "rest"), [(12, 4), (14, 2)])
def test_an_overflow_leaves_the_packets_out_of_step(size: int, rest: int) -> None:
    """The oldest bytes go, not packets: what is left is 1024 bytes, begins amid a packet, and ends with the newest."""
    picked = {12: 0x78, 14: 0xF8}[size]
    board = Board(scene="count").wake().collect(picked)
    board.wait(200)
    assert board.get(r.INT_STATUS) & r.OVERFLOW
    assert board.count_bytes() == 1024
    assert 1024 % size == rest
    data = board.fifo(1024)
    words = [data[at : at + size] for at in range(rest, 1024, size)]
    unpacked = [number_of(struct.unpack(f">{size // 2}h", packet)) for packet in words]
    assert unpacked == list(range(unpacked[0], unpacked[0] + len(unpacked)))
    assert unpacked[-1] == board.chip.journal.samples - 1
    assert number_of(struct.unpack(f">{size // 2}h", data[:size])) == -1
    assert board.chip.journal.overflows == 1


@pytest.mark.parametrize(("identity", "size"), [("68", 1024), ("72", 1024), ("70", 512), ("98", 512)])
def test_each_part_has_its_own_fifo(identity: str, size: int) -> None:
    """1024 bytes, of the 6500 class 512."""
    board = Board(identity=identity).wake().collect()
    board.wait(5000)
    assert board.count_bytes() == size


def test_an_icm_20689_has_as_much_fifo_as_it_is_told() -> None:
    """ACCEL_CONFIG_2, bits 7 and 6: 512 bytes to 4 kB."""
    board = Board(identity="98").wake()
    board.put(r.ACCEL_CONFIG_2, 0xC0)
    board.collect().wait(5000)
    assert board.count_bytes() == 4096


def test_reading_the_high_byte_of_the_count_holds_both() -> None:
    """The low byte alone is that of the last time that the high one was read."""
    board = Board().wake().collect(0x80)
    board.wait(10)
    board.get(r.FIFO_COUNT_H)
    board.wait(10)
    assert board.get(r.FIFO_COUNT_L) == 20
    assert board.count_bytes() == 40


def test_an_empty_fifo_repeats_its_last_byte() -> None:
    """Who reads more than the count gets that byte over and over, which looks like data."""
    board = Board(scene="count").wake().collect()
    board.wait(1)
    data = board.fifo(20)
    assert numbers(data[:12]) != [-1]
    assert data[12:] == data[11:12] * 8


def test_the_fifo_is_emptied_only_while_it_is_off() -> None:
    """FIFO_RESET together with FIFO_EN does nothing; without it it empties the FIFO, and the bit clears itself."""
    board = Board().wake().collect()
    board.wait(5)
    board.put(r.USER_CTRL, r.FIFO_ON | r.FIFO_RESET)
    assert board.count_bytes() == 60
    board.put(r.USER_CTRL, 0)
    board.put(r.USER_CTRL, r.FIFO_RESET)
    assert board.count_bytes() == 0
    assert board.get(r.USER_CTRL) == 0
