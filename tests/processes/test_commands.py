"""The commands beside a gateway that runs, that is degraded, and that gets well again."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import Exit
from tests.processes.rig import Rig, rig, stored
from tests.services.base import free_port, service_dir, until
from tests.services.mariadb import Database
from tests.services.rabbitmq import Rabbit, Vhost
from tests.typed import ESCAPE, REPOSITORY, command, environment
from workers.virtual.bench import Bench
from workers.virtual.tfluna import Luna

ABSENT = '[sensors.gone]\ndriver = "tfluna"\nport = "/dev/serial/by-id/nothing"\n'
READING = {"gateway", "sensor", "kind", "run", "seq", "time", "time_ns", "boot_ns", "clock", "quality", "values"}
SUBSCRIBER = """
import json, sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt_string(zmq.SUBSCRIBE, "lidar/s0")
socket.connect("ipc://" + sys.argv[1])
print("ready", flush=True)
while True:
    topic, reading = socket.recv_multipart()
    print(topic.decode(), json.loads(reading)["sensor"], flush=True)
"""


@pytest.fixture(scope="module")
def well() -> Iterator[Rig]:
    """A healthy gateway with three sensors and the embedded store, for tests that only look."""
    with rig(3, 100, "") as made:
        made.start()
        until(lambda: made.run("status").returncode == 0 and rates(made), 60, "the gateway to be well")
        yield made


@pytest.fixture
def degraded() -> Iterator[Rig]:
    """Two sensors that work and one whose port is absent."""
    with rig(2, 100, ABSENT) as made:
        made.start()
        until(lambda: len(rates(made)) == 2 and whys(made).get("gone"), 60, "the absent port to be told")
        yield made


def health(gateway: Rig) -> dict[str, dict[str, Any]]:
    """What each process says of itself."""
    return {child["name"]: child["health"] or {} for child in gateway.status()["children"]}


def rates(gateway: Rig) -> dict[str, float]:
    """The rates of the sensors that give readings."""
    return {name: said["rate_hz"] for name, said in health(gateway).items() if said.get("rate_hz")}


def whys(gateway: Rig) -> dict[str, str]:
    """Why, for each process that is not well, and for each sink."""
    found = {name: said["why"] for name, said in health(gateway).items() if said.get("why")}
    return found | {name: sink["why"] for name, sink in gateway.sinks().items() if sink["why"]}


def events(gateway: Rig, sensor: str, *kinds: str) -> list[str]:
    """Events of these kinds in the log of one process, in order."""
    lines = [json.loads(line) for line in gateway.run("logs", "--json", "--sensor", sensor).stdout.splitlines()]
    return [line["event"] for line in lines if line["event"] in kinds]


def test_start_says_what_runs() -> None:
    """`start` returns with the pid, how many sensors, and what to type next; `stop` says that it has stopped."""
    with rig(1, 50, "") as made:
        done = made.run("start")
        assert re.fullmatch(r"edgegw runs \(pid \d+\) with 1 sensor; `edgegw status` shows how they do\n", done.stdout), done
        assert (made.run("stop").stdout, made.run("status").returncode) == ("edgegw has stopped\n", 3)


def test_status_of_a_healthy_gateway(well: Rig) -> None:
    """Exit 0, one line for each process and sink, no escape sequence in the pipe."""
    done = well.run("status")
    assert done.returncode == 0, done.stdout
    assert "all is well" in done.stdout.splitlines()[0]
    assert [name for name in ("bridge", *well.names, "sqlite", "spool:") if f"\n{name}" not in done.stdout] == []
    assert ESCAPE not in done.stdout


def test_status_json(well: Rig) -> None:
    """--json has the gateway, its processes with their health, and the sinks inside the bridge's."""
    answer = well.status()
    assert {"gateway", "version", "config", "pid", "uptime_s", "state", "children"} <= set(answer)
    assert (answer["gateway"], answer["state"]) == ("rig", "running")
    for child in answer["children"]:
        assert {"name", "role", "state", "pid", "uptime_s", "restarts", "why", "health", "beat_age_s"} <= set(child)
    sensor = health(well)["s0"]
    assert {"run", "produced", "rate_hz", "newest_ns", "newest"} <= set(sensor)
    assert set(sensor["newest"]) == {"distance_m", "strength", "temperature_degC"}
    assert set(well.sinks()["sqlite"]) == {"name", "up", "delivered", "dead", "lag", "lag_s", "why"}


