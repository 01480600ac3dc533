"""A gateway to be looked at that is none: how many readings it has acknowledged at what time is what a test says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.chaos.liveness import Liveness


class Watched:
    """Stands in for a running gateway."""

    sensors = ("front", "imu")
    absent: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.now_s = 0.0
        self.kept = Counter[str]()

    def acknowledged(self) -> Counter[str]:
        """Since the beginning."""
        return self.kept.copy()

    def children(self) -> dict[str, Any]:
        """None: what they hold is nobody's question here."""
        return {}

    def process(self, _: str) -> None:
        """As little."""
        return


def watched(*spans: tuple[Mapping[str, float], int]) -> Liveness:
    """Who has looked at a gateway that gave so many readings a second of each sensor, for so many seconds, span after span."""
    gateway: Any = Watched()
    live = Liveness(now=lambda: float(gateway.now_s))
    live.begin(gateway)
    for hz, seconds in spans:
        for _ in range(seconds):
            gateway.now_s += 1
            gateway.kept.update({name: int(rate) for name, rate in hz.items()})
            live.look(gateway)
    live.end(gateway)
    return live
