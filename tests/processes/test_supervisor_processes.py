"""The supervisor with real processes: killed, stopped, hung and orphaned, by the signals and sockets of the real kernel."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from edgegw.control import Declined, ask, stop_and_wait
from edgegw.errors import Exit
from tests.processes.rig import load_s
from tests.processes.stand import Gateway, Held, PATIENCE_s, a_gateway, bridge, worker
from tests.services.base import until


def test_a_killed_worker_returns_and_its_neighbours_do_not_notice(tmp_path: Path) -> None:
    """SIGKILL to one child: a fresh process for that one, the same pids for the others, one log line for each change."""
    with a_gateway(tmp_path, bridge(), worker("front"), worker("imu")) as gateway:
        before = gateway.running().pids()
        os.kill(before["front"], signal.SIGKILL)
        gateway.await_state("front", "RUNNING", restarts=1)
        after = gateway.pids()
        assert after["front"] != before["front"]
        assert {name: after[name] for name in ("bridge", "imu")} == {name: before[name] for name in ("bridge", "imu")}
        events = [(line["event"], line.get("why")) for line in gateway.log("front")]
        assert events[2:] == [
            ("child_backoff", "was killed by SIGKILL"),
            ("child_starting", "was killed by SIGKILL"),
            ("child_running", None),
        ]
        assert gateway.stop() == 0


def test_a_killed_bridge_returns_and_no_worker_is_restarted(tmp_path: Path) -> None:
    """The bridge is a child like any other, but for the order."""
    with a_gateway(tmp_path, bridge(), worker("front")) as gateway:
        before = gateway.running().pids()
        for restarts in (1, 2):
            os.kill(gateway.pids()["bridge"], signal.SIGKILL)
            gateway.await_state("bridge", "RUNNING", restarts=restarts)
        assert gateway.pids()["front"] == before["front"]
        assert gateway.child("front")["restarts"] == 0
        assert gateway.stop() == 0


@pytest.mark.parametrize("body", ["beats", "blind", "lifeline_only", "deaf"])
def test_nobody_survives_a_killed_supervisor(tmp_path: Path, body: str) -> None:
    """Death signal alone, lifeline alone, or both: two seconds after its SIGKILL there is no process left."""
    with a_gateway(tmp_path, bridge(body), worker("front", body)) as gateway:
        children = Held(gateway.running().pids())
        gateway.process.kill()
        gateway.wait()
        assert children.ended(PATIENCE_s) == {"bridge", "front"}
        children.close()


def test_a_killed_gateway_leaves_nothing_that_hinders_the_next(tmp_path: Path) -> None:
    """Stale lock, stale sockets, and a stranger's pid in the lock file: taken over, and the stranger lives."""
    with a_gateway(tmp_path, bridge()) as first:
        first.running()
        first.process.kill()
        first.wait()
        assert first.paths.control.is_socket()
    with subprocess.Popen(["sleep", "1000"]) as innocent:
        first.paths.lock.write_text(f"{innocent.pid}\n")
        with a_gateway(tmp_path, bridge()) as second:
            second.running()
            assert int(second.paths.lock.read_text()) == second.process.pid
            assert second.stop() == 0
        assert innocent.poll() is None
        innocent.kill()
    assert [path.name for path in first.paths.runtime.iterdir()] == ["lock"]


def test_a_crash_loop_ends_in_quarantine(tmp_path: Path) -> None:
    """Not more than eight starts, the reason in the status, the neighbours at work; an operator's restart tries again."""
    with a_gateway(tmp_path, bridge(), worker("front", "crashes"), worker("imu")) as gateway:
        found = gateway.await_state("front", "QUARANTINED")
        assert 5 <= found["restarts"] + 1 <= 8
        assert "exited with code 70; 5 failures in a row" in found["why"]
        assert "RuntimeError: broken on purpose" in gateway.log_text()
        assert gateway.running().child("imu")["restarts"] == 0
        ask(gateway.paths.control, "restart", sensors=["front"])
        gateway.await_state("front", "QUARANTINED", restarts=found["restarts"] + 5)
        assert gateway.stop() == 0


def test_a_clean_exit_is_a_failure_too(tmp_path: Path) -> None:
    """A child that should run and leaves with code 0 is started again."""
    with a_gateway(tmp_path, bridge(), worker("front", "leaves")) as gateway:
        found = gateway.await_state("front", "QUARANTINED", restarts=4)
        assert found["why"].startswith("exited with code 0")
        assert gateway.stop() == 0


