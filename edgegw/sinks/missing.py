"""Stands for an outbox whose client library is not installed: everything waits in the spool, and status says what to install."""

from __future__ import annotations

from collections.abc import Sequence

from edgegw.errors import Refused
from edgegw.reading import Letter, Record


class MissingOutbox:
    """Takes nothing. The other sinks go on without it."""

    def __init__(self, name: str, kinds: frozenset[str], error: ImportError) -> None:
        self._name = name
        self._kinds = kinds
        self._why = f"the package {error.name} is not installed: pip install 'edgegw[{name}]'"

    @property
    def name(self) -> str:
        """As in the configuration."""
        return self._name

    @property
    def kinds(self) -> frozenset[str]:
        """What it would be given."""
        return self._kinds

    def open(self) -> None:
        """Raises Refused, with what to install."""
        raise Refused(self._why)

    def deliver(self, records: Sequence[Record]) -> None:
        """Raises Refused, as open() does."""
        raise Refused(self._why)

    def bury(self, letter: Letter) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
