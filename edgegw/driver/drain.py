"""An `async def` driver, drained by a synchronous loop: its samples as they come, and a None whenever it takes its time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

BEAT_s = 0.25
FAREWELL_s = 2.0  # for what a driver does when it is closed: a hung connection must not hold up the process


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
    """End the generator and whatever it left running, in FAREWELL_s at most each."""
    import asyncio

    coming.cancel()
    await asyncio.wait({coming}, timeout=FAREWELL_s)
    with contextlib.suppress(Exception):  # the trouble it had is told already, or nobody asks any more
        await asyncio.wait_for(samples.aclose(), FAREWELL_s)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=FAREWELL_s)