def test_a_worker_that_is_never_ready_is_started_again(tmp_path: Path) -> None:
    """After its grace, with that as the reason; the gateway itself does not wait for it to call itself running."""
    with a_gateway(tmp_path, bridge(), worker("front", "mute", grace_s=0.5)) as gateway:
        gateway.await_state("front", "STARTING", restarts=1)
        assert gateway.child("front")["why"] == "never became ready within 0.5 s"
        gateway.running()
        assert gateway.stop() == 0


def test_an_operators_restart(tmp_path: Path) -> None:
    """Only the named one changes its pid; an unknown name changes nothing and is answered with code 4."""
    with a_gateway(tmp_path, bridge(), worker("front"), worker("imu")) as gateway:
        before = gateway.running().pids()
        with pytest.raises(Declined, match="there is no sensor 'rear'") as caught:
            ask(gateway.paths.control, "restart", sensors=["front", "rear"])
        assert caught.value.exit_code is Exit.NO_SUCH_SENSOR
        with pytest.raises(Declined, match="list of sensors"):
            ask(gateway.paths.control, "restart")
        assert gateway.pids() == before
        ask(gateway.paths.control, "restart", sensors=["imu"])
        gateway.await_state("imu", "RUNNING", restarts=1)
        after = gateway.pids()
        assert [name for name in before if before[name] != after[name]] == ["imu"]
        assert "child_backoff" not in [line["event"] for line in gateway.log("imu")]
        assert gateway.stop() == 0


def test_the_order_of_start_and_stop(tmp_path: Path) -> None:
    """The bridge runs before any worker starts, and is told to stop after the last worker is gone; exit code 0."""
    with a_gateway(tmp_path, bridge(), worker("front"), worker("imu")) as gateway:
        gateway.running()
        assert stop_and_wait(gateway.paths.control, PATIENCE_s)
        assert gateway.wait() == 0
        lines = [json.loads(line) for line in gateway.log_text().splitlines()]
        order = [(line["event"], line.get("sensor", line.get("child"))) for line in lines]
        assert order.index(("child_running", "bridge")) < min(order.index(("child_starting", name)) for name in ("front", "imu"))
        assert order.index(("child_stopping", "bridge")) > max(order.index(("child_exited", name)) for name in ("front", "imu"))
        assert order[-1] == ("child_exited", "bridge")
        exits = [line["why"] for line in lines if line["event"] == "child_exited"]
        assert exits == ["exited with code 0"] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ctrl_c_for_the_whole_group_keeps_the_order(tmp_path: Path, number: signal.Signals) -> None:
    """What a terminal sends reaches the children as well; they leave it to the supervisor (SIGTERM is sent to it alone)."""
    with a_gateway(tmp_path, bridge(), worker("front")) as gateway:
        gateway.running()
        if number is signal.SIGTERM:
            gateway.process.terminate()
        else:
            os.killpg(gateway.process.pid, number)
        assert gateway.wait() == 0
        assert [line["why"] for name in ("front", "bridge") for line in gateway.log(name) if line["event"] == "child_exited"] == [
            "exited with code 0",
            "exited with code 0",
        ]


def test_a_closed_terminal_does_not_end_what_nohup_started(tmp_path: Path) -> None:
    """SIGHUP and SIGINT ignored from the start stay ignored; SIGTERM still stops."""
    with a_gateway(tmp_path, bridge(), worker("front"), ignoring="HUP INT") as gateway:
        before = gateway.running().pids()
        os.killpg(gateway.process.pid, signal.SIGHUP)
        os.killpg(gateway.process.pid, signal.SIGINT)
        assert gateway.status()["state"] == "running"
        assert gateway.pids() == before
        assert gateway.stop() == 0


def test_exit_codes_are_learnt_even_where_sigchld_was_ignored(tmp_path: Path) -> None:
    """That is inherited through exec, and would have the kernel throw the exit codes of children away."""
    with a_gateway(tmp_path, bridge(), worker("front", "crashes"), ignoring="CHLD") as gateway:
        assert gateway.await_state("front", "QUARANTINED")["why"].startswith("exited with code 70")
        assert gateway.stop() == 0


