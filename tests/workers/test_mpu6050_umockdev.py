"""The MPU6050 driver over unmodified smbus2 and a /dev/i2c-1 that fails as a real one does: in a process of its own, in real time."""

from __future__ import annotations

import errno
import itertools
import math
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.services.base import until
from tests.services.umockdev import ROOT, I2cDev, PATIENCE_s, attached, reader
from tests.workers.mpu6050_stand import G_m_s2, load_s, words_of
from workers.mpu6050 import Options
from workers.virtual.scene6050 import COUNTS, number_of

PERIOD_ns = 10_000_000
FILTER_ns = 4_850_000  # by which the filter of 42 Hz delays a sample
BURST = {"bus": 1, "rate_hz": 100}
FIFO = {"bus": 1, "rate_hz": 1000, "mode": "fifo"}
LOAD_s, POOR_LOAD_s = load_s(5), load_s(3)
OVERFLOWS = 20

Line = Any  # what tests/workers/mpu6050_client.py prints: [moment in ns, quality, faults, values, age in ns], or {"error": …}


def good(lines: list[Line]) -> list[Line]:
    return [line for line in lines if isinstance(line, list) and line[1] == "good"]


def failed(lines: list[Line]) -> list[Line]:
    """Bad in their own slot; those that a busy machine came too late for, however many, are a slot old at least."""
    return [line for line in lines if line[1] == "bad" and line[4] < PERIOD_ns + FILTER_ns]


def errors(lines: list[Line]) -> list[Line]:
    return [line for line in lines if isinstance(line, dict)]


def numbers(lines: list[Line]) -> list[int]:
    """Of counted samples; an axis in another's place fails."""
    found = [number_of(words_of(line[3], Options(bus=1))) for line in lines]
    assert -1 not in found
    return found


def slots_filled(lines: list[Line]) -> None:
    """As many samples, good or bad, as the time they span has periods, and each in its own."""
    moments = [line[0] for line in lines]
    assert abs((moments[-1] - moments[0]) / PERIOD_ns + 1 - len(moments)) <= 1
    assert {line[1] for line in lines} <= {"good", "bad"}


def settled(device: I2cDev) -> list[Line]:
    """Wait until it measures."""
    device.more(1)
    return until(lambda: good(device.lines())[-1:] and device.more(5), PATIENCE_s, "good samples")


def test_bursts_at_100_hz() -> None:
    """Two seconds of bursts: each slot has its sample, at rest with Z up it reads 1 g there, and only its own address was spoken to."""
    with attached(reader(BURST, "--seconds", "2"), {"scene": "rest"}) as device:
        assert device.wait() == 0, device.errors()
        *lines, cost = device.lines()
    slots_filled(lines)
    assert failed(lines) == []
    assert good(lines)[0][3][2] == pytest.approx(G_m_s2, rel=0.15)
    assert cost["longest_pause_s"] < 1
    print(f"100 Hz in bursts: {cost['cpu_s'] / cost['took_s']:.2%} of a core")


def test_the_fifo_at_1_khz() -> None:
    """Not one sample lost or doubled, the axes in their places, the stamps evenly spaced; what it cost is printed."""
    with attached(reader(FIFO, "--seconds", str(LOAD_s)), {"scene": "count", "clock_error": 0.02}) as device:
        assert device.wait(LOAD_s + PATIENCE_s) == 0, device.errors()
        *lines, cost = device.lines()
    steps = [(after - before) % COUNTS for before, after in itertools.pairwise(numbers(good(lines)))]
    assert len(lines) > 0.9 * 1020 * LOAD_s
    if device_was_slow := [line for line in lines if line[1] != "good"]:  # a machine that stood still for 50 ms is no fault of ours…
        print(f"{len(device_was_slow)} gaps: the machine was late")
    assert sum(step != 1 for step in steps) <= len(device_was_slow)  # …if it was noticed
    gaps_ns = [after[0] - before[0] for before, after in itertools.pairwise(lines)][1000:]
    period_ns = 1e6 / 1.02
    even = sum(abs(gap - period_ns) < 0.1 * period_ns for gap in gaps_ns)
    assert even > 0.99 * len(gaps_ns)
    print(f"1 kHz from the FIFO for {LOAD_s:g} s: {cost['cpu_s'] / cost['took_s']:.2%} of a core, {len(lines)} samples, "
          f"gaps {min(gaps_ns) / 1e3:.0f} to {max(gaps_ns) / 1e3:.0f} µs")  # fmt: skip


