"""The supervisor's decisions as written histories: no process, no clock, no chance."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.errors import AlreadyRunning, Exit
from edgegw.notify import Notifier
from edgegw.paths import Paths
from edgegw.retry import RestartPolicy
from edgegw.supervisor import BRIDGE, WORKER, ChildSpec, Plan
from edgegw.supervisor.child import UNKILLABLE, Child
from edgegw.supervisor.family import Family, Phase
from edgegw.supervisor.inbox import Asked, Inbox
from edgegw.supervisor.lateness import excused_s
from edgegw.supervisor.place import PlaceError, claimed
from edgegw.supervisor.upward import Upward
from edgegw.supervisor.words import Do, State

READY = {"READY": "1"}
BEAT = {"WATCHDOG": "1"}


def middle() -> float:
    return 0.5


def no_body(_lifeline: int) -> int:
    raise AssertionError("a history runs no process")


def a_child(name: str = "front") -> Child:
    return Child(ChildSpec(name, WORKER, no_body), middle)


def a_bridge() -> Child:
    return Child(ChildSpec("bridge", BRIDGE, no_body, RestartPolicy(quarantines=False, max_s=5.0), stop_s=5.0), middle)


def running(now: float = 0.0) -> Child:
    child = a_child()
    child.start(now)
    assert child.tick(now) is Do.START
    child.started(now)
    child.heard(now, READY)
    return child


def states(child: Child) -> list[str]:
    return [change.state.value for change in child.changes()]


def act(child: Child, until: float) -> list[tuple[float, Do]]:
    """Let the time pass: what is done, when, up to and including `until`."""
    done = []
    while child.due <= until:
        now = child.due
        do = child.tick(now)
        if do is not None:
            done.append((now, do))
    return done


def test_a_good_life() -> None:
    """Started, ready, beating, told to stop, gone: one change for each, and no timer left."""
    child = running(10.0)
    for now in (11.0, 12.0, 13.0):
        child.heard(now, BEAT)
        assert child.due == now + 3.0
    assert child.stop(13.5) is Do.TERMINATE
    child.ended(14.0, "exited with code 0")
    assert states(child) == ["STARTING", "RUNNING", "STOPPING", "EXITED"]
    assert act(child, 1e9) == []


def test_before_its_turn_nothing_is_due() -> None:
    """A worker that waits for the bridge is STARTING without a process, and a restart does not push it in front."""
    child = a_child()
    child.restart(5.0)
    assert (child.state, child.alive, act(child, 1e9)) == (State.STARTING, False, [])


@pytest.mark.parametrize("reason", ["exited with code 0", "exited with code 1", "was killed by SIGKILL"])
def test_any_end_of_a_child_that_should_run_is_a_failure(reason: str) -> None:
    """Also exit code 0; it starts again half a second later, with the reason on record until it is ready."""
    child = running()
    child.ended(2.0, reason)
    assert (child.state, child.why, child.due) == (State.BACKOFF, reason, 2.5)
    assert act(child, 2.5) == [(2.5, Do.START)]
    child.started(2.5)
    assert (child.state, child.why) == (State.STARTING, reason)
    child.heard(2.6, READY)
    assert (child.state, child.why, child.starts) == (State.RUNNING, "", 2)


def test_never_ready() -> None:
    """At the end of its grace it is treated as one that hangs."""
    child = a_child()
    child.start(0.0)
    child.tick(0.0)
    child.started(0.0)
    child.heard(14.0, BEAT)
    assert act(child, 16.0) == [(15.0, Do.ABORT), (16.0, Do.KILL)]
    child.ended(16.1, "was killed by SIGKILL")
    assert (child.state, child.why) == (State.BACKOFF, "never became ready within 15 s")


def test_more_grace_on_request() -> None:
    """EXTEND_TIMEOUT_USEC moves the end of the grace, never towards us."""
    child = a_child()
    child.started(0.0)
    child.heard(10.0, {"EXTEND_TIMEOUT_USEC": "1000000"})
    assert child.due == 15.0
    child.heard(10.0, {"EXTEND_TIMEOUT_USEC": "60000000"})
    assert child.due == 70.0


def test_a_hang() -> None:
    """Three silent seconds: SIGABRT for the stacks, a second later SIGKILL, and the reason is the hang, not the signal."""
    child = running()
    child.heard(1.0, BEAT)
    assert act(child, 6.0) == [(4.0, Do.ABORT), (5.0, Do.KILL)]
    child.heard(5.0, READY)
    assert child.state is State.STOPPING
    child.ended(5.1, "was killed by SIGKILL")
    assert (child.state, child.why) == (State.BACKOFF, "did not answer for 3 s (stack dump in the log)")


def test_any_word_is_a_sign_of_life() -> None:
    """Not only WATCHDOG."""
    child = running()
    child.heard(2.9, {"STATUS": "busy"})
    assert (child.due, child.said) == (5.9, "busy")


def test_what_survives_sigkill_is_not_started_a_second_time() -> None:
    """A process in the kernel's hands keeps its device: it is said so, and nothing else happens until it ends."""
    child = running()
    assert act(child, 1e9) == [(3.0, Do.ABORT), (4.0, Do.KILL)]
    assert (child.state, child.why, child.alive) == (State.STOPPING, UNKILLABLE, True)
    child.ended(2e9, "was killed by SIGKILL")
    assert child.state is State.BACKOFF