def test_sigterm_during_start(tmp_path: Path) -> None:
    """The bridge is not ready yet and no worker has been started: over at once, with code 0, well inside the bridge's grace."""
    with a_gateway(tmp_path, bridge("mute", grace_s=1000), worker("front")) as gateway:
        gateway.await_(lambda status: status["state"] == "starting" and status["children"][0]["pid"], "the bridge to be started")
        assert gateway.stop() == 0
        assert [line["event"] for line in gateway.log("front")] == ["child_exited"]


def test_the_second_sigterm_means_now(tmp_path: Path) -> None:
    """Children that ignore the first, with an hour to do so, are killed by the second."""
    with a_gateway(tmp_path, bridge("deaf", stop_s=3600), worker("front", "deaf", stop_s=3600)) as gateway:
        children = Held(gateway.running().pids())
        gateway.process.terminate()
        gateway.await_(lambda status: status["state"] == "stopping", "the gateway to be stopping")
        assert stop_and_wait(gateway.paths.control, PATIENCE_s)
        assert gateway.wait() == 0
        assert children.ended(PATIENCE_s) == {"bridge", "front"}
        children.close()


def test_children_that_ignore_sigterm_are_ended_by_force(tmp_path: Path) -> None:
    """After stop_s, with a stack dump on the way; the gateway still ends with 0."""
    with a_gateway(tmp_path, bridge("deaf", stop_s=0.3), worker("front", "deaf", stop_s=0.3)) as gateway:
        gateway.running()
        assert gateway.stop() == 0
        assert gateway.log("front")[-1]["why"] == "did not stop within 0.3 s (stack dump in the log)"


def _by_end(one: Gateway, other: Gateway) -> tuple[Gateway, ...]:
    """(the one that has ended, the other); nothing while both run."""
    return (one, other) if one.process.poll() is not None else (other, one) if other.process.poll() is not None else ()


def test_of_two_that_race_one_wins(tmp_path: Path) -> None:
    """Every time: the loser exits with 75 and names the winner by its pid; the winner's sockets go on working."""
    for attempt in range(50 if load_s(0) else 10):
        place = tmp_path / str(attempt)
        with ExitStack() as stack:
            racers = stack.enter_context(a_gateway(place, bridge())), stack.enter_context(a_gateway(place, bridge()))
            loser, winner = until(lambda: _by_end(*racers), PATIENCE_s, "one to give up")  # noqa: B023 - called here
            assert loser.process.returncode == Exit.ALREADY_RUNNING, loser.log_text()
            assert f"(pid {winner.process.pid}) is already using the runtime directory" in loser.log_text()
            assert winner.running().status()["pid"] == winner.process.pid
            assert winner.child("bridge")["beat_age_s"] is not None
            assert winner.stop() == 0


def test_a_late_second_gateway_names_the_first(tmp_path: Path) -> None:
    """Its sentence carries the pid of the one that runs."""
    with a_gateway(tmp_path, bridge()) as first:
        first.running()
        with a_gateway(tmp_path, bridge()) as second:
            assert second.wait() == Exit.ALREADY_RUNNING
            assert f"(pid {first.process.pid})" in second.log_text()
        assert first.child("bridge")["restarts"] == 0
        assert first.stop() == 0


def test_what_a_child_inherits(tmp_path: Path) -> None:
    """Its own descriptors and the lifeline, nothing of the supervisor's; no signal blocked; SIGINT and SIGHUP ignored."""
    with a_gateway(tmp_path, bridge(), worker("a-sensor-of-long-name")) as gateway:
        gateway.running()
        facts = until(lambda: gateway.child("a-sensor-of-long-name")["health"], PATIENCE_s, "the facts")
        own_socket, near, far, lifeline, *rest = sorted((int(fd), target) for fd, target in facts["fds"].items() if int(fd) > 2)
        assert [target.partition(":")[0] for _, target in (own_socket, near, far, lifeline)] == ["socket", "pipe", "pipe", "pipe"]
        assert near[1] == far[1] != lifeline[1]
        assert rest == []
        assert facts["blocked"] == 0
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            assert facts["ignored"] >> (number - 1) & 1
        assert not facts["ignored"] >> (signal.SIGTERM - 1) & 1
        assert facts["comm"] == "edgegw:a-sensor-of-long-name"[:15]
        assert facts["left_in_environment"] == []
        assert facts["umask"] == 0o077
        assert facts["frozen"] > 1000
        assert gateway.stop() == 0


