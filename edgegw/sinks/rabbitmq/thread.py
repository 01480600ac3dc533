"""An asyncio loop in a thread of its own, for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_LOOK_s = 1.0


class Stopped(Exception):
    """The loop ended before the call did."""


class LoopThread:
    """Runs coroutines for one caller; between calls the loop goes on, so that heartbeats are sent and heard."""

    def __init__(self, name: str, farewell: Callable[[], Awaitable[None]]) -> None:
        """Start at once; `farewell` is the last thing the loop runs. Raises OSError or RuntimeError when out of files or threads."""
        self._loop = asyncio.new_event_loop()
        self._farewell = farewell
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop and return its result. Raises what it raises, or Stopped."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise Stopped from error
        while True:
            try:
                return future.result(_LOOK_s)
            except concurrent.futures.CancelledError as error:
                raise Stopped from error
            except TimeoutError:
                if future.done():
                    return future.result()
                if not self._thread.is_alive():  # it ended between our submitting and its first turn
                    raise Stopped from None

    def stop(self, timeout_s: float) -> bool:
        """End the loop and what runs in it. False: the thread is still there, as a look-up in the resolver cannot be broken off."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        await self._leave.wait()
        await self._farewell()
