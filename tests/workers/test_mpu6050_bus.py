"""The virtual bus: that it fails as it was told, as often as it was told, and as the kernel would."""

from __future__ import annotations

import errno
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from smbus2 import i2c_msg

from edgegw.driver import DriverError
from tests.workers.mpu6050_board import ADDRESS, Board
from workers.virtual import registers6050 as r
from workers.virtual.mpu6050 import Bus, behaviour_of, plug

ROOT = Path(__file__).parents[2]


class Options(msgspec.Struct, frozen=True):
    """As much of the driver's as plug() needs."""

    bus: object = "virtual"
    address: int = ADDRESS


def outcomes(board: Board, count: int, every_ms: float = 1) -> list[int]:
    """The errno of so many transfers, 0 where they worked."""
    results = []
    for _ in range(count):
        board.wait(every_ms)
        try:
            board.get(r.WHO_AM_I)
            results.append(0)
        except OSError as error:
            results.append(error.errno or -1)
    return results


def runs(results: list[int], of: int) -> list[int]:
    """How long each unbroken run of one result is."""
    return [len(list(group)) for result, group in itertools.groupby(results) if result == of]


def test_each_error_comes_as_often_as_asked() -> None:
    """Fractions of the transfers, each with its errno, counted in the journal."""
    board = Board(nack=0.05, io_error=0.02, time_out=0.01, again=0.03)
    counted = Counter(outcomes(board, 10_000))
    expected = {errno.EREMOTEIO: 500, errno.EIO: 200, errno.ETIMEDOUT: 100, errno.EAGAIN: 300}
    for number, count in expected.items():
        assert counted[number] == pytest.approx(count, rel=0.4)
    assert board.chip.journal.failures == 10_000 - counted[0]
    assert board.chip.journal.transfers == 10_000


def test_errors_may_come_in_bursts() -> None:
    """As many as before, but so many on end."""
    results = outcomes(Board(nack=0.1, burst=5), 20_000)
    assert results.count(errno.EREMOTEIO) == pytest.approx(2000, rel=0.3)
    assert all(length % 5 == 0 for length in runs(results, errno.EREMOTEIO)[:-1])


def test_a_stuck_bus_takes_its_time_and_comes_back() -> None:
    """Every transfer then takes so long and times out; afterwards all is well, until the next time."""
    board = Board(stuck_every_s=5, stuck_lasts_s=1, stuck_s=0.1)
    begun_ns = board.clock.now_ns
    results = outcomes(board, 9500)
    assert 1.8 <= (board.clock.now_ns - begun_ns) / 1e9 - 9.5 <= 2.2
    assert set(results) == {0, errno.ETIMEDOUT}
    assert len(runs(results, errno.ETIMEDOUT)) == 2


def test_a_script_says_what_becomes_of_the_next_transfers() -> None:
    """One after another, each with its errno and its delay; then the bus is itself again."""
    board = Board()
    board.bus.line.script += [(errno.EIO, 0.0), (0, 0.3)]
    begun_ns = board.clock.now_ns
    assert outcomes(board, 3, every_ms=0) == [errno.EIO, 0, 0]
    assert board.clock.now_ns - begun_ns == 300_000_000


def test_nobody_at_home_is_a_refusal() -> None:
    """An absent chip acknowledges nothing, nor does one that is pulled out; back again, it goes on."""
    assert outcomes(Board(absent=True), 3) == [errno.EREMOTEIO] * 3
    board = Board()
    board.bus.line.present = False
    assert outcomes(board, 2) == [errno.EREMOTEIO] * 2
    board.bus.line.present = True
    assert outcomes(board, 1) == [0]


def test_a_failed_transfer_does_nothing() -> None:
    """What was refused was not written, and nothing was taken from the FIFO."""
    board = Board().wake().collect()
    board.wait(5)
    count = board.count_bytes()
    board.bus.line.script += [(errno.EREMOTEIO, 0.0)] * 2
    with pytest.raises(OSError, match="Remote I/O"):
        board.fifo(10)
    with pytest.raises(OSError, match="Remote I/O"):
        board.put(r.SMPLRT_DIV, 99)
    assert (board.count_bytes(), board.get(r.SMPLRT_DIV)) == (count, 0)


