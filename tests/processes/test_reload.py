"""Reload with real processes: signals, the control socket, a terminal that closes, and the command beside a gateway that reads."""

from __future__ import annotations

import os
import pty
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgegw.control import Declined, ask
from edgegw.errors import Exit
from tests.processes.rig import Rig, rig
from tests.processes.stand import Gateway, PATIENCE_s, Told, a_gateway, bridge, worker
from tests.services.base import until

WRONG = ("rate_hz: 9999 is out of range", "port: is missing")


def test_a_reload_touches_only_what_changed(tmp_path: Path) -> None:
    """Started, stopped for good, restarted; the same pids for the rest; one "reloaded" in the log, no failure, and a copy kept."""
    with a_gateway(tmp_path, bridge(), worker("front"), worker("imu"), worker("old")) as gateway:
        before = gateway.running().pids()
        gateway.configure(bridge(), worker("front"), worker("imu", stop_s=2.9), worker("new"))
        answer = gateway.reload()
        assert {key: answer[key] for key in ("started", "stopped", "restarted", "unchanged")} == {
            "started": ["new"],
            "stopped": ["old"],
            "restarted": ["imu"],
            "unchanged": ["bridge", "front"],
        }
        gateway.await_(settled("bridge", "front", "imu", "new"), "the new plan to run")
        after = gateway.pids()
        assert [name for name in after if before.get(name) == after[name]] == ["bridge", "front"]
        assert (gateway.status()["reload"]["ok"], gateway.status()["reload"]["why"]) == (True, "")
        assert [line["why"] for line in gateway.log("old") if line["event"] == "child_exited"] == ["exited with code 0"]
        assert "child_backoff" not in gateway.log_text()
        kept(gateway, "bridge front imu new")
        assert gateway.stop() == 0


def settled(*names: str) -> Callable[[Told], bool]:
    """Exactly these, and all running."""
    wanted = [(name, "RUNNING") for name in names]
    return lambda status: [(child["name"], child["state"]) for child in status["children"]] == wanted


def kept(gateway: Gateway, names: str) -> None:
    """Wait until the copy of the plan is that one."""
    copy = gateway.plan.with_name("last-good")
    until(lambda: copy.exists() and copy.read_text() == names, PATIENCE_s, f"the copy to be {names}")


def test_a_bad_plan_changes_nothing(tmp_path: Path) -> None:
    """Every problem in the answer, code 78, `reload.ok` false and then true again, no restart of anybody, the copy as it was."""
    with a_gateway(tmp_path, bridge(), worker("front")) as gateway:
        before = gateway.running().pids()
        assert gateway.status()["reload"] is None
        kept(gateway, "bridge front")
        gateway.misconfigure(*WRONG)
        with pytest.raises(Declined) as caught:
            gateway.reload()
        assert caught.value.exit_code is Exit.CONFIG
        assert [problem in str(caught.value) for problem in WRONG] == [True, True]
        status = gateway.status()
        assert (status["reload"]["ok"], status["reload"]["why"]) == (False, str(caught.value))
        assert gateway.plan.with_name("last-good").read_text() == "bridge front"
        gateway.configure(bridge(), worker("front"), worker("imu"))
        gateway.reload()
        assert gateway.status()["reload"]["ok"]
        gateway.await_(settled("bridge", "front", "imu"), "the added one")
        assert {name: gateway.pids()[name] for name in before} == before
        assert gateway.stop() == 0


def test_sighup_reloads_where_there_is_no_terminal(tmp_path: Path) -> None:
    """A bad file, then a good one: in log and status like a reload that was asked for; the gateway does not stop."""
    with a_gateway(tmp_path, bridge(), worker("front")) as gateway:
        before = gateway.running().pids()
        gateway.misconfigure(*WRONG)
        gateway.process.send_signal(signal.SIGHUP)
        gateway.await_(lambda status: status["reload"] and not status["reload"]["ok"], "the refusal")
        gateway.configure(bridge(), worker("front"), worker("imu"))
        gateway.process.send_signal(signal.SIGHUP)
        gateway.await_(settled("bridge", "front", "imu"), "the added one")
        assert {name: gateway.pids()[name] for name in before} == before
        events = [line["event"] for line in gateway.lines() if line["event"].startswith("reload")]
        assert events == ["reload_refused", "reloaded"]
        assert gateway.stop() == 0


def test_a_closed_terminal_stops(tmp_path: Path) -> None:
    """The terminal that the gateway was started on is gone: it ends in order, with everything that it started."""
    master, slave = pty.openpty()
    with a_gateway(tmp_path, bridge(), worker("front"), terminal=slave) as gateway:
        os.close(slave)
        gateway.running()
        os.close(master)
        assert gateway.wait() == 0
        assert [line["why"] for line in gateway.lines() if line["event"] == "child_exited"] == ["exited with code 0"] * 2


