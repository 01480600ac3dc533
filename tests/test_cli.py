"""The commands without a gateway: help, faults, exit codes, pipes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.errors import Exit
from tests.services.base import service_dir
from tests.typed import ESCAPE, REPOSITORY, command, edgegw, environment

COMMANDS = {
    "demo": ["--seconds", "--rabbitmq", "--mysql", "--config"],
    "start": ["--config", "--foreground"],
    "stop": ["--config", "--timeout"],
    "restart": ["--config", "SENSORS"],
    "status": ["--config", "--json", "--watch"],
    "tap": ["--config", "--json", "-n", "--seconds", "--limit", "PATTERNS"],
    "logs": ["--config", "--json", "--follow", "--sensor"],
    "check": ["--config", "--json", "--probe"],
    "try": ["DRIVER", "--json", "-n", "--seconds"],
    "discover": ["--json", "--toml", "--seconds"],
    "calibrate": ["SENSOR", "PART", "--config"],
    "worker": ["NAME", "--config"],
    "bridge": ["--config"],
    "db init": ["--config", "--user", "--password-file", "--json"],
}
TEN_FAULTS = """\
[gateway]
runtime_dir = "{home}/run"
state_dir = "{home}/state"
log_level = "loud"
[spol]
limit = 1
[sensors.front]
driver = "tfluna"
prot = "/dev/ttyUSB0"
[sensors.left]
driver = "tfluma"
[sensors.rear]
driver = "tfluna"
port = "virtual"
rate_hz = "fast"
[sensors.none]
port = "virtual"
[sinks.rabbitmq]
url = "http://broker"
[sinks.mysql]
url = "mysql://gw@db/edge"
batch_rows = 0
"""
FAULTS = [
    "4: gateway.log_level",
    "5: spol",
    "7: sensors.front.port",
    "9: sensors.front.prot",
    "11: sensors.left.driver",
    "15: sensors.rear.rate_hz",
    "16: sensors.none.driver",
    "19: sinks.rabbitmq.url",
    "20: sinks.mysql",
    "22: sinks.mysql.batch_rows",
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A short directory."""
    made = service_dir("cli")
    yield made
    shutil.rmtree(made)


def a_config(home: Path, text: str) -> str:
    """A configuration whose gateway lives in `home`; returns its name."""
    file = home / "edgegw.toml"
    file.touch(mode=0o600)
    file.write_text(text.replace("{home}", str(home)))
    return str(file)


def well(home: Path, port: str = "virtual") -> str:
    """A configuration with one sensor and the embedded store."""
    places = '[gateway]\nruntime_dir = "{home}/run"\nstate_dir = "{home}/state"\n'
    return a_config(home, f'{places}[sensors.front]\ndriver = "tfluna"\nport = "{port}"\n')


