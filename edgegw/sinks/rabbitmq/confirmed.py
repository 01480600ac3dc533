"""Which messages the broker has, of deliveries that have not ended well yet: so they are not sent a second time with the rest."""

from __future__ import annotations

from collections.abc import Iterable

KEPT = 4096  # some deliveries' worth; what is forgotten is sent twice, which is harmless


class Confirmed:
    """A bounded set of message ids, the oldest giving way. An id means the same content for ever, whichever connection carried it."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids

    def __bool__(self) -> bool:
        return bool(self._ids)

    def note(self, message_id: str) -> None:
        """The broker has confirmed it."""
        self._ids[message_id] = None
        if len(self._ids) > KEPT:
            del self._ids[next(iter(self._ids))]

    def settle(self, message_ids: Iterable[str]) -> None:
        """Their delivery has ended well, and will not come again."""
        for message_id in message_ids:
            self._ids.pop(message_id, None)

    def clear(self) -> None:
        """The queue or exchange that had them is gone, and they with it."""
        self._ids.clear()
