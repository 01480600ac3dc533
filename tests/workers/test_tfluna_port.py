"""The TF-Luna driver on a serial port: real pyserial, a real tty of the kernel, and at the other end a virtual device."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import DeviceAbsent, DeviceError
from edgegw.reading import Quality, Sample
from workers.buses import uart
from workers.tfluna import Options, read
from workers.tfluna.frames import Parser
from workers.virtual.bench import Bench
from workers.virtual.tfluna import Behaviour, Luna

PERIOD_ns = 10_000_000
ROOT = Path(__file__).parents[2]


@pytest.fixture
def journal() -> list[bytes]:
    return []


@pytest.fixture
def luna(journal: list[bytes]) -> Iterator[Luna]:
    with contextlib.closing(Luna(behaviour=Behaviour(seed=1), on_frame=journal.append)) as device:
        yield device


class Held:
    """A device on a bench that does not close it."""

    def __init__(self, luna: Luna) -> None:
        self.tick = luna.tick

    def close(self) -> None:
        """It goes on."""


@contextlib.contextmanager
def reading(luna: Luna, rate_hz: float | None = None) -> Iterator[Iterator[Sample | None]]:
    """An open driver that has met its device, which is silent now: whatever is sent from now on is read."""
    sent, luna.on_frame, behaviour, luna.behaviour = luna.on_frame, None, luna.behaviour, Behaviour(seed=1)
    with contextlib.closing(read(Options(port=luna.port.path, rate_hz=rate_hz))) as samples:
        with Bench([Held(luna)], 100):
            some(samples, 2)
        while (sample := next(samples)) is not None and sample.values["strength"] is not None:
            pass  # what the last ticks have sent
        luna.sent, luna.damaged, luna.dropped, luna.on_frame, luna.behaviour = 0, 0, 0, sent, behaviour
        yield samples


def some(samples: Iterator[Sample | None], count: int) -> list[Sample]:
    """The next `count` samples of frames; a device that has stopped ends in DeviceError, so this does not hang."""
    real = (sample for sample in samples if sample is not None and sample.values["strength"] is not None)
    return [next(real) for _ in range(count)]


def values(samples: list[Sample]) -> list[object]:
    return [dict(sample.values) for sample in samples]


def decoded(raw: list[bytes]) -> list[object]:
    return values([one.sample(0) for one in Parser().feed(b"".join(raw))])


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what every os.read of this process returns from now on."""
    lengths: list[int] = []
    real = os.read

    def counted(fd: int, size: int) -> bytes:
        data = real(fd, size)
        lengths.append(len(data))
        return data

    monkeypatch.setattr(os, "read", counted)
    return lengths


def test_every_frame_becomes_a_sample(luna: Luna, journal: list[bytes]) -> None:
    """200 frames at 200 Hz come out one by one, in order, with the values that the device measured."""
    luna.settings.rate_hz = 200
    with reading(luna) as samples, Bench([luna], 200):
        got = some(samples, 200)
    assert values(got) == decoded(journal)[:200]
    assert {sample.kind for sample in got} == {""}