def test_a_brown_out_is_silent() -> None:
    """Every so many seconds all registers are back at their reset values; no transfer fails."""
    board = Board(brown_out_every_s=1).wake()
    assert set(outcomes(board, 1500)) == {0}
    assert board.get(r.PWR_MGMT_1) == 0x40
    assert board.words() == (0,) * 7
    assert board.chip.journal.brown_outs == 1


def test_a_frozen_chip_repeats_itself_until_it_is_reset() -> None:
    """Samples go on in number and not in content, in the registers and in the FIFO."""
    board = Board(freeze_every_s=1).wake().collect()
    board.wait(2500)
    board.collect().wait(50)
    data = board.fifo(600)
    assert len({data[at : at + 12] for at in range(0, 600, 12)}) == 1
    board.put(r.PWR_MGMT_1, r.DEVICE_RESET)
    board.wait(100)
    board.wake().wait(50)
    first = board.words()
    board.wait(10)
    assert board.words() != first


def test_a_silent_chip_has_nothing_new() -> None:
    """No data ready, no byte more in the FIFO, for so long; then it goes on."""
    board = Board(silence_every_s=10, silence_s=2).wake()
    board.wait(10_500)
    board.get(r.INT_STATUS)
    before = board.chip.journal.samples
    board.wait(1000)
    assert (board.get(r.INT_STATUS), board.chip.journal.samples) == (0, before)
    board.wait(1000)
    assert board.get(r.INT_STATUS) == r.DATA_READY


def test_it_drifts() -> None:
    """The bias of every gyro axis grows with time."""
    board = Board(scene="rest", noise=0.0, drift_dps_s=0.1).wake()
    board.wait(1000)
    before = board.words()
    board.wait(10_000)
    assert [after - was for was, after in zip(before[4:], board.words()[4:], strict=True)] == [131] * 3


def test_the_limits_of_i2c_dev_are_kept() -> None:
    """32 bytes in a block, 42 messages and 8192 bytes each in one call, as with the real thing."""
    bus = Bus()
    with pytest.raises(ValueError, match="32 bytes"):
        bus.read_i2c_block_data(ADDRESS, r.ACCEL_XOUT_H, 33)
    with pytest.raises(OSError, match="Invalid argument"):
        bus.i2c_rdwr(*[i2c_msg.read(ADDRESS, 1)] * 43)
    with pytest.raises(OSError, match="Invalid argument"):
        bus.i2c_rdwr(i2c_msg.read(ADDRESS, 8193))


def test_plug_reads_its_faults_from_the_name_of_the_bus() -> None:
    """What stands behind "virtual?" is the behaviour of a chip, which has the address of the options."""
    options = Options(bus="virtual?nack=1&gyro_bias_dps=1,2,3&identity=70&absent=false&seed=4", address=0x69)
    with plug(options) as plugged:
        behaviour = plugged.bus.chip.behaviour
        assert (behaviour.nack, behaviour.gyro_bias_dps, behaviour.identity, behaviour.seed) == (1.0, (1.0, 2.0, 3.0), "70", 4)
        with pytest.raises(OSError, match="Remote I/O"):
            plugged.bus.read_byte_data(0x69, r.WHO_AM_I)
    with plug(Options(address=0x69)) as plugged:
        assert plugged.bus.read_byte_data(0x69, r.WHO_AM_I) == 0x68


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"nak": "0.1"}, "did you mean nack"),
        ({"colour": "red"}, "it has scene, "),
        ({"nack": "much"}, "nack"),
        ({"nack": "0.7", "io_error": "0.7"}, "together 1 at most"),
        ({"gyro_bias_dps": "1,2"}, "length 3"),
        ({"up": "sideways"}, "sideways"),
        ({"clock_error": "0.5"}, "between -0.15 and 0.15"),
    ],
)
def test_a_wrong_wish_is_explained(values: Mapping[str, str], sentence: str) -> None:
    """Misspelt names get a suggestion, impossible values the reason."""
    with pytest.raises(DriverError, match=sentence):
        behaviour_of(values)


def test_a_name_without_pairs_is_explained() -> None:
    """After the ? come pairs."""
    with pytest.raises(DriverError, match="pairs"), plug(Options(bus="virtual?nack")):
        pass


def test_the_chip_needs_nothing_but_the_standard_library() -> None:
    """It also runs under the system's own Python, where neither edgegw's requirements nor edgegw itself are installed."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import workers.virtual.line6050; assert 'edgegw' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(ROOT)], check=True, timeout=60)