def test_axes_keep_their_places_over_forced_overflows() -> None:
    """Again and again a transfer takes so long that the FIFO runs over: noticed each time, and no axis is ever read as another."""
    with attached(reader(FIFO), {"scene": "count"}) as device:
        settled(device)
        for _ in range(OVERFLOWS):
            before = device.do(script=[[0, 0.2]])["overflows"]
            until(lambda before=before: device.do()["overflows"] > before, PATIENCE_s, "the FIFO to run over")  # type: ignore[misc]  # bound now
            device.more(60)
        lines = device.lines()
    assert errors(lines) == []
    counted = numbers(good(lines))
    assert sum(1 for line in lines if line[1] == "bad") >= OVERFLOWS
    assert all(0 < (after - before) % COUNTS < COUNTS // 2 for before, after in itertools.pairwise(counted))
    assert all(after[0] > before[0] for before, after in itertools.pairwise(lines))


@pytest.mark.parametrize("number", [errno.EREMOTEIO, errno.EIO, errno.EAGAIN, errno.ENXIO])
def test_a_single_failed_transfer_is_tried_again(number: int) -> None:
    """One errno at a time: no sample is missing, none is bad, the fault is counted."""
    with attached(reader(BURST), {"scene": "rest"}) as device:
        settled(device)
        device.do(script=[[number, 0.0]])
        lines = device.more(50)
    slots_filled(lines)
    assert sum(line[2] for line in lines) >= 1


def test_a_bus_that_hangs_for_a_second() -> None:
    """ETIMEDOUT after the kernel's second: the slots that it took are filled with bad samples, and reading goes on or starts again."""
    with attached(reader(BURST), {"scene": "rest"}) as device:
        settled(device)
        device.do(script=[[errno.ETIMEDOUT, 1.0]])
        lines = device.more(200)
    assert good(lines[-20:])
    assert len(errors(lines)) <= 1
    assert errors(lines) or sum(line[1] == "bad" for line in lines) >= 90


def test_a_stuck_bus_is_given_up_and_found_again() -> None:
    """Every transfer takes a second and fails: DeviceError soon, again and again; freed, the bus is read as before."""
    with attached(reader(BURST), {"scene": "rest"}) as device:
        settled(device)
        device.do(behaviour={"stuck_every_s": 1e9, "stuck_lasts_s": 1e9, "stuck_s": 1.0})
        found = until(lambda: errors(device.lines()), PATIENCE_s, "an error")
        assert "stuck" in found[0]["what"]
        device.do(behaviour={"stuck_every_s": 0.0})
        settled(device)


@pytest.mark.parametrize("options", [BURST, FIFO], ids=["burst", "fifo"])
def test_five_transfers_in_a_hundred_fail(options: dict[str, object]) -> None:
    """Errno 121 all the time: as bursts, each slot has a sample; from the FIFO, each that is good is in its place."""
    with attached(reader(options, "--seconds", str(POOR_LOAD_s)), {"scene": "count", "nack": 0.05, "seed": 3}) as device:
        assert device.wait(POOR_LOAD_s + PATIENCE_s) == 0, device.errors()
        *lines, _ = device.lines()
    if options is BURST:
        slots_filled(lines)
        assert len(lines) == pytest.approx(100 * POOR_LOAD_s, abs=2)
        assert len(failed(lines)) < 0.02 * len(lines)  # 5 % without trying again
    least = 1 if options is FIFO else 0  # a late burst and the next may find the same sample in the registers
    assert all(least <= (after - before) % COUNTS < COUNTS // 2 for before, after in itertools.pairwise(numbers(good(lines))))
    assert sum(line[2] for line in lines) > 0


def test_an_absent_chip() -> None:
    """Nobody at the address: a plain sentence, not a hang; once it is there, it is read."""
    with attached(reader(BURST), {"scene": "rest", "absent": True}) as device:
        assert "nothing answers at address 0x68" in device.more(1)[0]["what"]
        device.do(behaviour={"absent": False})
        settled(device)


def test_an_adapter_that_is_unplugged() -> None:
    """The node goes: an error, then "there is no I2C bus"; the node comes back: it is opened and read again."""
    with attached(reader(BURST), {"scene": "rest"}) as device:
        settled(device)
        device.do(plugged=False)
        found = until(lambda: errors(device.lines())[1:], PATIENCE_s, "the second error")
        assert found[0]["error"] == "DeviceAbsent"
        device.do(plugged=True)
        settled(device)


@pytest.mark.parametrize("options", [BURST, FIFO], ids=["burst", "fifo"])
def test_a_brown_out(options: dict[str, object]) -> None:
    """All registers silently reset: it soon measures again by itself, and no zero was sold as a measurement."""
    with attached(reader(options), {"scene": "rest", "clock_error": 0.0}) as device:
        settled(device)
        struck_ns = device.do(suffer="brown_out")["now_ns"]
        until(lambda: device.do()["resets"] >= 2, PATIENCE_s, "the chip to be set up again")
        settled(device)
        lines = [line for line in good(device.lines()) if line[0] > struck_ns]
    assert (lines[0][0] - struck_ns) / 1e9 < 5  # 1.5 by a clock that waits for nobody else: test_mpu6050_twin.py
    assert all(line[3][2] == pytest.approx(G_m_s2, rel=0.15) for line in lines)


@pytest.mark.parametrize("identity", ["70", "98"])
def test_clones(identity: str) -> None:
    """An MPU6500 and an ICM-20689 sold in its place: each by its own temperature."""
    with attached(reader(FIFO, "--seconds", "1"), {"scene": "rest", "identity": identity, "temperature_degC": 31.0}) as device:
        assert device.wait() == 0, device.errors()
        *lines, _ = device.lines()
    assert good(lines)[-1][3][6] == pytest.approx(31.0, abs=0.01)


def test_the_command_line_reads_it() -> None:
    """`edgegw try mpu6050` at the other address, from a bus by its path, prints JSON."""
    command = [sys.executable, "-m", "edgegw", "try", "mpu6050", "bus=/dev/i2c-1", "address=105", "rate_hz=50", "--json", "-n", "5"]
    with attached(command, {"scene": "constant"}, address=0x69) as device:
        assert device.wait() == 0, device.errors()
        values = [line["values"] for line in device.lines()]
    assert len(values) == 5
    assert values[0]["angular_velocity_y_rad_s"] == pytest.approx(math.radians(-262 / 32768 * 500))


def test_the_rig_hands_on_signals_and_exit_codes() -> None:
    """SIGTERM reaches the client, and what it makes of that is the server's exit code; help needs no umockdev."""
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('1', flush=True); signal.pause()"
    with attached([sys.executable, "-c", script]) as device:
        device.more(1)
        device.signal(signal.SIGTERM)
        assert device.wait() == 7
    command = [sys.executable, "-m", "workers.virtual.i2cdev", "--help"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=PATIENCE_s, check=True)
    assert b"/dev/i2c-1" in done.stdout