def test_a_burst_is_dated_back_frame_by_frame(luna: Luna) -> None:
    """Ten frames in one read are one period apart; the newest is of now."""
    luna.behaviour = Behaviour(burst=10)
    with reading(luna) as samples:
        for tick in range(10):
            luna.tick(tick / 100)
        assert [sample.age_ns // PERIOD_ns for sample in some(samples, 10)] == list(range(9, -1, -1))


def test_a_backlog_is_read_whole(luna: Luna, journal: list[bytes]) -> None:
    """What waited in the kernel while nobody read (ten seconds of frames) comes whole and in order, and is dated back read by read.

    Not all the way: the kernel moves what exceeds its 4 kB line buffer in its own time, so it may take several reads.
    """
    with reading(luna) as samples:
        for tick in range(1000):
            luna.tick(tick / 100)
        got = some(samples, 1000)
    assert luna.dropped == 0
    assert values(got) == decoded(journal)
    ages = [sample.age_ns // PERIOD_ns for sample in got]
    assert ages[-1] == 0
    assert ages[0] > 100
    assert all(after == before - 1 or before == 0 for before, after in itertools.pairwise(ages))


def test_bytes_that_trickle_in_make_the_same_frames(luna: Luna) -> None:
    """A UART hands out a frame in pieces: nothing is lost or doubled."""
    raw = bytes.fromhex("59597B00E803C808E8" * 3)
    with reading(luna) as samples:
        for byte in raw:
            assert luna.port.write(bytes([byte])) == 1
        assert [sample.values["distance_m"] for sample in some(samples, 3)] == [1.23] * 3


def test_a_port_full_of_control_characters_is_read_as_it_is(luna: Luna) -> None:
    """The tty neither translates nor eats bytes: XON, XOFF, interrupt, end-of-file, CR and NUL inside frames arrive."""
    special = [0x11, 0x13, 0x03, 0x04, 0x0D, 0x0A, 0x00, 0x1A, 0x1C, 0x7F, 0xFF]
    heads = [bytes([0x59, 0x59, byte, byte % 8, byte, 1, byte, 8]) for byte in special]
    with reading(luna) as samples:
        luna.port.write(b"".join(head + bytes([sum(head) % 256]) for head in heads))
        got = [sample.values["temperature_degC"] for sample in some(samples, len(special))]
    assert got == [(byte | 0x800) / 8 - 256 for byte in special]


def test_a_bad_line_yields_only_true_frames_and_most_of_them(luna: Luna, journal: list[bytes]) -> None:
    """Noise, wrong sums, lost and doubled bytes: every sample is one that was sent, in order, and nine in ten of the sent come."""
    luna.settings.rate_hz = 250
    luna.behaviour = Behaviour(seed=1, noise=0.05, bad_sum=0.05, lost=0.05, doubled=0.05)
    with reading(luna) as samples, Bench([luna], 250):
        got = values(some(samples, 500))
        assert luna.damaged > 10
    sent = iter(decoded(journal))
    taken = [next((i for i, one in enumerate(sent) if one == sample), None) for sample in got]
    assert None not in taken, "a sample that was not sent, or not in this order"
    assert len(got) > 0.9 * sum(i + 1 for i in taken if i is not None)


def test_a_silent_device_beats_and_then_errs(luna: Luna) -> None:
    """No byte at all: heartbeats, without burning the processor; after two seconds an error that says what to check."""
    beats: list[float] = [time.monotonic()]
    cpu_s = time.process_time()
    with (
        contextlib.closing(read(Options(port=luna.port.path, rate_hz=100))) as samples,
        pytest.raises(DeviceError, match=r"no frame from /dev/pts/\d+ for 2 s: .*powered.*baud") as error,
    ):
        for sample in samples:
            assert sample is None
            beats.append(time.monotonic())
    assert str(115200) in str(error.value)
    assert 4 <= len(beats) <= 40  # four a second, and two for each time that it is asked, at each speed
    assert time.process_time() - cpu_s < 0.5 * (beats[-1] - beats[0])


def test_a_slow_device_is_given_five_periods(luna: Luna) -> None:
    """At 1 Hz two seconds of silence are nothing: patience is five periods."""
    began = time.monotonic()
    with reading(luna, rate_hz=1) as samples, pytest.raises(DeviceError, match="for 5 s"):
        some(samples, 1)
    assert time.monotonic() - began > 5


def test_bytes_without_frames_are_told_from_silence(luna: Luna) -> None:
    """Another device: heartbeats go on, not one per byte, and the error says that bytes do come."""
    luna.behaviour = Behaviour(seed=1, bad_sum=1)
    beats = 0
    with (
        Bench([luna], 250),
        contextlib.closing(read(Options(port=luna.port.path, rate_hz=250))) as samples,
        pytest.raises(DeviceError, match=r"bytes arrive .* no TF-Luna frame .*baud"),
    ):
        for sample in samples:
            assert sample is None
            beats += 1
    assert beats >= 4
    assert luna.damaged > 100


def test_silence_between_frames_is_survived(luna: Luna) -> None:
    """A device that pauses for a second goes on where it stopped; the pause is filled with bad samples that have no values."""
    with reading(luna) as samples:
        luna.tick(0)
        luna.tick(0.01)
        some(samples, 2)
        for sample in [next(samples) for _ in range(3)]:
            assert sample is not None
            assert (set(sample.values.values()), sample.quality) == ({None}, Quality.BAD)
        luna.tick(1)
        assert len(some(samples, 1)) == 1


def test_pulling_the_plug_ends_the_reading_at_once(luna: Luna, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hang-up is an error in the very next turn, after a single read."""
    with reading(luna) as samples, Bench([luna], 100):
        some(samples, 10)
        luna.port.unplug()
        lengths = counting(monkeypatch)
        with pytest.raises(DeviceError, match=r"/dev/pts/\d+ was unplugged"):
            some(samples, 1000)  # what the last read before had brought, if anything, and no more
        assert lengths == [0]


def test_pulling_the_plug_wakes_a_waiting_reader(luna: Luna) -> None:
    """A driver asleep in its wait for bytes hears of the hang-up by itself."""
    with reading(luna) as samples:
        cable = threading.Timer(0.05, luna.port.unplug)
        cable.start()
        with pytest.raises(DeviceError, match="was unplugged"):
            some(samples, 1)
        cable.join()


def test_an_io_error_of_the_adapter_is_an_unplugged_port(luna: Luna, monkeypatch: pytest.MonkeyPatch) -> None:
    """USB adapters that fail in mid-read answer EIO instead of a hang-up."""

    def broken(fd: int, size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with reading(luna) as samples:
        luna.port.write(b"x")
        monkeypatch.setattr(os, "read", broken)
        with pytest.raises(DeviceError, match=r"was unplugged \(Input/output error\)"):
            next(samples)


def test_a_second_reader_is_named_as_such(luna: Luna, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are announced and then gone, with the port still there: somebody else, such as a serial console, takes them."""
    with reading(luna) as samples:
        luna.port.write(b"x")
        monkeypatch.setattr(os, "read", lambda fd, size: b"")
        with pytest.raises(DeviceError, match="another program reads"):
            next(samples)


def test_data_comes_again_after_replugging_under_another_number(tmp_path: Path) -> None:
    """The adapter vanishes and returns as another node behind the same link: between the two the port is absent, then it is read again."""
    luna = Luna(tmp_path / "usb-TFLuna")
    with Bench([luna], 100):
        with contextlib.closing(read(Options(port=luna.port.path))) as samples:
            some(samples, 5)
            before = os.readlink(luna.port.path)
            luna.port.unplug()
            with pytest.raises(DeviceError, match="was unplugged"):
                some(samples, 1000)
        with pytest.raises(DeviceAbsent, match="there is no serial port"):
            next(read(Options(port=luna.port.path)))
        taken = pty.openpty()  # takes the number that has become free
        luna.port.plug()
        assert os.readlink(luna.port.path) != before
        with contextlib.closing(read(Options(port=luna.port.path))) as again:
            assert len(some(again, 5)) == 5
        for fd in taken:
            os.close(fd)


def test_a_port_in_use_is_refused(luna: Luna) -> None:
    """Two drivers never share a port: the second is told so, the first reads on; when that one closes, the port is free."""
    with Bench([luna], 100):
        with contextlib.closing(read(Options(port=luna.port.path))) as first:
            some(first, 2)
            with pytest.raises(DeviceError, match=r"another program has .* open"):
                next(read(Options(port=luna.port.path)))
            assert len(some(first, 2)) == 2
        with contextlib.closing(read(Options(port=luna.port.path))) as second:
            assert len(some(second, 2)) == 2


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("/dev/serial/by-id/usb-none", "there is no serial port /dev/serial/by-id/usb-none.*plugged in"),
        ("/dev/null", "/dev/null is not a serial port"),
        ("/dev", "/dev cannot be opened.*directory"),
    ],
)
def test_what_is_no_port_is_said_to_be_none(port: str, message: str) -> None:
    """A wrong name is answered in words that lead to the right one."""
    with pytest.raises(DeviceError, match=message):
        next(read(Options(port=port)))


@pytest.mark.parametrize("code", [errno.EIO, errno.ENXIO, errno.ENODEV])
def test_a_node_without_hardware_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """/dev/ttyS0 exists on machines that have no such UART."""

    def refuse(path: str, flags: int) -> int:
        raise OSError(code, os.strerror(code))

    import serial  # noqa: F401  (so that only its own open meets the replacement)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DeviceError, match="there is no device behind /dev/ttyS9"):
        next(read(Options(port="/dev/ttyS9")))


def test_no_permission_names_the_group(luna: Luna) -> None:
    """Who may not open the port is told which group to join. Root may open everything, so the child becomes nobody first."""
    script = """
import os, sys, serial
from workers.tfluna import Options, read
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    next(read(Options(port=sys.argv[1])))
except Exception as error:
    print(type(error).__name__, error)
"""
    os.chmod(luna.port.path, 0)
    done = subprocess.run([sys.executable, "-c", script, luna.port.path], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert re.match(r"DeviceError no permission to open /dev/pts/\d+: .* group dialout", done.stdout), done


def test_closing_the_driver_frees_every_descriptor(luna: Luna) -> None:
    """Ten times opened and closed, also by an error, and the process holds as many files as before."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with reading(luna):
            pass
        with pytest.raises(DeviceError):
            next(read(Options(port="/dev/null")))
    assert len(os.listdir("/proc/self/fd")) == before


def test_two_system_calls_a_frame(luna: Luna, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that comes alone costs one wait and one read: pyserial's own read would ask three times more."""
    polls: list[str] = []
    arrived = uart.arrived

    def counted(poller: select.poll, name: str, wait_ms: int) -> bytes:
        polls.append(name)
        return arrived(poller, name, wait_ms)

    monkeypatch.setattr(uart, "arrived", counted)
    with reading(luna) as samples:
        luna.tick(0)
        luna.tick(0.01)
        some(samples, 2)
        lengths = counting(monkeypatch)
        polls.clear()
        for tick in range(20):
            luna.tick(tick / 100)
            some(samples, 1)
    assert (len(polls), lengths) == (20, [9] * 20)


def test_the_first_frames_are_not_old(luna: Luna, journal: list[bytes]) -> None:
    """What was sent before the port was opened fell on the floor, as on a real UART: the driver begins with the present."""
    for tick in range(50):
        luna.tick(tick / 100)
    assert (luna.sent, luna.dropped) == (0, 50)
    with reading(luna) as samples:
        luna.tick(1)
        luna.tick(1.01)
        got = some(samples, 2)
    assert luna.sent == 2
    assert values(got) == decoded(journal)
