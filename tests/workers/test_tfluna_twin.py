"""The virtual TF-Luna itself: that its faults are real ones, that it never waits, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from edgegw import driver
from edgegw.errors import DeviceError
from tests.services.base import end, living, until
from workers.tfluna import Options, read
from workers.tfluna.frames import Echo, Parser
from workers.virtual import process
from workers.virtual.tfluna import KILLERS, Behaviour, Luna, behaviour_of, plug

ROOT = Path(__file__).parents[2]
PATIENCE_s = 60
COMMAND = [sys.executable, "-m", "workers.virtual.tfluna"]


@contextlib.contextmanager
def running(arguments: list[str], stdin: int) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """The command line at work, and what it prints; ended by force where the test does not get to it."""
    with subprocess.Popen([*COMMAND, *arguments], stdin=stdin, stdout=subprocess.PIPE, cwd=ROOT, text=True) as twin:
        assert twin.stdout is not None
        try:
            yield twin, twin.stdout
        finally:
            twin.kill()


@contextlib.contextmanager
def listening(luna: Luna) -> Iterator[int]:
    """The port, open and never read."""
    fd = os.open(luna.port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def heard(behaviour: Behaviour, ticks: int = 1000) -> tuple[Parser, Luna]:
    """What a parser makes of a device that behaves so, and the device with its journal."""
    parser = Parser()
    with contextlib.closing(Luna(behaviour=behaviour)) as luna, listening(luna) as fd:
        for tick in range(ticks):
            luna.tick(tick / 100)
            _hears_all(parser, fd, luna)
        until(lambda: _hears_all(parser, fd, luna), PATIENCE_s, "the kernel to hand over the last bytes")
    return parser, luna


def _hears_all(parser: Parser, fd: int, luna: Luna) -> bool:
    with contextlib.suppress(BlockingIOError):
        parser.feed(os.read(fd, 4096))
    return parser.skipped_bytes + 9 * parser.frames + len(parser.pending) == luna.port.arrived_bytes


def test_without_faults_every_frame_is_read() -> None:
    """A quiet line: nothing skipped, nothing dropped, all of it valid."""
    parser, luna = heard(Behaviour(seed=1))
    assert (parser.frames, parser.skipped_bytes, luna.sent, luna.dropped) == (1000, 0, 1000, 0)
    assert parser.echoes == {Echo.VALID: 1000}


@pytest.mark.parametrize("fault", ["noise", "bad_sum", "lost", "doubled"])
def test_damage_is_seen_by_a_parser(fault: str) -> None:
    """One frame in ten is hit; the parser skips bytes and loses its beat about as often."""
    parser, luna = heard(behaviour_of({fault: "0.1", "seed": "1"}))
    assert 50 < parser.resyncs < 200
    assert parser.skipped_bytes > 50
    assert luna.sent + luna.damaged == 1000
    assert (luna.damaged == 0) == (fault == "noise")


@pytest.mark.parametrize(("fault", "echo"), [("weak", Echo.WEAK), ("saturated", Echo.SATURATED), ("ambient", Echo.AMBIENT)])
def test_echoes_are_spoilt_as_asked(fault: str, echo: Echo) -> None:
    """A third of the frames, and the others stay valid."""
    parser, _ = heard(behaviour_of({fault: "0.33", "seed": "1"}))
    assert set(parser.echoes) == {echo, Echo.VALID}
    assert 250 < parser.echoes[echo] < 410


@pytest.mark.parametrize("style", ["0", "65535"])
def test_weak_echoes_come_in_both_styles(style: str) -> None:
    """Newer firmware gives 0 for the distance, older 65535."""
    sent: list[bytes] = []
    with contextlib.closing(Luna(None, behaviour_of({"weak": "1", "weak_style": style}), sent.append)) as luna, listening(luna):
        luna.tick(0)
    assert [int.from_bytes(raw[2:4], "little") for raw in sent] == [int(style)]


@pytest.mark.parametrize("name", ["a", "b"])
def test_killers_are_sent_as_they_are(name: str) -> None:
    """Nothing but the misleading frame."""
    sent: list[bytes] = []
    with contextlib.closing(Luna(None, behaviour_of({"killer": name}), sent.append)) as luna, listening(luna):
        luna.tick(0)
        luna.tick(0.01)
    assert sent == [KILLERS[name]] * 2


def test_silence_comes_and_goes() -> None:
    """Two seconds of every five without a frame."""
    parser, _ = heard(behaviour_of({"silence_every_s": "5", "silence_s": "2"}), ticks=1000)
    assert parser.frames == 600


def test_the_scene_is_plausible() -> None:
    """What is looked at moves like a thing and not like noise: never 60 cm in 100 ms, always in range; and the chip warms up."""
    sent: list[bytes] = []
    with contextlib.closing(Luna(None, Behaviour(seed=1), sent.append)) as luna, listening(luna):
        for tick in range(400):
            luna.tick(tick / 10)
    found = Parser().feed(b"".join(sent))
    distances = [frame.distance_m for frame in found]
    assert len(set(distances)) > 50
    assert min(distances) >= 0.20
    assert max(distances) <= 8.00
    assert max(abs(after - before) for before, after in itertools.pairwise(distances)) < 0.60
    assert found[-1].temperature_degC > found[0].temperature_degC


def test_the_same_seed_gives_the_same_readings() -> None:
    """So that a failing test can be repeated; without a seed two sensors differ."""

    def run(seed: int | None) -> list[bytes]:
        sent: list[bytes] = []
        with contextlib.closing(Luna(None, Behaviour(seed=seed, bad_sum=0.2), sent.append)) as luna, listening(luna):
            for tick in range(50):
                luna.tick(tick / 100)
        return sent

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert run(None) != run(None)


def test_nobody_listens_and_nothing_waits() -> None:
    """With the port closed every frame falls on the floor and is counted; none of them lies in wait for who opens it next."""
    with contextlib.closing(Luna()) as luna:
        for tick in range(1000):
            luna.tick(tick / 100)
        assert (luna.sent, luna.dropped) == (0, 1000)
        with listening(luna) as fd, pytest.raises(BlockingIOError):
            os.read(fd, 100)


def test_a_reader_that_sleeps_loses_frames_and_stops_nobody() -> None:
    """With the port open and never read the kernel's buffer fills; then frames fall on the floor, counted, and what was kept is whole."""
    with contextlib.closing(Luna()) as luna, listening(luna) as fd:
        for tick in range(5000):
            luna.tick(tick / 100)
        assert luna.dropped > 1000
        assert luna.sent + luna.dropped == 5000
        parser = Parser()
        until(lambda: _hears_all(parser, fd, luna), PATIENCE_s, "the port to be empty")
        assert parser.frames in (luna.sent, luna.sent - 1)  # a torn frame at the end may hold up the one before it