def test_a_stop_does_not_wait_for_what_survives_sigkill() -> None:
    """Its stop is over at once, with the process given up."""
    child = running()
    act(child, 1e9)
    assert child.stop(2e9) is None
    assert act(child, 3e9) == []
    assert (child.state, child.alive) == (State.EXITED, True)


def test_quarantine_and_the_way_out() -> None:
    """Five quick failures, then a try every five minutes; one that fails leads straight back, a long good run leads out."""
    child = a_child()
    child.start(0.0)
    now = 0.0
    for _ in range(5):
        now = child.due
        child.tick(now)
        child.started(now)
        child.ended(now, "exited with code 1")
    assert child.state is State.QUARANTINED
    assert child.why == "exited with code 1; 5 failures in a row, next try in 300 s"
    assert child.changes()[-1].wait_s == 300.0
    assert act(child, now + 300) == [(now + 300, Do.START)]
    child.started(now + 300)
    child.heard(now + 301, READY)
    child.ended(now + 302, "exited with code 1")
    assert child.state is State.QUARANTINED
    child.tick(now + 602)
    child.started(now + 602)
    child.heard(now + 603, READY)
    child.ended(now + 902, "exited with code 1")
    assert child.state is State.BACKOFF


def test_an_operators_restart_is_no_failure() -> None:
    """Told to stop, started again at once, with a clean record."""
    child = running()
    child.ended(1.0, "exited with code 1")
    act(child, 1.5)
    child.started(1.5)
    child.heard(1.6, READY)
    assert child.restart(2.0) is Do.TERMINATE
    assert child.restart(2.0) is None
    child.ended(2.1, "exited with code 0")
    assert act(child, 2.1) == [(2.1, Do.START)]
    child.started(2.1)
    child.heard(2.2, READY)
    child.ended(3.0, "exited with code 1")
    assert child.due == 3.5


def test_an_operators_restart_ends_quarantine_and_backoff() -> None:
    """It is started at once, and gets its burst of failures anew."""
    child = a_child()
    child.start(0.0)
    for _ in range(5):
        child.tick(child.due)
        child.started(0.0)
        child.ended(0.0, "exited with code 1")
    assert child.state is State.QUARANTINED
    assert child.restart(50.0) is None
    assert act(child, 50.0) == [(50.0, Do.START)]
    child.started(50.0)
    child.ended(50.0, "exited with code 1")
    assert (child.state, child.due) == (State.BACKOFF, 50.5)


@pytest.mark.parametrize("asked_at", [0.5, 3.0, 4.5])
def test_told_to_stop_in_any_state_it_stays_away(asked_at: float) -> None:
    """Running, hanging or waiting for its next start: after stop() it never starts again."""
    child = running()
    act(child, asked_at)
    child.stop(asked_at)
    act(child, asked_at + 0.1)
    if child.alive:
        child.ended(asked_at + 0.1, "was killed by SIGKILL")
    assert child.restart(asked_at + 0.2) is None
    assert (child.state, act(child, 1e9)) == (State.EXITED, [])


def test_stopping_by_force() -> None:
    """SIGTERM unheeded for stop_s: SIGABRT, then SIGKILL, within a quarter of a second."""
    child = running()
    assert child.stop(1.0) is Do.TERMINATE
    assert act(child, 1e9) == [(4.0, Do.ABORT), (4.25, Do.KILL)]


def test_stopping_now() -> None:
    """SIGKILL, whatever was going on; what has no process is simply over."""
    child = running()
    child.stop(1.0)
    assert child.kill(1.1) is Do.KILL
    idle = a_child()
    assert idle.kill(1.0) is None
    assert (idle.state, act(idle, 1e9)) == (State.EXITED, [])