def test_a_restarted_child_inherits_no_more_than_the_first(tmp_path: Path) -> None:
    """Neither supervisor nor children collect descriptors over twenty restarts."""
    with a_gateway(tmp_path, bridge(), worker("front")) as gateway:
        gateway.running()
        supervisor = psutil.Process(gateway.process.pid)
        before = supervisor.num_fds()
        for restarts in range(1, 21):
            ask(gateway.paths.control, "restart", sensors=["front"])
            gateway.await_state("front", "RUNNING", restarts=restarts)
        until(lambda: supervisor.num_fds() <= before, PATIENCE_s, f"the supervisor to be back at {before} descriptors")
        facts = until(lambda: gateway.child("front")["health"], PATIENCE_s, "the facts")
        assert len([fd for fd in facts["fds"] if int(fd) > 2]) == 4
        assert gateway.stop() == 0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "systemd"))
        listener.settimeout(PATIENCE_s)
        yield listener


def words(listener: socket.socket, last: str) -> list[str]:
    """What is said, up to and including a line that begins with `last`."""
    said: list[str] = []
    while not any(line.startswith(last) for line in said):
        said += listener.recv(4096).decode().split("\n")
    return said


def test_what_systemd_hears(tmp_path: Path, systemd: socket.socket) -> None:
    """READY after start-up and not before, then STATUS and WATCHDOG, STOPPING on SIGTERM; nothing of it reaches the children."""
    environ = {"NOTIFY_SOCKET": str(tmp_path / "systemd"), "WATCHDOG_USEC": "400000"}
    with a_gateway(tmp_path / "gw", bridge(), worker("front"), environ=environ) as gateway:
        before = words(systemd, "READY=1")
        assert "STATUS=running: 1 of 1 sensors running" not in before
        assert "WATCHDOG=1" in words(systemd, "STATUS=running: 1 of 1 sensors running") + words(systemd, "WATCHDOG")
        assert gateway.status()["state"] == "running"
        gateway.process.terminate()
        words(systemd, "STOPPING=1")
        assert gateway.wait() == 0


def test_no_beat_for_systemd_while_the_bridge_is_silent(tmp_path: Path, systemd: socket.socket) -> None:
    """A bridge that is stopped: after its watchdog time the gateway stays silent too, until there is a bridge again."""
    environ = {"NOTIFY_SOCKET": str(tmp_path / "systemd"), "WATCHDOG_USEC": "100000"}
    with a_gateway(tmp_path / "gw", bridge(watchdog_s=1.0), environ=environ) as gateway:
        gateway.running()
        os.kill(gateway.pids()["bridge"], signal.SIGSTOP)
        words(systemd, "STATUS=running: 0 of 0 sensors running; the bridge is not running")
        assert "WATCHDOG=1" not in words(systemd, "STATUS=running: 0 of 0 sensors running")[:-1]
        words(systemd, "WATCHDOG=1")
        assert gateway.stop() == 0


def test_abuse_of_the_control_socket_harms_nothing(tmp_path: Path) -> None:
    """Silent clients, a megabyte without an end, answers nobody takes: status still answers, no child is restarted."""
    with a_gateway(tmp_path, bridge(watchdog_s=2.0), worker("front", watchdog_s=2.0)) as gateway, ExitStack() as stack:
        before = gateway.running().pids()

        def client() -> socket.socket:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.connect(str(gateway.paths.control))  # blocking: it waits for room in the backlog
            connection.settimeout(PATIENCE_s)
            return connection

        for _ in range(20):
            client()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client().sendall(b"x" * (1 << 22))
        for _ in range(20):
            client().sendall(b'{"verb":"status"}\n' * 100)
        assert gateway.pids() == before
        assert all(child["restarts"] == 0 for child in gateway.status()["children"])
        assert gateway.stop() == 0


def test_noise_on_the_notify_socket_harms_nothing(tmp_path: Path) -> None:
    """A stranger's READY, STOPPING and garbage, thousands of them: no child changes its state."""
    with a_gateway(tmp_path, bridge("mute", grace_s=1000), worker("front")) as gateway:
        gateway.await_(lambda status: status["children"][0]["pid"], "the bridge to be started")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.settimeout(PATIENCE_s)
            stranger.connect(str(gateway.paths.notify))
            for number in range(3000):
                stranger.send((b"READY=1", b"STOPPING=1", b"\xff\x00garbage", b"WATCHDOG=1")[number % 4])
        assert gateway.child("bridge")["state"] == "STARTING"
        assert gateway.child("bridge")["beat_age_s"] is None
        assert gateway.stop() == 0
