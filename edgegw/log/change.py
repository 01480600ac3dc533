"""So that a cause is logged once when it comes and once when it goes, not once per failure."""

from __future__ import annotations

from collections.abc import Hashable


class OnChange:
    """Remembers the last state per key. Keys should be few: sinks, sensors."""

    def __init__(self) -> None:
        self._states: dict[Hashable, object] = {}
        self._repeats: dict[Hashable, int] = {}

    def changed(self, key: Hashable, state: object) -> bool:
        """Whether this is another state than last time under this key (the first one is); only then is it worth a line."""
        same = key in self._states and self._states[key] == state
        self._repeats[key] = self._repeats.get(key, 0) + 1 if same else 0
        self._states[key] = state
        return not same

    def repeats(self, key: Hashable) -> int:
        """How often the present state has come again since it was new, and so went without a line."""
        return self._repeats.get(key, 0)
