"""The log in real processes: nobody reads, the disk is full, the process forks, libraries speak."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import edgegw

ROOT = Path(edgegw.__file__).parent.parent
F_SETPIPE_SZ = 1031
CALLS = 5000

# Argument: whether a thread drains, or the caller's own loop, as in the supervisor.
CALLER = f"""
    import sys, time
    from edgegw.log import Log, destination
    log = Log("front", destination("front", environ={{}}), secrets=["hunter2"])
    threaded = sys.argv[1] == "thread"
    if threaded:
        log.start()
    logger = log.logger(sensor="front")
    for command in sys.stdin:  # one burst per line of input; the answer is how long it took
        began_ns = time.perf_counter_ns()
        for number in range({CALLS}):
            logger.info("reading late", number=number)
            if not threaded and number % 100 == 0:
                log.drain()
        took_ns = time.perf_counter_ns() - began_ns
        print(took_ns, flush=True)
    left = log.stop(60)
    print(sum(log.dropped.values()), left, log.trouble, flush=True)
"""


@contextlib.contextmanager
def child(script: str, stderr: int, argument: str = "thread") -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `script` and is gone afterwards."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(script), argument]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environ, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(fd)


def ask(process: subprocess.Popen[str], command: str) -> str:
    send(process, command)
    return answer(process)


def send(process: subprocess.Popen[str], command: str) -> None:
    assert process.stdin
    process.stdin.write(command + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def close(stream: IO[str] | None) -> None:
    assert stream
    stream.close()


def drain(reading: int) -> list[dict[str, Any]]:
    """Everything up to the end of the pipe, each line of which must be an entry."""
    with open(reading, "rb", closefd=False) as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("drained_by", ["thread", "loop"])
def test_pipe_that_nobody_reads_does_not_slow_the_caller_and_drops_are_told(pipe: tuple[int, int], drained_by: str) -> None:
    """Behind a full pipe the caller is as fast as with one that is no obstacle; read at last, one line accounts for what is missing."""
    reading, writing = pipe
    free = os.open("/dev/null", os.O_WRONLY)
    with child(CALLER, writing, drained_by) as blocked, child(CALLER, free, drained_by) as unblocked:
        os.close(writing)
        os.close(free)
        times = [(int(ask(blocked, "burst")), int(ask(unblocked, "burst"))) for _ in range(15)]
        slow_ns, fast_ns = (statistics.median(column) for column in zip(*times, strict=True))
        assert slow_ns < 2 * fast_ns, times
        close(blocked.stdin)
        entries = drain(reading)
        dropped, left, trouble = answer(blocked).split(maxsplit=2)
    told = [entry for entry in entries if entry["event"] == "log records dropped"]
    assert [entry["count"] for entry in told] == [int(dropped)]
    assert len(entries) - 1 + int(dropped) == 15 * CALLS
    assert (left, trouble) == ("0", "{}\n")


@pytest.mark.parametrize("path", ["/dev/full", "pipe without a reader"])
def test_sink_that_fails_is_counted_and_the_caller_goes_on(path: str, pipe: tuple[int, int]) -> None:
    """ENOSPC and EPIPE on every write: the loop goes on, the process ends in good order, and says how often it failed."""
    reading, writing = pipe
    stderr = os.open(path, os.O_WRONLY) if path.startswith("/") else os.dup(writing)
    with child(CALLER.replace("log.stop(60)", "log.stop(0.2)"), stderr) as process:
        for fd in (stderr, writing, reading):
            os.close(fd)
        for _ in range(3):
            assert int(ask(process, "burst")) > 0
        close(process.stdin)
        dropped, left, trouble = answer(process).split(maxsplit=2)
        assert process.wait(30) == 0
    assert int(dropped) + int(left) == 3 * CALLS
    assert ("ENOSPC" if path.startswith("/") else "EPIPE") in trouble


FORKING = """
    import os, signal, sys
    from edgegw.log import Log, destination
    mine = Log("supervisor", destination("supervisor", environ={}))
    mine.logger().info("forking")
    pid = os.fork()
    if pid == 0:
        mine.disown()
        log = Log("front", destination("front", environ={}))
        log.start()
        log.logger().info("born")
        os._exit(log.stop(60))
    _, status = os.waitpid(pid, 0)
    mine.logger().info("ended", status=status)
    mine.stop(60)
"""


def test_each_process_of_a_fork_writes_its_own_lines_once(pipe: tuple[int, int]) -> None:
    """A child makes its own log after the fork: it starts a thread, writes and stops; what the parent had queued is written once."""
    reading, writing = pipe
    with child(FORKING, writing) as process:
        os.close(writing)
        entries = drain(reading)
        assert process.wait(30) == 0
    assert [(entry["process"], entry["event"], entry.get("status")) for entry in entries] == [
        ("front", "born", None), ("supervisor", "forking", None), ("supervisor", "ended", 0),
    ]  # fmt: skip


SIGNALLED = """
    import signal, sys, threading
    from edgegw.log import Log, destination
    log = Log("front", destination("front", environ={}))
    log.start()
    logger = log.logger()
    signal.signal(signal.SIGTERM, lambda number, frame: logger.warning("asked to stop"))
    thread = next(each for each in threading.enumerate() if each.name == "log")
    print("ready", flush=True)
    sys.stdin.readline()
    with open(f"/proc/self/task/{thread.native_id}/status") as status:
        blocked = int(next(line for line in status if line.startswith("SigBlk")).split()[1], 16)
    logger.info("mask", blocked=bool(blocked >> (signal.SIGTERM - 1) & 1), fault=bool(blocked >> (signal.SIGSEGV - 1) & 1))
    log.stop(60)
"""


def test_log_may_be_used_in_a_signal_handler_and_its_thread_takes_no_signals(pipe: tuple[int, int]) -> None:
    """A handler logs without danger of a deadlock; signals go to the main thread, whose sleep they must end."""
    reading, writing = pipe
    with child(SIGNALLED, writing) as process:
        os.close(writing)
        assert answer(process) == "ready\n"
        process.terminate()
        send(process, "go on")
        entries = drain(reading)
        assert process.wait(30) == 0
    assert sorted((entry["event"], entry.get("blocked"), entry.get("fault")) for entry in entries) == [
        ("asked to stop", None, None),
        ("mask", True, False),
    ]


LIBRARIES = """
    import logging, warnings
    from edgegw.log import Log, destination, hear_libraries
    log = Log("bridge", destination("bridge", environ={}), secrets=["hunter2"])
    hear_libraries(log.logger())
    library = logging.getLogger("aiormq.connection")
    library.info("not wanted")
    library.warning("lost %s", "amqp://gw:hunter2@broker")
    library.error("bad %d", "format")
    try:
        raise OSError("hunter2")
    except OSError:
        library.exception("failed")
    warnings.simplefilter("always")
    warnings.warn("old")
    log.stop(60)
"""


def test_what_libraries_log_goes_the_same_way(pipe: tuple[int, int]) -> None:
    """Warnings and errors of other packages come through the ring, named, without secrets; their bugs in log calls do no harm."""
    reading, writing = pipe
    with child(LIBRARIES, writing) as process:
        os.close(writing)
        entries = drain(reading)
        assert process.wait(30) == 0
    assert [(entry["level"], entry["library"]) for entry in entries] == [
        ("warning", "aiormq.connection"), ("error", "aiormq.connection"), ("error", "aiormq.connection"), ("warning", "py.warnings"),
    ]  # fmt: skip
    assert "hunter2" not in json.dumps(entries)
    assert (entries[0]["event"], "OSError: ***" in entries[2]["exception"]) == ("lost amqp://gw:***@broker", True)
