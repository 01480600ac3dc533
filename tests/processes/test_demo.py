"""`edgegw demo`, as somebody sees it who has just installed edgegw."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edgegw.errors import Exit
from tests.services.base import living, service_dir, until
from tests.typed import ESCAPE, REPOSITORY, command, edgegw, environment

VERDICT = re.compile(r"^sqlite: produced (\d+), stored (\d+), lost (\d+)$")


@pytest.fixture
def place() -> Iterator[Path]:
    """A TMPDIR of this test alone, so that what a demo leaves in it is its own; short, for the sockets."""
    made = service_dir("demo")
    yield made
    for path in sorted(made.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    made.rmdir()


@contextlib.contextmanager
def demo(place: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo in the background with a pipe for its output; killed at the end if it is still there."""
    with subprocess.Popen(
        command("demo", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env=environment(TMPDIR=str(place), PYTHONUNBUFFERED="1"),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The demo's descendants: supervisor, bridge, workers, virtual devices."""
    return psutil.Process(process.pid).children(recursive=True)


def until_it_reads(process: subprocess.Popen[str]) -> str:
    """What it printed until the first line with a rate."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if " Hz" in line:
            return text
    raise AssertionError(f"it ended before it read anything:\n{text}")


def account(text: str) -> tuple[int, int, int]:
    """(produced, stored, lost) of the last line."""
    found = VERDICT.match(text.splitlines()[-1])
    assert found, text
    return int(found[1]), int(found[2]), int(found[3])


def check(text: str) -> None:
    """Something was produced, and all of it is stored."""
    produced, stored, lost = account(text)
    assert (stored, lost) == (produced, 0)
    assert produced > 0


def test_five_seconds(place: Path) -> None:
    """`demo --seconds 5` ends with 0 and a complete account, prints plain text, and leaves neither file nor process."""
    done = edgegw("demo", "--seconds", "5", env=environment(TMPDIR=str(place)))
    assert done.returncode == 0, done.stdout + done.stderr
    check(done.stdout)
    assert " Hz" in done.stdout
    assert ESCAPE not in done.stdout + done.stderr
    assert list(place.iterdir()) == []


def test_every_kind_of_sensor_is_in_it(place: Path) -> None:
    """LiDARs, IMU, ultrasonic sensor and camera: each of them well, and each with readings in the store."""
    done = edgegw("demo", "--seconds", "12", env=environment(TMPDIR=str(place)))
    assert done.returncode == 0, done.stdout + done.stderr
    stored = {name: int(count) for name, count in re.findall(r"^(\w+) +[0-9a-f-]{13} +\d+ +(\d+) ", done.stdout, re.MULTILINE)}
    assert set(stored) == {"front", "left", "imu", "door", "eye"}
    assert min(stored.values()) > 5, stored
    last = done.stdout.rpartition("12 s  bridge")[2]
    assert [line for line in last.splitlines()[1:6] if "RUNNING" not in line or " Hz " not in line] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_account(place: Path, number: signal.Signals) -> None:
    """SIGINT and SIGTERM stop the gateway in order: the account is complete, the exit code 0, nothing is left."""
    with demo(place, "--seconds", "300") as process:
        until_it_reads(process)
        relatives = family(process)
        process.send_signal(number)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    check(text)
    assert len(relatives) >= 8  # a supervisor, a bridge, three workers, three devices
    assert living(*relatives) == []
    assert list(place.iterdir()) == []


def test_killed_it_leaves_no_process(place: Path) -> None:
    """SIGKILL of the demo: the kernel tells its supervisor, and everything ends."""
    with demo(place, "--seconds", "300") as process:
        until_it_reads(process)
        relatives = family(process)
        process.kill()
    until(lambda: not living(*relatives), 30, "the gateway to end with its demo")


def test_started_with_a_group_umask(place: Path) -> None:
    """umask 002, as users of many distributions have it: the gateway's directories are still nobody else's."""
    script = ["sh", "-c", 'umask 002; exec "$@"', "sh", *command("demo", "--seconds", "2")]
    env = environment(TMPDIR=str(place))
    done = subprocess.run(script, capture_output=True, text=True, timeout=90, cwd=REPOSITORY, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    check(done.stdout)


def test_the_environment_of_another_gateway_does_not_reach_it(place: Path) -> None:
    """With EDGEGW_RUNTIME_DIR and EDGEGW_STATE_DIR of a real gateway set, the demo stays in its own directories."""
    other = place / "real"
    env = environment(TMPDIR=str(place), EDGEGW_RUNTIME_DIR=str(other), EDGEGW_STATE_DIR=str(other))
    done = edgegw("demo", "--seconds", "2", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    check(done.stdout)
    assert not other.exists()


def test_a_faulty_file_is_told_with_its_own_name(place: Path) -> None:
    """-c with a fault: 78, the line in the user's file, not in a copy of it; nothing is left."""
    file = place / "mine.toml"
    file.write_text('[sensors.front]\ndriver = "tfluna"\nprot = "virtual"\n')
    done = edgegw("demo", "-c", str(file), env=environment(TMPDIR=str(place)))
    assert done.returncode == Exit.CONFIG
    assert f"{file}:3: sensors.front.prot" in done.stderr
    assert list(place.iterdir()) == [file]


class Terminal:
    """A demo in a pseudo-terminal of 150 columns, whose Ctrl-C is typed."""

    def __init__(self, place: Path) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:  # only exec from here on
            os.chdir(REPOSITORY)
            words = command("demo")
            env = environment(TMPDIR=str(place), TERM="xterm-256color", COLUMNS="150", LINES="40")
            os.execve(words[0], words, env)  # noqa: S606 - words of ours, and a shell would only stand in between
        self.text = ""

    def read_until(self, word: str) -> None:
        """Read the screen until `word` appears; the test's own time-out bounds it."""
        while word not in self.text:
            data = os.read(self._master, 65536)
            self.text += data.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        """As at the keyboard."""
        os.write(self._master, keys)

    def end(self) -> int:
        """Read to the end; the exit code."""
        with contextlib.suppress(OSError):  # a pty whose other side has gone gives EIO
            while data := os.read(self._master, 65536):
                self.text += data.decode(errors="replace")
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # from 3.12 on; the child does nothing but exec
def test_in_a_terminal_it_shows_a_live_table_and_ctrl_c_ends_it(place: Path) -> None:
    """A table with rates, redrawn in place; Ctrl-C closes the account and the exit code is 0."""
    terminal = Terminal(place)
    terminal.read_until("Hz")
    terminal.read_until("Ctrl-C")
    terminal.type(b"\x03")
    code = terminal.end()
    assert code == 0, terminal.text
    assert "PROCESS" in terminal.text
    assert f"{ESCAPE}[" in terminal.text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.text).replace("\r", "")
    check(plain.rstrip())
    assert list(place.iterdir()) == []