def test_no_process_to_be_had() -> None:
    """fork() that fails is a failure like any other."""
    child = a_child()
    child.start(0.0)
    child.tick(0.0)
    child.unstartable(0.0, "could not be started: Cannot allocate memory")
    assert (child.state, child.due, child.starts) == (State.BACKOFF, 0.5, 0)


@pytest.mark.parametrize(
    ("elapsed_s", "planned_s", "expected_s"),
    [(0.5, 0.5, 0.0), (0.01, 0.5, 0.0), (0.55, 0.5, 0.0), (0.8, 0.5, 0.3), (30.0, 0.5, 30.0), (30.0, 0.0, 30.0), (0.0, 0.0, 0.0)],
)
def test_what_lateness_excuses(elapsed_s: float, planned_s: float, expected_s: float) -> None:
    """Nothing for noise, the lateness for a busy moment, everything for a pause."""
    assert excused_s(elapsed_s, planned_s) == pytest.approx(expected_s)


@given(st.floats(0, 1e6), st.floats(0, 0.5))
def test_no_more_is_excused_than_has_passed(elapsed_s: float, planned_s: float) -> None:
    """So a hang is found in the end however often the loop is late."""
    assert 0 <= excused_s(elapsed_s, planned_s) <= elapsed_s


def test_a_machine_that_slept_kills_nobody() -> None:
    """Thirty seconds in which nobody ran, in any moment of a beat: nothing is due right after, and a real hang still is."""
    for beat_at in (9.0, 9.7, 10.0):
        child = running(0.0)
        child.heard(beat_at, BEAT)
        child.excuse(excused_s(30.0, 0.5))
        assert child.tick(10.0 + 30.0) is None
        assert child.tick(beat_at + 30.0 + 3.0) is Do.ABORT


@given(st.lists(st.sampled_from(["tick", "ready", "beat", "ended", "restart", "stop", "kill", "excuse"]), max_size=60), st.integers(1, 50))
def test_no_history_breaks_the_machine(events: list[str], step: int) -> None:
    """Any order of events: START only without a process, signals only with one, and once told to stop it never starts."""
    child = a_child()
    child.start(0.0)
    told = False
    for number, event in enumerate(events):
        now = number * step / 10
        do = None
        match event:
            case "tick":
                do = child.tick(now)
            case "ready" | "beat" if child.alive:
                child.heard(now, READY if event == "ready" else BEAT)
            case "ended" if child.alive:
                child.ended(now, "was killed by SIGKILL")
            case "restart":
                do = child.restart(now)
            case "stop" | "kill":
                told = True
                do = child.stop(now) if event == "stop" else child.kill(now)
            case "excuse":
                child.excuse(0.3)
        if do is Do.START:
            assert not child.alive
            assert not told
            child.started(now)
        elif do is not None:
            assert child.alive
        assert child.state is not State.RUNNING or child.alive


class House:
    """A family whose processes obey at once, unless they are told not to."""

    def __init__(self, *names: str) -> None:
        self.bridge = a_bridge()
        self.workers = [a_child(name) for name in names]
        self.family = Family([self.bridge, *self.workers])
        self.done: list[str] = []
        self.family.begin(0.0)

    def turn(self, now: float) -> list[str]:
        orders = [(child.spec.name, do) for child, do in self.obey(self.family.turn(now), now)]
        return [f"{name} {do.name}" for name, do in orders]

    def obey(self, orders: list[tuple[Child, Do]], now: float) -> list[tuple[Child, Do]]:
        for child, do in orders:
            if do is Do.START:
                child.started(now)
        return orders


def test_workers_wait_for_the_bridge() -> None:
    """The bridge is started alone; the rest follows when it is ready."""
    house = House("front", "imu")
    assert house.turn(0.0) == ["bridge START"]
    assert house.turn(1.0) == []
    house.bridge.heard(2.0, READY)
    assert house.turn(2.0) == ["front START", "imu START"]


def test_workers_do_not_wait_for_ever() -> None:
    """A bridge that is not ready when its grace is over: the sensors read all the same, into their windows."""
    house = House("front")
    house.turn(0.0)
    assert house.family.due() == 15.0
    assert house.turn(15.0) == ["bridge ABORT", "front START"]
    assert house.family.phase is Phase.STARTING