def test_a_virtual_port_becomes_a_real_one_and_goes_again() -> None:
    """plug() hands out a port that a driver reads; after the block neither the port nor the process is there."""
    with plug(Options(port="virtual?seed=1", rate_hz=250, dummy_distance_cm=900)) as options:
        assert options.port.startswith("/dev/pts/")
        assert (options.rate_hz, options.dummy_distance_cm) == (250, 900)
        (child,) = [one for one in psutil.Process().children() if "workers.virtual.tfluna" in one.cmdline()]
        with contextlib.closing(read(options)) as samples:
            got = [sample for sample, _ in zip(filter(None, samples), range(20), strict=False)]
        assert len(got) == 20
    assert not child.is_running()
    with pytest.raises(DeviceError):
        next(read(options))


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("virtual?nois=1", r"no 'nois' \(did you mean noise\?\)"),
        ("virtual?xyz=1", r"no 'xyz' \(it has noise, bad_sum"),
        ("virtual?noise=2", "noise"),
        ("virtual?weak_style=5", "weak_style"),
        ("virtual?noise", "come pairs"),
    ],
)
def test_a_wrong_behaviour_is_refused_with_a_hint(port: str, message: str) -> None:
    """A typing error in the port's name is the configuration's fault, and says so before anything starts."""
    with pytest.raises(driver.DriverError, match=message), plug(Options(port=port)):
        pytest.fail("it was taken")


