"""The sensor that counts: keeps a driver's promises, notes before it gives, and says what is wrong with its journal."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgegw.errors import DeviceAbsent
from edgegw.reading import Sample
from edgegw.testing.drivers import DriverContract
from tests.services.base import until
from workers import metronome
from workers.metronome import Options, read

ROOT = Path(__file__).parents[2]
FOR_EVER = "from workers.metronome import Options, read; [None for _ in read(Options(rate_hz=1000, journal={!r}))]"


class TestMetronome(DriverContract):
    """It needs no virtual device: it is one."""

    driver = "metronome"
    absent = Options(journal="/not/there")
    plain = ("value",)
    test_an_unplugged_device_is_noticed = None  # type: ignore[assignment] # it has no cable

    @pytest.fixture(autouse=True)
    def with_journal(self, tmp_path: Path) -> None:
        """A slow one, for the signs of life between its ticks."""
        self.options = Options(rate_hz=20, burst=30, journal=str(tmp_path))


def some(options: Options, count: int) -> list[Sample]:
    """The first samples of a life."""
    with closing(read(options)) as samples:
        return list(itertools.islice(filter(None, samples), count))


def values(samples: list[Sample], name: str) -> list[Any]:
    return [sample.values[name] for sample in samples]


def test_ticks_are_consecutive_and_lives_are_new() -> None:
    """From 0 in each life; a life's number is one of 2^62, the same for all its ticks."""
    lives = [some(Options(rate_hz=1000), 20) for _ in range(3)]
    for samples in lives:
        assert values(samples, "tick") == list(range(20))
        assert len(set(values(samples, "life"))) == 1
    assert len({samples[0].values["life"] for samples in lives}) == 3
    assert all(0 <= samples[0].values["life"] < 1 << 62 for samples in lives)  # type: ignore[operator] # it is an int


def test_no_two_ticks_look_alike() -> None:
    """Value and text are others in each of ten thousand."""
    samples = [metronome.sample(1, tick) for tick in range(10_000)]
    assert len(set(values(samples, "value"))) == len(set(values(samples, "text"))) == 10_000


def test_it_is_noted_before_it_is_given(tmp_path: Path) -> None:
    """Whatever sample one holds, its record is in the file already, complete; also within a burst."""
    with closing(read(Options(rate_hz=1000, burst=10, journal=str(tmp_path)))) as samples:
        for count, sample in enumerate(itertools.islice(filter(None, samples), 25), 1):
            (path,) = tmp_path.iterdir()
            data = path.read_bytes()
            assert len(data) == count * 32
            life, tick, _, zeros, crc = struct.unpack("<QQQII", data[-32:])
            assert (life, tick, zeros, crc) == (sample.values["life"], sample.values["tick"], 0, zlib.crc32(data[-32:-4]))
            assert path.name == f"{life:016x}"


def test_the_journal_outlives_sigkill(tmp_path: Path) -> None:
    """Killed amid its ticks it leaves whole records, as many as a reader had seen or more."""

    def length() -> int:
        return sum(path.stat().st_size for path in tmp_path.iterdir())

    with subprocess.Popen([sys.executable, "-c", FOR_EVER.format(str(tmp_path))], cwd=ROOT) as process:
        seen = until(lambda: length() if length() >= 100 * 32 else 0, 60, "a hundred ticks")
        process.send_signal(signal.SIGKILL)
    assert length() >= seen
    assert length() % 32 == 0


@pytest.mark.parametrize(("rate_hz", "burst"), [(200, 1), (200, 20), (4, 1)])
def test_it_keeps_its_rate(monkeypatch: pytest.MonkeyPatch, rate_hz: float, burst: int) -> None:
    """On average, whatever comes together; between bursts that are far apart there are signs of life four times a second."""
    beats = Beats()
    monkeypatch.setattr(metronome, "every", beats)
    samples = 0
    with closing(read(Options(rate_hz=rate_hz, burst=burst))) as stream:
        for sample in stream:
            samples += sample is not None
            if beats.seconds >= 10:
                break
    assert samples == pytest.approx(10 * rate_hz, abs=burst + 1)
    assert beats.period_s <= 0.25


class Beats:
    """every(), in no time."""

    def __init__(self) -> None:
        self.seconds = self.period_s = 0.0

    def __call__(self, period_s: float) -> Iterator[int]:
        self.period_s = period_s
        while True:
            yield 0
            self.seconds += period_s


def test_a_full_disk_is_told_and_the_tick_not_given(tmp_path: Path) -> None:
    """A journal with a hole would accuse the gateway; so a tick that cannot be noted does not exist."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    given = 0
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 * 32 + 5, before[1]))
        with closing(read(Options(rate_hz=1000, journal=str(tmp_path)))) as samples, pytest.raises(OSError, match="is full") as caught:
            for sample in samples:
                given += sample is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.ENOSPC
    assert given == 10


def test_no_directory_is_an_absent_device() -> None:
    """It is looked for again soon, and the sentence says what to do."""
    with closing(read(Options(journal="/not/there"))) as samples, pytest.raises(DeviceAbsent, match="make it, or leave journal empty"):
        next(samples)


def test_no_journal_no_file(tmp_path: Path) -> None:
    """Without one it writes nothing."""
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert len(some(Options(rate_hz=1000), 5)) == 5
    finally:
        os.chdir(before)
    assert list(tmp_path.iterdir()) == []
