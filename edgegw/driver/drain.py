"""An `async def` driver, drained by a synchronous loop: its samples as they come, and a None whenever it takes its time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

BEAT_s = 0.25
FAREWELL_s = 2.0  # for what a driver does when it is closed: a hung connection must not hold up the process
LAST_s = 0.05  # for each that comes after the time is over


def drained(generate: Callable[[Any], AsyncGenerator[T, None]]) -> Callable[[Any], Generator[T | None, None, None]]:
    """The same generator, synchronous. It has an event loop of its own, which runs only while the next sample is waited for."""

    @wraps(generate)
    def drain(options: Any) -> Generator[T | None, None, None]:
        import asyncio  # here, not above: most workers never need it, and it is 8 MiB

        loop = asyncio.new_event_loop()
        samples = generate(options)
        coming = loop.create_task(_next(samples))
        try:
            while True:
                loop.run_until_complete(asyncio.wait({coming}, timeout=BEAT_s))
                if not coming.done():
                    yield None
                    continue
                sample = coming.result()
                if isinstance(sample, _End):
                    return
                coming = loop.create_task(_next(samples))
                yield sample
        finally:
            with contextlib.closing(loop):
                loop.run_until_complete(_abandon(coming, samples))

    return drain


class _End:
    """Behind the last sample: a task cannot carry StopAsyncIteration."""


async def _next(samples: AsyncGenerator[T, None]) -> T | _End:
    async for sample in samples:
        return sample
    return _End()


async def _abandon(coming: asyncio.Task[Any], samples: AsyncGenerator[Any, None]) -> None:
    """End the generator and whatever it left running, all of it within FAREWELL_s: the supervisor takes a longer silence for a hang."""
    import asyncio

    loop = asyncio.get_running_loop()
    until_s = loop.time() + FAREWELL_s
    coming.cancel()
    await _settled({coming}, until_s)
    await _settled({loop.create_task(_closed(samples))}, until_s)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await _settled(left, until_s)
    await _settled({loop.create_task(loop.shutdown_asyncgens())}, until_s)  # generators that it was reading itself


async def _closed(samples: AsyncGenerator[Any, None]) -> None:
    await samples.aclose()


async def _settled(tasks: Collection[asyncio.Task[Any]], until_s: float) -> None:
    """Wait for them, but not with wait_for: it would also wait for whoever is deaf to being cancelled."""
    import asyncio

    left_s = max(LAST_s, until_s - asyncio.get_running_loop().time())
    done, late = await asyncio.wait(tasks, timeout=left_s) if tasks else ((), ())
    for task in late:
        task.cancel()
    for task in done:
        if not task.cancelled():
            task.exception()  # asked, or asyncio logs it; the trouble there was is told already, or nobody asks any more