def test_status_watch_goes_on_in_a_pipe(well: Rig) -> None:
    """--watch prints again and again, and Ctrl-C ends it with 0."""
    words = command("status", "--watch", "--json", "-c", str(well.config))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment()) as process:
        assert process.stdout is not None
        uptimes = [json.loads(process.stdout.readline())["uptime_s"] for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert uptimes == sorted(set(uptimes))


def test_tap_json_is_the_contracts_reading(well: Rig) -> None:
    """Every line of `tap --json` has exactly the fields of a reading, and the pattern picks the sensor."""
    done = well.run("tap", "lidar/s1", "--json", "-n", "20")
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(reading) for reading in readings] == [READING] * 20
    assert {(reading["gateway"], reading["sensor"], reading["kind"]) for reading in readings} == {("rig", "s1", "lidar")}
    seqs = [reading["seq"] for reading in readings]
    assert seqs == list(range(seqs[0], seqs[0] + 20))


def test_tap_limit_and_seconds(well: Rig) -> None:
    """--limit 2 --seconds 2 gives few lines, from every sensor, and ends by itself."""
    done = well.run("tap", "--seconds", "2", "--limit", "2")
    names = [line.split()[1] for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert set(names) == set(well.names)
    assert max(names.count(name) for name in well.names) <= 5


def test_tap_of_an_unknown_sensor(well: Rig) -> None:
    """A name that no sensor has is exit 4 with those that there are, not silence."""
    done = well.run("tap", "nix", "--seconds", "5")
    assert done.returncode == Exit.NO_SUCH_SENSOR
    assert done.stderr == "edgegw: there is no sensor 'nix' (there are s0, s1, s2)\n"


def test_restart_of_an_unknown_sensor(well: Rig) -> None:
    """Exit 4, and nothing restarts."""
    before = {name: process.pid for name, process in well.children().items()}
    done = well.run("restart", "nix")
    assert done.returncode == Exit.NO_SUCH_SENSOR
    assert "there is no sensor 'nix'" in done.stderr
    assert {name: process.pid for name, process in well.children().items()} == before


def test_bridge_by_hand_beside_a_gateway(well: Rig) -> None:
    """A second bridge would steal the bus: exit 75, and the first goes on."""
    done = well.run("bridge")
    assert done.returncode == Exit.ALREADY_RUNNING
    assert well.run("tap", "-n", "3").returncode == 0


def test_a_failed_start_leaves_the_words_of_the_running_gateway(well: Rig) -> None:
    """A second `start` does not cut the file that the first gateway's last words go to."""
    errors = well.paths.logs / "stderr.txt"
    errors.write_text("what a crash left\n")
    assert well.run("start").returncode == Exit.ALREADY_RUNNING
    assert errors.read_text().startswith("what a crash left\n")


def test_directories_are_private(well: Rig) -> None:
    """Runtime, state and log directory are the user's alone."""
    places = (well.paths.runtime, well.paths.state, well.paths.logs)
    assert [oct(place.stat().st_mode & 0o777) for place in places] == ["0o700"] * 3


def subscriber(gateway: Rig) -> subprocess.Popen[str]:
    """Anybody's ZeroMQ client."""
    words = [sys.executable, "-c", SUBSCRIBER, str(gateway.paths.tap)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_any_zeromq_client_reads_the_tap(well: Rig) -> None:
    """A dozen lines of pyzmq get readings of the topic they asked for."""
    with subscriber(well) as client:
        assert client.stdout is not None
        lines = [client.stdout.readline() for _ in range(6)]
        client.kill()
    assert lines == ["ready\n", *["lidar/s0 s0\n"] * 5]


def test_a_stopped_subscriber_slows_nobody(well: Rig) -> None:
    """A subscriber that is stopped by SIGSTOP changes no sensor's rate and delays no sink."""
    before = rates(well)
    with subscriber(well) as client:
        assert client.stdout is not None
        client.stdout.readline()
        client.stdout.readline()
        client.send_signal(signal.SIGSTOP)
        produced = health(well)["s0"]["produced"]
        until(lambda: health(well)["s0"]["produced"] > produced + 400, 60, "four hundred readings past the stopped subscriber")
        after, sink = rates(well), well.sinks()["sqlite"]
        client.send_signal(signal.SIGCONT)
        client.kill()
    assert set(after) == set(before)
    assert [name for name in before if not 0.8 < after[name] / before[name] < 1.25] == []
    assert sink["up"]
    assert sink["lag_s"] < 5


def test_an_absent_port_degrades_only_its_sensor(degraded: Rig) -> None:
    """Exit 150; the reason names the port in plain words; the other sensors go on."""
    done = degraded.run("status")
    assert done.returncode == 150
    assert "degraded: gone" in done.stdout.splitlines()[0]
    assert whys(degraded)["gone"].startswith("there is no serial port /dev/serial/by-id/nothing: is the sensor plugged in")
    produced = {name: said["produced"] for name, said in health(degraded).items() if name in degraded.names}
    until(lambda: all(health(degraded)[name]["produced"] > count + 50 for name, count in produced.items()), 60, "the others to go on")


def test_a_busy_port_is_told_and_taken_when_free() -> None:
    """Somebody else has the port: degraded, and it says so; when he lets go, the sensor is well."""
    with rig(2, 100, "") as made:
        with serial.Serial(str(made.home / "dev" / "1"), exclusive=True):
            made.start()
            why = until(lambda: whys(made).get("s1"), 60, "the reason")
            assert why == f"another program has {made.home}/dev/1 open (a serial console, or a second gateway?): end it"
            assert made.run("status").returncode == 150
        until(lambda: made.run("status").returncode == 0 and rates(made).get("s1"), 60, "the sensor to take its port")


def test_unplugged_and_plugged_again() -> None:
    """Unplug: degraded; plug: well, and readings flow. The log has one line for each change, none for a retry."""
    place = service_dir("plug")
    luna = Luna(place / "port")
    section = f'[sensors.plug]\ndriver = "tfluna"\nport = "{luna.port.path}"\nrate_hz = 100\n'
    with rig(1, 100, section) as made, Bench([luna], 100):
        made.start()
        until(lambda: rates(made).get("plug"), 60, "readings")
        luna.port.unplug()
        until(lambda: "there is no serial port" in whys(made).get("plug", ""), 60, "the port's absence to be told")
        assert made.run("status").returncode == 150
        assert rates(made).get("s0")
        luna.port.plug()
        produced = health(made)["plug"]["produced"]
        until(lambda: made.run("status").returncode == 0 and health(made)["plug"]["produced"] > produced + 50, 60, "readings again")
        until(lambda: health(made)["plug"].get("healed", {}).get("reopen"), 60, "the receipt")
        told = events(made, "plug", "device_lost", "device_reads", "device_healed")
        shown = made.run("status").stdout
    assert told == ["device_reads", "device_lost", "device_healed"]
    assert "reopen 1× (" in shown
    place.rmdir()


def test_data_within_two_seconds_of_the_plug() -> None:
    """Unplugged and plugged again, thrice, under whatever number: the stored readings themselves tell how long it took."""
    place = service_dir("plug")
    luna = Luna(place / "port")
    section = f'[sensors.plug]\ndriver = "tfluna"\nport = "{luna.port.path}"\nrate_hz = 100\n'
    plugged_ns: list[int] = []
    with rig(1, 100, section) as made, Bench([luna], 100):
        made.start()
        for _ in range(3):
            until(lambda: rates(made).get("plug"), 60, "readings")
            luna.port.unplug()
            until(lambda: "there is no serial port" in whys(made).get("plug", ""), 60, "the port's absence to be told")
            plugged_ns.append(SystemClock.boot_ns())
            luna.port.plug()
            until(lambda: not whys(made).get("plug"), 60, "readings again")
        made.stop()
        with contextlib.closing(sqlite3.connect(made.paths.store)) as store:
            query = "SELECT boot_ns FROM lidar JOIN sensor USING (sensor_id) WHERE name = 'plug' AND quality = 'good' ORDER BY boot_ns"
            read_ns = [boot_ns for (boot_ns,) in store.execute(query)]
    took_s = [(next(boot_ns for boot_ns in read_ns if boot_ns > plugged) - plugged) / NS_PER_S for plugged in plugged_ns]
    assert min(took_s) <= 2, f"{took_s} s from the plug to the first reading"
    place.rmdir()


def waits(gateway: Rig, sink: str) -> str:
    """The gateway runs, the sink is down, its backlog grows; returns the reason that status gives."""
    gateway.start()
    first = int(until(lambda: gateway.sinks().get(sink, {}).get("lag", 0), 60, "a backlog"))
    until(lambda: gateway.sinks()[sink]["lag"] > first + 100, 60, "the backlog to grow")
    assert gateway.run("status").returncode == 150
    assert not gateway.sinks()[sink]["up"]
    return str(gateway.sinks()[sink]["why"])


def test_broker_down_at_start_then_back(rabbitmq: Rabbit, vhost: Vhost) -> None:
    """Nobody listens: the gateway starts and keeps everything; when the broker comes, all of it is delivered."""
    url = f"amqp://{vhost.user}:{vhost.password}@{vhost.host}:{vhost.port}/{vhost.name}"
    rabbitmq.stop()
    with rig(2, 100, f'[sinks.rabbitmq]\nurl = "{url}"\n') as made:
        why = waits(made, "rabbitmq")
        assert why.startswith(f"RabbitMQ at {vhost.host}:{vhost.port} cannot be reached: Connection refused; see that")
        rabbitmq.start()
        until(lambda: made.run("status").returncode == 0 and made.sinks()["rabbitmq"]["lag_s"] < 2, 90, "the backlog to drain")
        made.stop()
        books = made.books()
        assert [outcome for book in books for outcome in book.sinks.values() if outcome.waiting] == []
        assert sum(book.kept for book in books) > 200


def test_wrong_password_of_the_broker(vhost: Vhost) -> None:
    """Refused: status says so in one sentence that names the user and never the password."""
    with rig(1, 100, f'[sinks.rabbitmq]\nurl = "amqp://{vhost.user}:hunter2hunter2@{vhost.host}:{vhost.port}/{vhost.name}"\n') as made:
        why = waits(made, "rabbitmq")
        log = made.logs()
    assert vhost.user in why
    assert "password" in why
    assert "\n" not in why
    assert "hunter2" not in why + log


def test_database_down_at_start_then_there(database: Database) -> None:
    """The database away at the start: readings wait in the spool, and afterwards the table has them all."""
    server = database.gateway
    url = f"mysql://{server.user}:{server.password()}@{server.host}:{server.port}/{server.database}"
    database.mariadb.stop()
    with rig(2, 100, f'[sinks.mysql]\nurl = "{url}"\ntls = "off"\n') as made:
        assert f"MySQL at {server.host}:{server.port}" in waits(made, "mysql")
        database.mariadb.start()
        until(lambda: made.run("status").returncode == 0 and made.sinks()["mysql"]["lag_s"] < 2, 90, "the backlog to drain")
        made.stop()
        assert len(stored(database)) == sum(book.counts.produced for book in made.books()) > 200


def test_both_sinks_absent_do_not_hold_up_the_sensors() -> None:
    """Closed ports for broker and database: the sensors keep their rate, status names both sinks."""
    port = free_port()
    urls = f'[sinks.rabbitmq]\nurl = "amqp://gw:long-secret@127.0.0.1:{port}/v"\n[sinks.mysql]\nurl = "mysql://gw:long-secret@127.0.0.1:{port}/v"\n'
    with rig(2, 100, urls) as made:
        waits(made, "mysql")
        first = made.run("status").stdout.splitlines()[0]
        until(lambda: min([rates(made).get(name, 0) for name in made.names]) > 70, 60, "the sensors' rate")
    assert first.endswith("degraded: rabbitmq, mysql")


def test_logs(well: Rig) -> None:
    """Text is one line an event in order of time; --sensor picks one process; --json parses; no escapes in a pipe."""
    text, one = well.run("logs").stdout, well.run("logs", "--sensor", "s1").stdout
    times = [line.split()[0] for line in text.splitlines()]
    assert times == sorted(times)
    assert ESCAPE not in text
    assert all("[s1]" in line or "sensor=s1" in line for line in one.splitlines()), one
    assert all({"time", "level", "event"} <= set(json.loads(line)) for line in well.run("logs", "--json").stdout.splitlines())


def test_logs_follow(well: Rig) -> None:
    """-f prints what there is, waits for more, and Ctrl-C ends it with 0."""
    words = command("logs", "-f", "-c", str(well.config))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        well.run("restart", "s2")
        with contextlib.closing(process.stdout) as lines:
            assert any("restarted by the operator" in line for line in lines)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


def test_worker_by_hand() -> None:
    """`edgegw worker s0` reads without a gateway until Ctrl-C: exit 0, and its log says how much it read."""
    with rig(1, 100, "") as made:
        words = command("worker", "s0", "-c", str(made.config))
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment()) as process:
            assert process.stderr is not None
            assert any("device_reads" in line for line in iter(process.stderr.readline, ""))
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=30)
        assert process.returncode == 0, rest
        done = json.loads(rest.splitlines()[-1])
        assert done["event"] == "worker_done"
        assert done["produced"] > 0
        assert Path(made.paths.lock).exists() is False
