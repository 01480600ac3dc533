"""The climb of one sensor, and its receipts, which outlive the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceAbsent, DeviceError
from edgegw.testing import FakeClock
from edgegw.worker.ladder import Rung
from edgegw.worker.recovery import Recovery, STEADY_ns

DEAF = DeviceError("deaf")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def climber(clock: FakeClock, file: Path | None = None, *, can_reset: bool = True) -> Recovery:
    return Recovery(clock, can_reset=can_reset, may_restart=True, file=file)


def well(recovery: Recovery, clock: FakeClock) -> Rung | None:
    """Samples come, and go on coming."""
    recovery.opening()
    recovery.heard()
    clock.now_ns += STEADY_ns
    return recovery.settle(clock.now_ns)


def test_a_restart_is_credited_by_the_process_that_it_made(clock: FakeClock, tmp_path: Path) -> None:
    """The note that it was asked for lies in the file; the fresh process reads it, and once it is well the receipt is written."""
    file = tmp_path / "made" / "front.json"
    before = climber(clock, file)
    rungs = [before.failed(DEAF).rung for _ in range(7)]
    assert rungs[-1] is Rung.RESTART
    after = climber(clock, file)
    assert after.rung is Rung.RESTART
    assert well(after, clock) is Rung.RESTART
    later = climber(clock, file)
    assert later.rung is None
    assert later.healed["restart"].count == 1


def test_a_restart_is_tried_once(clock: FakeClock, tmp_path: Path) -> None:
    """The fresh process climbs past it into quarantine; when it is well again, the next trouble may have another."""
    file = tmp_path / "front.json"
    first = climber(clock, file)
    while first.failed(DEAF).rung is not Rung.RESTART:
        pass
    second = climber(clock, file)
    assert Rung.RESTART not in [second.failed(DEAF).rung for _ in range(50)]
    assert well(second, clock) is Rung.QUARANTINE
    assert Rung.RESTART in [second.failed(DEAF).rung for _ in range(7)]


def test_an_operators_stop_forgets_the_restart(clock: FakeClock, tmp_path: Path) -> None:
    """What begins anew because somebody wished it begins on the ground."""
    file = tmp_path / "front.json"
    first = climber(clock, file)
    while first.failed(DEAF).rung is not Rung.RESTART:
        pass
    climber(clock, file).close()
    assert climber(clock, file).rung is None


def test_without_a_file_no_restart_is_asked_for(clock: FakeClock) -> None:
    """The fresh process would not know that it is one, and ask for the next."""
    recovery = climber(clock)
    assert Rung.RESTART not in [recovery.failed(DEAF).rung for _ in range(50)]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"healed":3}', b"\xff\xfe"])
def test_a_damaged_file_is_no_trouble(clock: FakeClock, tmp_path: Path, content: bytes) -> None:
    """Receipts are for people; without them the climb begins on the ground."""
    file = tmp_path / "front.json"
    file.write_bytes(content)
    assert climber(clock, file).healed == {}


def test_a_directory_that_cannot_be_made_is_no_trouble(clock: FakeClock, tmp_path: Path) -> None:
    """Losing a receipt is no reason to lose readings."""
    (tmp_path / "file").touch()
    recovery = climber(clock, tmp_path / "file" / "front.json")
    recovery.failed(DEAF)
    assert well(recovery, clock) is Rung.REOPEN


def test_an_absent_device_does_not_climb(clock: FakeClock) -> None:
    """Looked for a thousand times, it still begins on the ground; and having it back is the work of reopening."""
    recovery = climber(clock)
    assert {recovery.failed(DeviceAbsent("unplugged")).rung for _ in range(1000)} == {Rung.REOPEN}
    assert well(recovery, clock) is Rung.REOPEN
    assert recovery.failed(DEAF).rung is Rung.REOPEN


def test_samples_for_a_moment_are_no_recovery(clock: FakeClock) -> None:
    """A device that lets go again within STEADY_ns climbs on."""
    recovery = climber(clock)
    rungs = []
    for _ in range(5):
        recovery.opening()
        recovery.heard()
        clock.now_ns += STEADY_ns - NS_PER_S
        assert recovery.settle(clock.now_ns) is None
        rungs.append(recovery.failed(DEAF).rung)
    assert rungs == [Rung.REOPEN, Rung.REOPEN, Rung.REOPEN, Rung.RESET, Rung.REOPEN]
