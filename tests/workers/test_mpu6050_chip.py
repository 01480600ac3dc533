"""The virtual MPU6050 against what the datasheet says of the real one: registers, ranges, self-test."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.testing import FakeClock
from tests.workers.mpu6050_board import ADDRESS, Board
from workers.virtual import registers6050 as r
from workers.virtual.mpu6050 import Bus
from workers.virtual.scene6050 import ACCEL_DELAY_ms, Behaviour, Side


def test_it_comes_up_asleep_and_measures_nothing() -> None:
    """PWR_MGMT_1 resets to 40: asleep, reads succeed, all data zero, and the FIFO does not fill; WHO_AM_I answers 68 all the same."""
    board = Board().collect()
    board.wait(500)
    assert board.get(r.PWR_MGMT_1) == 0x40
    assert board.words() == (0,) * 7
    assert board.count_bytes() == 0
    assert board.get(r.WHO_AM_I) == 0x68
    assert board.chip.journal.samples == 0


def test_who_am_i_does_not_know_about_ad0() -> None:
    """At 69 the chip says 68, too; and nobody answers at the other address."""
    bus = Bus(Behaviour(), 0x69, FakeClock())
    assert bus.read_byte_data(0x69, r.WHO_AM_I) == 0x68
    with pytest.raises(OSError, match="Remote I/O"):
        bus.read_byte_data(0x68, r.WHO_AM_I)


def test_device_reset_takes_its_time_and_clears_itself() -> None:
    """After 80 to PWR_MGMT_1 all registers are back, the bit reads 1 until it is done, and what is written meanwhile is lost."""
    board = Board().wake(divider=9, low_pass=3)
    board.put(r.PWR_MGMT_1, r.DEVICE_RESET)
    assert board.get(r.PWR_MGMT_1) & r.DEVICE_RESET
    board.put(r.SMPLRT_DIV, 4)
    board.wait(100)
    assert board.get(r.PWR_MGMT_1) == 0x40
    assert [board.get(register) for register in (r.SMPLRT_DIV, r.CONFIG)] == [0, 0]


@pytest.mark.parametrize(("low_pass", "divider", "rate_hz"), [(0, 0, 8000), (7, 7, 1000), (1, 0, 1000), (3, 4, 200), (6, 255, 3.90625)])
def test_the_sample_rate_is_the_gyroscopes_through_the_divider(low_pass: int, divider: int, rate_hz: float) -> None:
    """8 kHz without the low-pass filter, 1 kHz with it, by 1 + SMPLRT_DIV."""
    board = Board().wake(divider, low_pass)
    before = board.chip.journal.samples
    board.wait(10_000)
    board.get(r.WHO_AM_I)
    assert abs(board.chip.journal.samples - before - rate_hz * 10) <= 1


@pytest.mark.parametrize("error", [-0.05, 0.01, 0.05])
def test_its_clock_is_not_ours(error: float) -> None:
    """An oscillator off by up to 5 % makes so many samples more or fewer."""
    board = Board(clock_error=error).wake()
    board.wait(10_000)
    board.get(r.WHO_AM_I)
    assert board.chip.journal.samples == pytest.approx(10_000 * (1 + error), abs=2)


def test_a_worked_burst() -> None:
    """±2 g and ±250 °/s: 1 g on Z, 25.0 °C, and 1, -2, 0.504 °/s, big-endian, in the order of the registers."""
    board = Board(scene="constant").wake()
    board.wait(50)
    assert bytes(board.bus.read_i2c_block_data(ADDRESS, r.ACCEL_XOUT_H, 14)).hex() == "000000004000f0b00083fefa0042"


@pytest.mark.parametrize(("code", "lsb"), [(0, 16384), (1, 8192), (2, 4096), (3, 2048)])
def test_the_accelerometers_ranges(code: int, lsb: int) -> None:
    """AFS_SEL 0 to 3: 16384 to 2048 LSB per g; 1 g upwards on the axis that is on top."""
    board = Board(scene="rest", noise=0.0, accel_offset_g=(0, 0, 0), accel_scale=(1, 1, 1)).wake()
    board.put(r.ACCEL_CONFIG, code << 3)
    board.wait(1000)
    assert board.words()[:3] == (0, 0, lsb)


@pytest.mark.parametrize(("code", "lsb"), [(0, 131), (1, 65.5), (2, 32.8), (3, 16.4)])
def test_the_gyroscopes_ranges(code: int, lsb: float) -> None:
    """FS_SEL 0 to 3: 131 to 16.4 LSB per °/s."""
    board = Board(scene="rest", noise=0.0, gyro_bias_dps=(10, -20, 15)).wake()
    board.put(r.GYRO_CONFIG, code << 3)
    board.wait(1000)
    assert board.words()[4:] == (round(10 * lsb), round(-20 * lsb), round(15 * lsb))


@pytest.mark.parametrize(("up", "expected"), [("x", (1, 0, 0)), ("-y", (0, -1, 0)), ("-z", (0, 0, -1))])
def test_six_sides(up: Side, expected: Sequence[int]) -> None:
    """The axis on top reads +1 g at rest, or -1 g when it points down."""
    board = Board(scene="rest", up=up, noise=0.0, accel_offset_g=(0, 0, 0), accel_scale=(1, 1, 1)).wake()
    board.wait(1000)
    assert board.words()[:3] == tuple(16384 * axis for axis in expected)


FORMULAS = [("68", 340, 36.53), ("72", 340, 36.53), ("70", 333.87, 21.0), ("98", 326.8, 25.0)]


@pytest.mark.parametrize(("identity", "slope", "offset"), FORMULAS)
def test_each_part_has_its_own_temperature(identity: str, slope: float, offset: float) -> None:
    """WHO_AM_I tells which formula turns the word into °C."""
    board = Board(identity=identity, temperature_degC=31.0).wake()
    board.wait(50)
    assert f"{board.get(r.WHO_AM_I):02x}" == identity
    assert board.words()[3] / slope + offset == pytest.approx(31.0, abs=0.01)


def test_too_much_is_clipped() -> None:
    """A saturated transducer stays at the last word of its range, and does not wrap around."""
    board = Board(scene="rest", noise=0.0, gyro_bias_dps=(400, -400, 0)).wake()
    board.wait(1000)
    assert board.words()[4:6] == (32767, -32768)


def test_the_filter_delays() -> None:
    """Behind a filter of 5 Hz the accelerometer shows what was 19 ms ago."""
    exact = Behaviour(noise=0.0, seed=1, clock_error=0.0, accel_offset_g=(0, 0, 0), accel_scale=(1, 1, 1))
    boards = [Board(**vars(exact)).wake(low_pass=low_pass) for low_pass in (1, 6)]
    for board in boards:
        board.wait(2000)
    born, body = 1, boards[0].chip.body
    for board, low_pass in zip(boards, (1, 6), strict=True):
        at_s = (board.clock.now_ns - born) / 1e9 - ACCEL_DELAY_ms[low_pass] / 1000
        assert board.words()[0] / 16384 == pytest.approx(body.true(at_s)[0][0], abs=2e-4)
    assert boards[0].words() != boards[1].words()


def test_a_read_increments_the_register_except_at_the_fifo() -> None:
    """Bursts run on from register to register; at 74 they stay and empty the FIFO."""
    board = Board().wake()
    board.bus.write_i2c_block_data(ADDRESS, r.SMPLRT_DIV, [9, 3, 8, 16])
    assert board.bus.read_i2c_block_data(ADDRESS, r.SMPLRT_DIV, 4) == [9, 3, 8, 16]
    board.collect().wait(10)
    before = board.count_bytes()
    board.fifo(5)
    assert board.count_bytes() == before - 5


@pytest.mark.parametrize("register", [r.WHO_AM_I, r.INT_STATUS, r.ACCEL_XOUT_H, r.FIFO_COUNT_H, r.SELF_TEST_X])
def test_what_is_measured_cannot_be_written(register: int) -> None:
    """Writes to read-only registers are ignored."""
    board = Board()
    before = board.get(register)
    board.put(register, 0x5A)
    assert board.get(register) == before


def test_the_self_test_answers_as_the_trim_codes_promise() -> None:
    """At ±8 g and ±250 °/s the output moves by the factory's trim, within 14 %; the gyroscope's Y backwards; a broken axis not."""
    board = Board(scene="rest", noise=0.0, broken="accel_y").wake()
    board.put(r.ACCEL_CONFIG, 0x10)
    board.wait(1000)
    calm = board.words()
    board.put(r.ACCEL_CONFIG, 0xF0)
    board.put(r.GYRO_CONFIG, 0xE0)
    board.wait(50)
    moved = [after - before for before, after in zip(calm, board.words(), strict=True)]
    x, y, z, a = board.bus.read_i2c_block_data(ADDRESS, r.SELF_TEST_X, 4)
    for axis, code in enumerate(((x >> 5) << 2 | a >> 4 & 3, (y >> 5) << 2 | a >> 2 & 3, (z >> 5) << 2 | a & 3)):
        trim = 4096 * 0.34 * (0.92 / 0.34) ** ((code - 1) / 30)
        assert (abs(moved[axis] / trim - 1) <= 0.14) == (axis != 1)
    for axis, code in enumerate((x & 31, y & 31, z & 31)):
        trim = 25 * 131 * 1.046 ** (code - 1) * (-1 if axis == 1 else 1)
        assert abs(moved[4 + axis] / trim - 1) <= 0.14


def test_the_gyroscope_needs_a_moment_to_start() -> None:
    """Within 30 ms of waking its output is wild; 100 ms later it is as calm as ever."""
    board = Board(scene="rest", noise=0.0, gyro_bias_dps=(0, 0, 0)).wake()
    board.wait(5)
    assert abs(board.words()[4]) > 1000
    board.wait(100)
    assert abs(board.words()[4]) <= 1


def test_noise_is_what_the_datasheet_says() -> None:
    """0.005 °/s and 400 µg per √Hz: a tenth of the bandwidth, a third of the noise."""
    spread = {}
    for low_pass in (1, 4):
        board = Board(scene="rest").wake(low_pass=low_pass).collect()
        board.wait(1000)
        board.collect()
        words: list[tuple[int, ...]] = []
        for _ in range(40):
            board.wait(50)
            words += struct.iter_unpack(">6h", board.fifo(board.count_bytes() // 12 * 12))
        spread[low_pass] = [math.sqrt(sum((v - sum(axis) / len(axis)) ** 2 for v in axis) / len(axis)) for axis in zip(*words, strict=True)]
    for low_pass, accel_hz, gyro_hz in ((1, 184, 188), (4, 21, 20)):
        assert spread[low_pass][0] / 16384 == pytest.approx(400e-6 * math.sqrt(accel_hz), rel=0.15)
        assert spread[low_pass][3] / 131 == pytest.approx(0.005 * math.sqrt(gyro_hz), rel=0.15)


@given(st.lists(st.tuples(st.integers(0, 0x7F), st.integers(0, 0xFF), st.integers(0, 40)), max_size=30))
def test_it_takes_whatever_is_written(writes: Sequence[tuple[int, int, int]]) -> None:
    """Any sequence of writes and pauses: no exception, the count never beyond the FIFO, WHO_AM_I unmoved."""
    board = Board()
    for register, value, pause_ms in writes:
        board.put(register, value)
        board.wait(pause_ms)
        assert board.count_bytes() <= 1024
        assert len(board.bus.read_i2c_block_data(ADDRESS, r.INT_STATUS, 15)) == 15
    assert board.get(r.WHO_AM_I) == 0x68
