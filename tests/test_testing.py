"""The public fakes keep the promises of what they stand for."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from edgegw.clock import Clock, every
from edgegw.errors import DeviceError, Rejected, Unavailable
from edgegw.reading import Letter, Sample, Stored
from edgegw.sinks import Store
from edgegw.testing import FakeClock, ListSink, NoOptions, Script
from tests.records import START_ns, a_run, lidar

RUN = a_run(1)


@pytest.fixture
def store() -> Store:
    sink: Store = ListSink()
    sink.open()
    return sink


def test_the_store_counts_twice_as_once(store: Store) -> None:
    """Giving a record again is harmless, as with every store."""
    for _ in range(2):
        store.deliver([lidar(RUN, [0, 1]), lidar(a_run(2), [5])])
    store.deliver([lidar(RUN, [9])])
    assert store.stored() == {("front", RUN.id): Stored(3, 0, 9), ("front", a_run(2).id): Stored(1, 5, 5)}


def test_the_store_must_be_open() -> None:
    """Before open() and after close(), twice too, it says Unavailable; open() makes it good again, with what it had."""
    sink = ListSink()
    sink.close()
    with pytest.raises(Unavailable):
        sink.deliver([lidar(RUN, [0])])
    sink.open()
    sink.deliver([lidar(RUN, [0])])
    sink.close()
    sink.close()
    for call in (lambda: sink.deliver([lidar(RUN, [1])]), sink.stored):
        with pytest.raises(Unavailable):
            call()
    sink.open()
    assert sink.stored() == {("front", RUN.id): Stored(1, 0, 0)}


def test_after_trouble_the_store_must_be_opened_again() -> None:
    """A caller that forgets to would be found out by the real ones, too."""
    sink = ListSink()
    sink.open()
    sink.trouble = Unavailable("away")
    with pytest.raises(Unavailable, match="away"):
        sink.deliver([lidar(RUN, [0])])
    sink.trouble = None
    with pytest.raises(Unavailable, match="not open"):
        sink.deliver([lidar(RUN, [0])])


def test_poison_is_rejected_whole_and_the_connection_stays() -> None:
    """Nothing of its delivery is stored; the rest is taken at once."""
    sink = ListSink()
    sink.open()
    sink.poison = {3}
    with pytest.raises(Rejected) as caught:
        sink.deliver([lidar(RUN, [0, 1]), lidar(RUN, [2, 3])])
    assert (caught.value.code, sink.records) == ("poison", [])
    sink.deliver([lidar(RUN, [0, 1, 2])])
    assert sink.stored() == {("front", RUN.id): Stored(3, 0, 2)}


def test_a_letter_is_buried_once() -> None:
    """The first one stays."""
    sink = ListSink()
    sink.open()
    (reading,) = lidar(RUN, [7]).batch.readings
    for time_ns in (START_ns, START_ns + 1):
        sink.bury(Letter("list", RUN, "lidar", reading, "1264", "out of range", time_ns))
    assert [letter.time_ns for letter in sink.letters.values()] == [START_ns]


def test_the_clock_moves_only_when_somebody_sleeps() -> None:
    """Hours pass at once, never backwards, and wall, boot and monotonic time keep their distance."""
    fake = FakeClock(now_ns=10**9)
    clock: Clock = fake
    before = clock.wall_ns(), clock.boot_ns()
    clock.sleep_until(3_601 * 10**9)
    clock.sleep_until(5)
    assert clock.monotonic_ns() == 3_601 * 10**9
    assert (clock.wall_ns() - before[0], clock.boot_ns() - before[1]) == (3_600 * 10**9, 3_600 * 10**9)
    ticks = every(0.5, clock)
    assert [next(ticks) for _ in range(10)] == [0] * 10
    assert clock.monotonic_ns() == (3_601 + 4.5) * 10**9


def test_it_does_not_need_pytest() -> None:
    """Whoever has another way of testing, or a script, can import all of it."""
    code = "import sys, edgegw.testing, edgegw.testing.drivers; sys.exit('pytest' in sys.modules or '_pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_scripted_device_plays_its_lives() -> None:
    """A life a turn, errors as they are, then silence; and it counts how often it was opened and let go."""
    called: list[int] = []
    script = Script([Sample({"distance_m": 1.0}), lambda: called.append(1), None, DeviceError("gone")], [])
    read = script.driver().read
    with contextlib.closing(read(NoOptions())) as samples, pytest.raises(DeviceError, match="gone"):
        assert next(samples) == Sample({"distance_m": 1.0})
        assert next(samples) is None
        next(samples)
    assert called == [1]
    assert list(read(NoOptions())) == []
    with contextlib.closing(read(NoOptions())) as samples:
        assert [next(samples) for _ in range(3)] == [None] * 3
    assert (script.opened, script.closed) == (3, 3)