def left(home: Path) -> list[str]:
    """Files that a command made."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.name != "edgegw.toml")


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    """--help fits into 80 columns, has a sentence of what the command does, and names its options."""
    done = edgegw(*name.split(), "--help", env=environment(COLUMNS="80"))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [word for word in COMMANDS[name] if word not in done.stdout] == []


def test_help_lists_every_command() -> None:
    """`edgegw --help` knows them all."""
    done = edgegw("--help")
    assert [name for name in COMMANDS if f"  {name.split()[0]} " not in done.stdout] == []


def test_misspelt_command_is_a_usage_error() -> None:
    """Exit 2, and on stderr."""
    done = edgegw("stattus")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "stattus" in done.stderr


@pytest.mark.parametrize("verb", ["check", "start"])
def test_ten_faults_at_once(home: Path, verb: str) -> None:
    """Ten faults are ten lines, each with file, line and key; exit 78, and nothing was started or made."""
    file = a_config(home, TEN_FAULTS)
    done = edgegw(verb, "-c", file)
    *problems, summary = done.stderr.splitlines()
    assert done.returncode == Exit.CONFIG
    assert len(problems) == 10, done.stderr
    assert [": ".join(line.removeprefix(f"{file}:").split(": ")[:2]) for line in problems] == FAULTS, done.stderr
    assert "10 problems" in summary
    assert left(home) == []


def test_check_json_carries_the_problems(home: Path) -> None:
    """--json has the same ten as objects, and the same exit code."""
    done = edgegw("check", "--json", "-c", a_config(home, TEN_FAULTS))
    problems = json.loads(done.stdout)["problems"]
    assert done.returncode == Exit.CONFIG
    assert len(problems) == 10
    assert all(problem["line"] > 0 and problem["what"] for problem in problems)


def test_missing_file_is_named(home: Path) -> None:
    """A file that is not there: exit 78 (status: 4, unknown), and its name."""
    for verb in ("check", "start", "stop", "status", "demo"):
        done = edgegw(verb, "-c", str(home / "nix.toml"))
        assert done.returncode == (4 if verb == "status" else Exit.CONFIG), f"{verb}: {done.stderr}"
        assert f"{home}/nix.toml: the configuration file does not exist" in done.stdout + done.stderr


def test_check_of_a_good_file(home: Path) -> None:
    """Exit 0, and one line that says what there is."""
    done = edgegw("check", "-c", well(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no problems; sensors: front; sinks: sqlite" in done.stdout
    assert left(home) == []


def test_probe_of_what_is_well(home: Path) -> None:
    """--probe reads a sample, opens the store, and says ok for each."""
    done = edgegw("check", "--probe", "-c", well(home))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[1:] == ["sensor front: ok", "sink sqlite: ok"]


def test_probe_of_an_absent_port(home: Path) -> None:
    """Exit 69, and the reason names the port."""
    done = edgegw("check", "--probe", "-c", well(home, "/dev/serial/by-id/nothing"))
    assert done.returncode == Exit.UNAVAILABLE
    assert "sensor front: there is no serial port /dev/serial/by-id/nothing" in done.stdout


def test_probe_json(home: Path) -> None:
    """--json lists the findings with an empty why where it is well."""
    done = edgegw("check", "--probe", "--json", "-c", well(home, "/dev/null"))
    findings = {finding["what"]: finding["why"] for finding in json.loads(done.stdout)["findings"]}
    assert findings == {"sensor front": "/dev/null is not a serial port", "sink sqlite": ""}
    assert done.returncode == Exit.UNAVAILABLE


def test_probe_does_not_take_bad_readings_for_well(home: Path) -> None:
    """A sensor that answers and is blinded is no sensor that works."""
    done = edgegw("check", "--probe", "-c", well(home, "virtual?saturated=1"))
    assert done.returncode == Exit.UNAVAILABLE
    assert "sensor front: it answers, but what it measures is bad" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_probe_of_a_port_that_may_not_be_opened(home: Path) -> None:
    """Without the right to open it, the reason says so and names the group."""
    home.chmod(0o755)
    port = home / "port"
    port.touch(mode=0o600)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command("try", "tfluna", f"port={port}")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=REPOSITORY,
        env=environment(),
        check=False,
    )
    assert done.returncode == Exit.IO, done.stderr
    assert f"no permission to open {port}" in done.stderr
    assert "dialout" in done.stderr


def test_nothing_runs(home: Path) -> None:
    """Without a gateway: status 3 (LSB), stop 0, and the others say which command starts one."""
    file = well(home)
    status, stop, tap, logs = (edgegw(verb, "-c", file) for verb in ("status", "stop", "tap", "logs"))
    assert (status.returncode, status.stdout) == (3, "edgegw is not running; start it with `edgegw start`\n")
    assert (stop.returncode, stop.stdout) == (0, "edgegw was not running\n")
    assert (tap.returncode, "edgegw start" in tap.stderr) == (1, True)
    assert (logs.returncode, "no log files" in logs.stderr) == (1, True)
    assert json.loads(edgegw("status", "--json", "-c", file).stdout) == {"state": "not running"}
    assert left(home) == []


def test_status_watch_ends_with_what_it_finds(home: Path) -> None:
    """--watch of nothing is the same answer and code, not a traceback or a wait."""
    done = edgegw("status", "--watch", "-c", well(home))
    assert (done.returncode, done.stdout) == (3, "edgegw is not running; start it with `edgegw start`\n")


def test_worker_of_no_sensor(home: Path) -> None:
    """Exit 4, and the names that there are."""
    done = edgegw("worker", "nix", "-c", well(home))
    assert done.returncode == Exit.NO_SUCH_SENSOR
    assert done.stderr == "edgegw: there is no sensor 'nix' (there are front)\n"


def test_state_directory_that_cannot_be_made(home: Path) -> None:
    """A file in the way is one sentence with its name, not a traceback."""
    (home / "state").write_text("")
    done = edgegw("start", "-c", well(home))
    assert done.returncode == Exit.IO
    assert done.stderr.startswith(f"edgegw: {home}/state")
    assert len(done.stderr.splitlines()) == 1


def test_try_a_virtual_device() -> None:
    """Three samples on stdout, the count on stderr."""
    done = edgegw("try", "tfluna", "port=virtual", "-n", "3")
    assert done.returncode == 0, done.stderr
    assert [line.split("=")[0] for line in done.stdout.splitlines()] == ["distance_m"] * 3
    assert done.stderr.startswith("3 samples in ")


def test_try_json() -> None:
    """--json is an object a line."""
    done = edgegw("try", "tfluna", "port=virtual", "-n", "2", "--json")
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(sample["values"]) for sample in samples] == [{"distance_m", "strength", "temperature_degC"}] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tfluna", "prot=virtual"), "did you mean port?"),
        (("tflna",), "did you mean tfluna?"),
        (("tfluna",), "edgegw try tfluna port=virtual"),
        (("tfluna", "/dev/ttyUSB0"), "is not KEY=VALUE"),
        (("tfluna", "port=virtual", "rate_hz=fast"), "rate_hz"),
        (("tfluna", "port=virtual?nois=1"), "did you mean noise?"),
    ],
)
def test_try_with_a_mistake(words: tuple[str, ...], said: str) -> None:
    """Exit 78 and one sentence that says what to write instead."""
    done = edgegw("try", *words)
    assert (done.returncode, done.stdout) == (Exit.CONFIG, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error() -> None:
    """`edgegw try … | head -1` ends quietly, and the device with it."""
    words, pipe = command("try", "tfluna", "port=virtual"), subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, cwd=REPOSITORY, env=environment()) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline().startswith(b"distance_m=")
        writer.stdout.close()
        assert writer.wait(30) == 0
        assert writer.stderr.read() == b""


def test_no_escapes_in_a_pipe(home: Path) -> None:
    """What goes into a pipe is plain text, even where the environment names a colourful terminal."""
    env = environment(TERM="xterm-256color", COLORTERM="truecolor")
    texts = [edgegw(*words, env=env) for words in (("--help",), ("check", "-c", well(home)), ("status", "-c", well(home)), ("stattus",))]
    assert [done.args for done in texts if ESCAPE in done.stdout + done.stderr] == []
