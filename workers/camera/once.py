"""What the cameras of one process have in common: made for the first that asks, given to the others, gone with the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class Once(Generic[T]):
    """One thing for each key, whichever thread asks; held by those who use it, not by this."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: WeakValueDictionary[Hashable, T] = WeakValueDictionary()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes, or has made before for this key. Raises what it raises; who asks meanwhile waits."""
        with self._lock:
            thing = self._things.get(key)
            if thing is None:
                self._things[key] = thing = make()
            return thing