def test_reloads_from_many_sides_at_once(tmp_path: Path) -> None:
    """Six clients and a shower of SIGHUPs while two plans take turns: everybody is answered, and the last plan is what runs."""
    plans = [(bridge(), worker("front"), worker(name)) for name in ("imu", "rear")]
    with a_gateway(tmp_path, *plans[0]) as gateway:
        front = gateway.running().pids()["front"]
        answers: list[Told] = []

        def ask_often() -> None:
            answers.extend(ask(gateway.paths.control, "reload", timeout_s=PATIENCE_s) for _ in range(5))

        clients = [threading.Thread(target=ask_often) for _ in range(6)]
        for client in clients:
            client.start()
        for number in range(20):
            gateway.configure(*plans[number % 2])
            gateway.process.send_signal(signal.SIGHUP)
        for client in clients:
            client.join(PATIENCE_s)
        gateway.configure(*plans[1])
        gateway.reload()
        gateway.await_(settled("bridge", "front", "rear"), "the last plan to run")
        assert len(answers) == 30
        assert all("front" in answer["unchanged"] for answer in answers)
        assert gateway.pids()["front"] == front
        assert gateway.stop() == 0


def test_reload_while_stopping_and_while_starting(tmp_path: Path) -> None:
    """Before the bridge is ready the workers take the new plan; once the gateway is stopping it says so, and stops all the same."""
    with a_gateway(tmp_path, bridge("mute", grace_s=1000), worker("front")) as gateway:
        gateway.await_(lambda status: status["children"][0]["pid"], "the bridge to be started")
        gateway.configure(bridge("deaf", stop_s=3600), worker("imu"))
        gateway.reload()
        gateway.await_(settled("bridge", "imu"), "the other bridge and the other worker")
        gateway.process.terminate()
        gateway.await_(lambda status: status["state"] == "stopping", "the gateway to be stopping")
        with pytest.raises(Declined, match="is stopping"):
            gateway.reload()
        gateway.process.terminate()
        assert gateway.wait() == 0


@pytest.fixture
def reading() -> Iterator[Rig]:
    """A gateway with two sensors, and a copy of what it runs."""
    with rig(2, 100, "") as made:
        made.start()
        until(lambda: made.paths.last_good.exists(), PATIENCE_s, "the copy")
        yield made


def pids(gateway: Rig) -> dict[str, int]:
    """Of every process by name."""
    return {name: process.pid for name, process in gateway.children().items()}


def test_the_command(reading: Rig) -> None:
    """A changed rate restarts that sensor alone; a file with two faults is exit 78 with both; another state directory is refused."""
    before, text = pids(reading), reading.config.read_text()
    good = text.replace("rate_hz = 100", "rate_hz = 50", 1)
    reading.config.write_text(good)
    done = reading.run("reload")
    assert done.stdout == f"{reading.config} applied: restarting s0; 2 processes go on unchanged\n", done.stderr
    until(lambda: pids(reading).get("s0", before["s0"]) != before["s0"], PATIENCE_s, "the new s0")
    assert {name: pid for name, pid in pids(reading).items() if name != "s0"} == {name: pid for name, pid in before.items() if name != "s0"}
    until(lambda: "rate_hz = 50" in reading.paths.last_good.read_text(), PATIENCE_s, "the copy to follow")

    after = pids(reading)
    reading.config.write_text(good.replace("rate_hz = 50", "rate_hz = 9999").replace('driver = "tfluna"', 'drivr = "tfluna"', 1))
    done = reading.run("reload")
    assert done.returncode == Exit.CONFIG
    assert done.stderr.startswith("edgegw: the configuration cannot be used; nothing was changed, what runs goes on:\n")
    assert ["sensors.s0.driver: is missing" in done.stderr, "sensors.s0.drivr: is not a key" in done.stderr] == [True, True]
    assert not reading.status()["reload"]["ok"]
    reading.config.write_text(good.replace(f"{reading.paths.state}", f"{reading.home}/elsewhere"))
    done = reading.run("reload")
    assert (done.returncode, "which needs a restart (`edgegw restart` does it)" in done.stderr) == (Exit.CONFIG, True), done.stderr
    assert pids(reading) == after
    assert "rate_hz = 50" in reading.paths.last_good.read_text()


def test_the_last_good_copy_starts(reading: Rig) -> None:
    """Private, found and named by a start whose file is broken, and a gateway that is started with it is the same one."""
    assert reading.paths.last_good.stat().st_mode & 0o777 == 0o600
    reading.stop()
    reading.config.write_text(reading.config.read_text().replace("rate_hz", "rat_hz"))
    done = reading.run("start")
    assert done.returncode == Exit.CONFIG
    assert f"the last configuration that worked is {reading.paths.last_good} (of " in done.stderr
    reading.config = reading.paths.last_good
    reading.start()
    status = reading.status()
    assert (status["gateway"], [child["name"] for child in status["children"]]) == ("rig", ["bridge", "s0", "s1"])
    reading.stop()
