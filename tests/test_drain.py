"""An async driver drained by a synchronous loop: samples, heartbeats, errors, and what closing it leaves behind: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgegw.driver import drain
from edgegw.driver.drain import drained
from edgegw.errors import DeviceError

BEAT_s, FAREWELL_s = 0.02, 0.2


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same proportions, ten times as fast."""
    monkeypatch.setattr(drain, "BEAT_s", BEAT_s)
    monkeypatch.setattr(drain, "FAREWELL_s", FAREWELL_s)


@pytest.fixture(autouse=True)
def nothing_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No file stays open and no thread runs on, and asyncio has nothing to complain of in the log."""
    before = set(os.listdir("/proc/self/fd")), set(threading.enumerate())
    yield
    gc.collect()
    assert (set(os.listdir("/proc/self/fd")), set(threading.enumerate())) == before
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def endless(_options: object) -> AsyncGenerator[int, None]:
    for number in itertools.count():
        yield number


async def silent(_options: object) -> AsyncGenerator[int, None]:
    await asyncio.Event().wait()
    yield 0


def test_samples_come_in_order_and_then_it_ends() -> None:
    """Each once, with the options handed on; a generator that ends, ends."""

    async def count(upto: int) -> AsyncGenerator[int, None]:
        for number in range(upto):
            await asyncio.sleep(0)
            yield number

    assert [number for number in drained(count)(1000) if number is not None] == list(range(1000))
    assert list(drained(count)(0)) == []


def test_while_it_waits_there_is_a_heartbeat() -> None:
    """None, time and again, as long as nothing comes; and what comes then is not lost."""
    arrived: list[asyncio.Event] = []

    async def late(_options: object) -> AsyncGenerator[str, None]:
        arrived.append(asyncio.Event())
        await arrived[0].wait()
        yield "late"

    with contextlib.closing(drained(late)(None)) as samples:
        begun_s = time.monotonic()
        assert [next(samples) for _ in range(20)] == [None] * 20
        assert time.monotonic() - begun_s >= 19 * BEAT_s  # a beat is a wait, not a spin
        arrived[0].set()
        assert next(filter(None, samples)) == "late"


def test_what_has_come_is_given_without_a_heartbeat_between() -> None:
    """Somebody who yields at once is never made to wait for a beat."""
    with contextlib.closing(drained(endless)(None)) as samples:
        assert list(itertools.islice(samples, 500)) == list(range(500))


@pytest.mark.parametrize("error", [DeviceError("gone"), OSError(5, "Input/output error"), ZeroDivisionError("a bug")])
def test_an_error_comes_out_as_it_is(error: Exception) -> None:
    """With its traceback, before a first sample and after one; the generator is finished then."""

    async def failing(samples: int) -> AsyncGenerator[int, None]:
        for number in range(samples):
            yield number
        raise error

    for before in (0, 1):
        samples = drained(failing)(before)
        with pytest.raises(type(error)) as caught:
            while True:
                next(samples)
        assert caught.value is error
        assert list(samples) == []


def test_closed_before_it_began_it_has_done_nothing() -> None:
    """No loop is made for a generator that nobody asks."""
    drained(silent)(None).close()


@pytest.mark.parametrize("wanted", [0, 1], ids=["in the middle of a wait", "after a sample"])
def test_closing_it_leaves_the_device(wanted: int) -> None:
    """The driver's own farewell is run to its end, awaits included."""
    done: list[str] = []

    async def device(_options: object) -> AsyncGenerator[int, None]:
        try:
            for number in range(wanted):
                yield number
            await asyncio.Event().wait()
        finally:
            done.append("disconnecting")
            await asyncio.sleep(0.01)
            done.append("disconnected")

    with contextlib.closing(drained(device)(None)) as samples:
        next(samples)
    assert done == ["disconnecting", "disconnected"]