def test_a_device_that_does_not_start_is_an_error() -> None:
    """A module that ends without a word gives a DeviceError, and leaves no process."""
    with pytest.raises(DeviceError, match="did not start"), process.started("workers.virtual.bench", []):
        pytest.fail("it started")


@pytest.mark.parametrize("sibling", [False, True], ids=["alone", "while a sibling holds its pipe"])
def test_a_killed_parent_takes_its_device_along(tmp_path: Path, sibling: bool) -> None:
    """SIGKILL leaves the parent no chance to clean up: its virtual device ends all the same, and no file is left.

    A process forked from the parent inherits the pipe whose end the device watches; then only the kernel's signal is left.
    """
    script = f"""
import os, sys
from workers.tfluna import Options
from workers.virtual.tfluna import plug
with plug(Options(port="virtual")) as options:
    parent = not {sibling} or os.fork()
    if parent:
        print(options.port, flush=True)
    sys.stdin.read()
    if not parent:
        os._exit(0)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, cwd=ROOT, env=environment) as parent:
        assert parent.stdout is not None
        port = parent.stdout.readline().decode().strip()
        (child,) = [one for one in psutil.Process(parent.pid).children() if "workers.virtual.tfluna" in one.cmdline()]
        assert Path(port).exists()
        end(parent, signal.SIGKILL)
        until(lambda: not living(child), PATIENCE_s, "the device to end")
        until(lambda: not Path(port).exists(), PATIENCE_s, "its port to go")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_serves_many_until_sigterm(tmp_path: Path) -> None:
    """One line per device, links that drivers can open, and at the end how many frames each sent and dropped; the links go."""
    ports = tmp_path / "lunas"
    arguments = ["--count", "3", "--dir", str(ports), "--hz", "200", "--noise", "0.05", "--silence-every-s", "1000"]
    with running(arguments, subprocess.DEVNULL) as (twin, printed):
        assert [printed.readline().strip() for _ in range(3)] == [str(ports / name) for name in "012"]
        for name in "02":
            with contextlib.closing(read(Options(port=str(ports / name)))) as samples:
                assert len([sample for sample, _ in zip(filter(None, samples), range(10), strict=False)]) == 10
        twin.terminate()
        summary = printed.read().splitlines()
        assert twin.wait(PATIENCE_s) == 0
    sent = [int(line.partition(": ")[2].split()[0]) for line in summary]
    assert (sent[0] >= 10, sent[1], sent[2] >= 10) == (True, 0, True)
    assert all("fell on the floor" in line for line in summary)
    assert list(ports.iterdir()) == []


def test_the_command_line_ends_with_its_pipe() -> None:
    """A program that starts it and dies closes the pipe: that is enough to end it, without any signal."""
    with running([], subprocess.PIPE) as (twin, printed):
        assert printed.readline().startswith("/dev/pts/")
        assert twin.stdin is not None
        twin.stdin.close()
        assert twin.wait(PATIENCE_s) == 0
        assert "0 frames arrived" in printed.read()


@pytest.mark.parametrize("wrong", [["--noise", "2"], ["--nois", "x"], ["--count", "0"], ["--hz", "0"], ["--parent", "x"]])
def test_the_command_line_refuses_nonsense(wrong: list[str]) -> None:
    """Usage errors end with 2, as argparse does, and without a traceback."""
    done = subprocess.run([*COMMAND, *wrong], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_s)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
