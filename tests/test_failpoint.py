"""Failpoints: what the environment says is what strikes, where, when and as often as it says."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgegw import failpoint
from edgegw.errors import ConfigError
from edgegw.failpoint import DIRECTORY, NAMES, SEED, SPEC
from edgegw.failpoint.trap import HERE, armed, spring

ROOT = Path(__file__).parents[1]


def strikes(spec: str, times: int, *, process: str = "bridge", folder: Path | None = None, seed: str = "") -> list[int]:
    """Which of so many hits of one life struck; the action must be error."""
    environment = {SPEC: spec, HERE: process, SEED: seed, **({DIRECTORY: str(folder)} if folder else {})}
    (traps,) = armed(environment).values() or [()]
    found = []
    for number in range(1, times + 1):
        try:
            spring(traps)
        except OSError:
            found.append(number)
    return found


@pytest.mark.parametrize(
    ("spec", "process", "struck"),
    [
        ("spool.after_commit=error:EIO", "bridge", [1, 2, 3, 4, 5]),
        ("spool.after_commit=error:EIO@3", "bridge", [3]),
        ("spool.after_commit=error:EIO@4+", "bridge", [4, 5]),
        ("bridge:spool.after_commit=error:EIO@1", "bridge", [1]),
        ("bridge:spool.after_commit=error:EIO", "s0", []),
        ("worker:worker.after_push=error:EIO@2", "s0", [2]),
        ("worker:worker.after_push=error:EIO", "bridge", []),
        ("worker:worker.after_push=error:EIO", "supervisor", []),
        ("s0:worker.after_push=error:EIO@2", "s0", [2]),
        ("s0:worker.after_push=error:EIO@2", "s1", []),
        ("spool.after_commit=error:EIO@1;spool.after_commit=error:EIO@4", "bridge", [1, 4]),
    ],
)
def test_it_strikes_when_and_where_it_says(spec: str, process: str, struck: list[int]) -> None:
    """Every time, the n-th time, from the n-th on; in every process, the bridge, any worker, the one of that name."""
    assert strikes(spec, 5, process=process) == struck


def test_chance_is_of_a_seed_and_another_in_each_life(tmp_path: Path) -> None:
    """The same seed gives the same strikes, another one others; a life after the first has its own; the share is as asked."""
    spec = "spool.after_commit=error:EIO@~0.2"
    first = strikes(spec, 2000, seed="7")
    assert first == strikes(spec, 2000, seed="7") != strikes(spec, 2000, seed="8")
    assert 300 < len(first) < 500
    lives = [strikes(spec, 2000, seed="7", folder=tmp_path) for _ in range(2)]
    assert lives[0] != lives[1]


def test_a_limit_holds_over_all_lives(tmp_path: Path) -> None:
    """Three strikes in all, of whatever life; struck() tells how many there were, also of what has no limit."""
    assert strikes("spool.after_commit=error:EIO#3", 2, folder=tmp_path) == [1, 2]
    assert strikes("spool.after_commit=error:EIO#3", 9, folder=tmp_path) == [1]
    assert strikes("spool.after_commit=error:EIO#3", 9, folder=tmp_path) == []
    assert strikes("spool.before_commit=error:EIO@2", 9, folder=tmp_path) == [2]
    assert failpoint.struck(tmp_path) == {"spool.after_commit=error:EIO#3": 3, "spool.before_commit=error:EIO@2": 1}


def test_a_limit_holds_for_threads_and_processes_at_once(tmp_path: Path) -> None:
    """Four threads in each of three processes come by 50 times each: 25 strikes, no more and no fewer."""
    spec = "sink.after_deliver=error:EIO#25"
    context = multiprocessing.get_context("fork")

    def come_by() -> None:
        (traps,) = armed({SPEC: spec, HERE: "bridge", DIRECTORY: str(tmp_path)}).values()
        threads = [threading.Thread(target=fifty, args=(lambda: spring(traps),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    processes = [context.Process(target=come_by) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert failpoint.struck(tmp_path) == {spec: 25}


def fifty(spring: Callable[[], None]) -> None:
    for _ in range(50):
        try:
            spring()
        except OSError:
            continue


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({SPEC: "spool.after_commit=kill#1"}, f"# needs a directory to count in: set {DIRECTORY}"),
        ({SPEC: "spool.after_commit=kill", DIRECTORY: "/not/there"}, "there is no directory /not/there"),
    ],
)
def test_what_it_needs_must_be_there(environment: dict[str, str], says: str) -> None:
    """Found at the start, not when it should strike."""
    with pytest.raises(ConfigError, match=re.escape(says)):
        armed(environment)


@pytest.fixture
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment may be changed; afterwards nothing is armed."""
    with monkeypatch.context() as patch:
        patch.setenv(HERE, "")
        yield patch
    failpoint.here("test")


def test_here_begins_a_life(this_process: pytest.MonkeyPatch) -> None:
    """It tells what is armed in this process, for the log; counting begins anew; what is meant for others does nothing."""
    this_process.setenv(SPEC, "spool.after_commit=error:ENOSPC@2;worker:worker.after_push=error:EIO")
    for _ in range(2):
        assert failpoint.here("bridge") == ("spool.after_commit=error:ENOSPC@2",)
        failpoint.hit("worker.after_push")
        failpoint.hit("spool.after_commit")
        with pytest.raises(OSError, match=r"No space left on device \(failpoint spool.after_commit\)") as caught:
            failpoint.hit("spool.after_commit")
        assert caught.value.errno == errno.ENOSPC


def test_nothing_is_armed_without_the_variable(this_process: pytest.MonkeyPatch) -> None:
    """And nothing is looked at again: a hit is two look-ups in memory."""
    this_process.delenv(SPEC, raising=False)
    assert failpoint.here("bridge") == ()
    for name in NAMES:
        failpoint.hit(name)


PROGRAM = """
from edgegw import failpoint
failpoint.here("x")
print("before", flush=True)
failpoint.hit("spool.after_commit")
print("after")
"""
COMMAND = [sys.executable, "-c", PROGRAM]


@pytest.mark.parametrize(
    ("action", "returncode", "said"),
    [
        ("kill", -signal.SIGKILL, "before\n"),
        ("exit:7", 7, "before\n"),
        ("error:EIO", 1, "before\n"),
        ("sleep:0.01", 0, "before\nafter\n"),
        ("kill@2", 0, "before\nafter\n"),
    ],
)
def test_what_it_does_to_a_process(action: str, returncode: int, said: str) -> None:
    """Killed, ended, failed, delayed; what is not due leaves it alone."""
    environment = {SPEC: f"spool.after_commit={action}"}
    done = subprocess.run(COMMAND, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (returncode, said)


def test_a_hang_goes_on_until_it_is_killed() -> None:
    """It says nothing more, and is still there."""
    environment = {SPEC: "spool.after_commit=hang"}
    with subprocess.Popen(COMMAND, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "before\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.kill()
        assert process.stdout.read() == ""


def test_every_name_is_a_place_and_every_place_a_name() -> None:
    """Each name of the table is hit in the code, and the code hits no other; pairs are whole."""
    text = [path.read_text() for path in (ROOT / "edgegw").rglob("*.py")]
    places = list(itertools.chain.from_iterable(re.findall(r'\bhit\("([^"]*)"\)', each) for each in text))
    assert set(places) == set(NAMES)
    assert {name.replace("before", "after") for name in NAMES if "before" in name} == {name for name in NAMES if "after" in name}