def test_start_up_ends_with_every_worker_ready_or_failed_once() -> None:
    """A sensor that is broken from the first moment does not keep the gateway from being ready."""
    house = House("front", "imu")
    house.turn(0.0)
    house.bridge.heard(0.1, READY)
    house.turn(0.1)
    house.workers[0].heard(0.2, READY)
    house.turn(0.2)
    assert house.family.phase is Phase.STARTING
    house.workers[1].ended(0.3, "exited with code 1")
    house.turn(0.3)
    assert house.family.phase is Phase.RUNNING
    assert house.family.summary() == "running: 1 of 2 sensors running"


def test_the_bridge_stops_last() -> None:
    """Workers are told first; the bridge once the last of them is gone."""
    house = House("front", "imu")
    house.turn(0.0)
    house.bridge.heard(0.1, READY)
    house.turn(0.1)
    assert [(child.spec.name, do) for child, do in house.family.stop(1.0)] == [("front", Do.TERMINATE), ("imu", Do.TERMINATE)]
    house.workers[0].ended(1.1, "exited with code 0")
    assert house.turn(1.1) == []
    house.workers[1].ended(1.2, "exited with code 0")
    assert house.turn(1.2) == ["bridge TERMINATE"]
    assert not house.family.done
    house.bridge.ended(1.3, "exited with code 0")
    assert house.family.done
    assert house.family.abandoned == []


def test_the_longest_stop_is_shorter_than_ten_seconds() -> None:
    """Nobody heeds any signal, SIGKILL included: the gateway still leaves, and names those it leaves behind."""
    house = House("front")
    house.turn(0.0)
    house.bridge.heard(0.0, READY)
    house.turn(0.0)
    now = 100.0
    house.bridge.heard(now, BEAT)
    house.workers[0].heard(now, READY)
    house.family.stop(now)
    while not house.family.done:
        now = max(now, house.family.due())
        house.bridge.heard(now, BEAT)
        house.turn(now)
    assert now - 100.0 <= 9.5
    assert house.family.abandoned == ["bridge", "front"]


def test_stop_while_starting() -> None:
    """Workers that never had their turn are over at once, and the bridge follows in the same turn."""
    house = House("front")
    house.turn(0.0)
    assert house.family.stop(0.5) == []
    assert house.turn(0.5) == ["bridge TERMINATE"]


def test_the_second_stop_means_now() -> None:
    """Every process is killed, the bridge too."""
    house = House("front")
    house.turn(0.0)
    house.bridge.heard(0.0, READY)
    house.turn(0.0)
    house.family.stop(1.0)
    assert [do for _, do in house.family.stop(1.1)] == [Do.KILL, Do.KILL]


def test_restart_touches_only_those_that_were_named() -> None:
    """The neighbours and the bridge go on."""
    house = House("front", "imu")
    house.turn(0.0)
    house.bridge.heard(0.0, READY)
    house.turn(0.0)
    assert [(child.spec.name, do) for child, do in house.family.restart(["imu"], 1.0)] == [("imu", Do.TERMINATE)]


def heard(*numbers: signal.Signals, terminal: bool) -> list[Asked]:
    with Inbox(terminal=terminal) as inbox:
        asked = []
        for number in numbers:
            os.kill(os.getpid(), number)
            asked.append(inbox.asked())
    return asked


MIXED = (signal.SIGHUP, signal.SIGHUP, signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def test_which_signals_ask_for_what_on_a_terminal() -> None:
    """SIGTERM and SIGINT count each time; SIGHUP, which a closing terminal sends twice, only as the first request; others never."""
    assert heard(*MIXED, terminal=True) == [Asked(stops) for stops in (1, 0, 0, 1, 0, 1)]


def test_which_signals_ask_for_what_without_one() -> None:
    """There SIGHUP is the operator's: read the configuration again, each time, also where nohup had it ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asked = heard(*MIXED, terminal=False)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert asked == [Asked(0, True), Asked(0, True), Asked(), Asked(1), Asked(0, True), Asked(1)]


def test_the_inbox_leaves_signals_as_it_found_them() -> None:
    """Handlers and the wake-up descriptor are as before."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)]
    with Inbox():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)] == before
    assert signal.set_wakeup_fd(-1) == -1


class Told(Notifier):
    """A notifier that keeps what it was told."""

    def __init__(self, interval_s: float | None) -> None:
        super().__init__(None, interval_s)
        self.words: list[str] = []

    def _say(self, *lines: str) -> None:
        self.words += lines or ("READY=1",)


