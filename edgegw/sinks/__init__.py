"""What a sink is. Each one has a cursor of its own into the spool and a pace of its own; retrying is the bridge's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from edgegw.reading import Letter, Record, Stored


class Sink(Protocol):
    """Where readings go. All calls come from one thread, one at a time; any of them may block, none may retry.

    open() before the first deliver() and again after any Unavailable or Refused; close() is safe at any time, twice too.
    """

    @property
    def name(self) -> str:
        """As in the configuration: rabbitmq, mysql or sqlite."""

    def open(self) -> None:
        """Connect. Raises Unavailable or Refused."""

    def deliver(self, records: Sequence[Record]) -> None:
        """Return only when every reading of `records` is safe on the other side; giving one twice is harmless.

        Raises Unavailable (outcome unknown), Refused, or Rejected (then none of them may be assumed delivered).
        """

    def bury(self, letter: Letter) -> None:
        """Note a reading that this sink rejected, where the sink has a place for that; idempotent."""

    def close(self) -> None:
        """Let go of the connection; never raises."""


@runtime_checkable
class Outbox(Sink, Protocol):
    """A sink that is given readings of some kinds only, and with them what is attached to them (`Record.attachments`).

    An attachment lies in the spool until every outbox has passed its reading, or until its time is over; then its `gone` says so.
    """

    @property
    def kinds(self) -> frozenset[str]:
        """What it is given."""


class Store(Sink, Protocol):
    """A sink that can be asked what it holds."""

    def stored(self) -> dict[tuple[str, str], Stored]:
        """(sensor, run id) → what is in the tables. Raises Unavailable or Refused."""