def test_closing_it_ends_the_tasks_that_it_started() -> None:
    """Those too that nobody waits for, and the generators that they were reading."""
    ended: list[str] = []

    async def inner() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append("inner")

    async def listen() -> None:
        try:
            async for _ in inner():
                pass
        finally:
            ended.append("task")

    async def device(_options: object) -> AsyncGenerator[int, None]:
        listening = asyncio.ensure_future(listen())
        while not listening.done():
            await asyncio.sleep(0)
            yield 1

    with contextlib.closing(drained(device)(None)) as samples:
        assert list(itertools.islice(samples, 3)) == [1, 1, 1]
    assert ended == ["inner", "task"]


def test_a_generator_within_it_is_closed() -> None:
    """One that was left in the middle and that no task reads: its device would stay connected."""
    ended: list[str] = []

    async def inner() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            ended.append("inner")

    held = inner()

    async def device(_options: object) -> AsyncGenerator[int, None]:
        async for number in held:
            yield number

    with contextlib.closing(drained(device)(None)) as samples:
        next(samples)
    assert ended == ["inner"]


async def deaf(samples: int) -> AsyncGenerator[int, None]:
    """Waits for a disconnection that never comes, and takes being cancelled for something else."""
    try:
        for number in range(samples):
            yield number
        await asyncio.Event().wait()
    finally:
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


@pytest.mark.parametrize("samples", [1, 1000], ids=["in the middle of a wait", "between two samples"])
@pytest.mark.timeout(30)
def test_a_farewell_that_hangs_is_cut_short(samples: int, caplog: pytest.LogCaptureFixture) -> None:
    """However deaf it is: a hung connection must not hold up the process, nor what else it has open."""
    reading = drained(deaf)(samples)
    next(reading)
    caplog.set_level(logging.CRITICAL, "asyncio")  # that it was given up while it was running may well be said
    begun_s = time.monotonic()
    reading.close()
    assert time.monotonic() - begun_s < 20 * FAREWELL_s


def test_trouble_at_the_farewell_hides_nothing() -> None:
    """The error that ended it is the one that comes out; after closing, none does."""

    async def device(fail: bool) -> AsyncGenerator[int, None]:
        try:
            yield 1
            if fail:
                raise DeviceError("the first trouble")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            if not fail:
                raise OSError("cannot disconnect")

    with contextlib.closing(drained(device)(False)) as samples:
        assert next(samples) == 1
        assert next(samples) is None
    with contextlib.closing(drained(device)(False)) as samples:
        assert next(samples) == 1
    samples = drained(device)(True)
    assert next(samples) == 1
    with pytest.raises(DeviceError, match="the first trouble"):
        next(samples)


def test_it_works_in_any_thread() -> None:
    """A thread that is not the main one, where asyncio has no loop and no signals; two at a time do not meet."""

    def read(_number: int) -> list[int | None]:
        with contextlib.closing(drained(endless)(None)) as samples:
            return list(itertools.islice(samples, 100))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(read, range(2))) == [list(range(100))] * 2


@pytest.mark.parametrize("busy", [False, True], ids=["in a wait", "in the driver's own code"])
def test_ctrl_c_comes_out_and_the_device_is_left(busy: bool) -> None:
    """Wherever it strikes: the driver's farewell is still run."""
    done: list[str] = []

    async def device(_options: object) -> AsyncGenerator[int, None]:
        try:
            if busy:
                signal.raise_signal(signal.SIGINT)
            asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
            await asyncio.Event().wait()
            yield 0
        finally:
            await asyncio.sleep(0)
            done.append("disconnected")

    with contextlib.closing(drained(device)(None)) as samples, pytest.raises(KeyboardInterrupt):
        for _ in samples:
            pass
    assert done == ["disconnected"]


def test_it_keeps_the_name_and_is_a_generator_function() -> None:
    """What looks at a driver sees what its author wrote."""
    assert drained(silent).__name__ == "silent"
    assert drained(silent).__module__ == __name__
