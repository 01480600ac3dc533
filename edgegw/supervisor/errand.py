"""One thing at a time that is done once, in a process of its own, because a slow disk must not hold up the loop."""

from __future__ import annotations

import selectors
from collections.abc import Callable

from edgegw.supervisor.fork import Nursery, Process, why_not
from edgegw.supervisor.spec import WORKER, ChildSpec

Body = Callable[[int], int]


class Errand:
    """Registers its process with `selector`, itself as the data. The kernel ends it with the supervisor, like any child."""

    def __init__(self, name: str, nursery: Nursery, selector: selectors.BaseSelector) -> None:
        self._name = name
        self._nursery = nursery
        self._selector = selector
        self._process: Process | None = None
        self._next: Body | None = None

    def run(self, body: Body) -> str:
        """Begin, or as soon as the present one is through; why not, or "" when all is well. Only the newest waits."""
        if self._process is not None:
            self._next = body
            return ""
        try:
            self._process = self._nursery.start(ChildSpec(self._name, WORKER, body))
        except OSError as error:
            return why_not(error)
        self._selector.register(self._process, selectors.EVENT_READ, self)
        return ""

    def reap(self) -> str:
        """It has ended, says the selector: in plain words what went wrong, or "" when all is well."""
        if self._process is None or (reason := self._process.reap()) is None:
            return ""
        self._selector.unregister(self._process)
        self.close()
        body, self._next = self._next, None
        begun = self.run(body) if body else ""
        return begun if reason == "exited with code 0" else reason

    def close(self) -> None:
        """Let go of the process."""
        if self._process is not None:
            self._process.close()
            self._process = None