def test_upward() -> None:
    """READY once, beats only while the bridge beats, STATUS when it changes, STOPPING at the end."""
    house = House("front")
    told = Told(15.0)
    upward = Upward(told, house.family)
    house.turn(0.0)
    upward.turn(0.0)
    assert told.words == ["STATUS=starting: 0 of 1 sensors running; the bridge is not running"]
    house.bridge.heard(1.0, READY)
    house.turn(1.0)
    house.workers[0].heard(1.0, READY)
    house.turn(1.0)
    told.words.clear()
    for now in (1.0, 2.0):
        upward.turn(now)
    assert told.words == ["READY=1", "STATUS=running: 1 of 1 sensors running", "WATCHDOG=1"]
    told.words.clear()
    upward.turn(16.0)
    assert told.words == []  # the bridge has been silent since 1.0
    house.bridge.heard(16.5, BEAT)
    upward.turn(16.5)
    upward.turn(17.0)
    assert told.words == ["WATCHDOG=1"]
    told.words.clear()
    house.family.stop(18.0)
    upward.turn(18.0)
    assert told.words[0] == "STOPPING=1"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "run", tmp_path / "state")


def test_a_place_of_our_own(paths: Paths) -> None:
    """Both directories are made with mode 0700, the lock file tells our pid, and afterwards no socket is left."""
    before = os.umask(0o022)
    os.umask(before)
    with claimed(paths):
        assert [path.stat().st_mode & 0o777 for path in (paths.runtime, paths.state, paths.lock)] == [0o700, 0o700, 0o600]
        assert int(paths.lock.read_text()) == os.getpid()
        paths.bus.touch()
    assert os.umask(before) == before
    assert [path.name for path in paths.runtime.iterdir()] == ["lock"]
    with claimed(paths):
        assert not paths.bus.exists()


def test_one_gateway_at_a_time(paths: Paths) -> None:
    """The second is told the pid of the first and leaves its sockets alone."""
    with claimed(paths):
        paths.control.touch()
        with pytest.raises(AlreadyRunning, match=rf"\(pid {os.getpid()}\) is already using the runtime directory"), claimed(paths):
            pass
        assert paths.control.exists()
    assert AlreadyRunning.exit_code is Exit.ALREADY_RUNNING


def test_one_gateway_to_a_state_directory(paths: Paths, tmp_path: Path) -> None:
    """Another runtime directory does not make two gateways share a spool."""
    with claimed(paths), pytest.raises(AlreadyRunning, match="state directory"), claimed(Paths(tmp_path / "other", paths.state)):
        pass


def test_an_error_inside_is_not_taken_for_a_held_lock(paths: Paths) -> None:
    """What goes wrong while the lock is held passes through as it is, and the lock is let go."""
    with pytest.raises(BlockingIOError), claimed(paths):
        raise BlockingIOError
    with paths.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_dangerous_runtime_directory_is_refused(paths: Paths, tmp_path: Path) -> None:
    """A link, a directory that others may write to, a file in its place, a path too long for sockets: each with its sentence."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    paths.runtime.symlink_to(elsewhere)
    with pytest.raises(PlaceError, match="symbolic link"), claimed(paths):
        pass
    paths.runtime.unlink()
    paths.runtime.mkdir()
    paths.runtime.chmod(0o770)
    with pytest.raises(PlaceError, match="chmod go-w"), claimed(paths):
        pass
    paths.runtime.rmdir()
    paths.runtime.touch()
    with pytest.raises(PlaceError, match="cannot create"), claimed(paths):
        pass
    with pytest.raises(PlaceError, match="too long for a socket"), claimed(Paths(tmp_path / ("x" * 120), paths.state)):
        pass
    assert list(elsewhere.iterdir()) == []


def test_somebody_elses_runtime_directory_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the directory could put sockets of his own in the place of ours."""
    paths.runtime.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: paths.runtime.stat().st_uid + 1)
    with pytest.raises(PlaceError, match="belongs to user"), claimed(paths):
        pass


def test_a_state_directory_may_be_a_link(paths: Paths, tmp_path: Path) -> None:
    """It often is, to a bigger disk."""
    (tmp_path / "disk").mkdir(mode=0o700)
    paths.state.symlink_to(tmp_path / "disk")
    with claimed(paths):
        assert paths.lock.exists()


def test_names_must_differ() -> None:
    """Two children of one name would answer for each other."""
    with pytest.raises(ValueError, match="same name"):
        Plan((a_child().spec, a_child().spec))
