"""What the sensor looks at, and how it sees it: a door that opens and closes, and an echo that sometimes does not come back."""

from __future__ import annotations

import math
import random

from workers.virtual.hcsr04.behaviour import Behaviour

NEAR_m, FAR_m = 0.3, 3.5  # door shut: its leaf stands before the sensor; open: the far wall
PERIOD_s = (12.0, 20.0)
PAUSES = (0.75, 1.5)  # of the mean, nearer to the shorter one: firmware waits its 50 ms, then adds to it whatever else it has to do


class Scene:
    """One door, seen by one sensor."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._period_s = self._random.uniform(*PERIOD_s)
        self._phase = self._random.uniform(0, math.tau)
        self._stuck_until_s = 0.0

    def measure(self, at_s: float, behaviour: Behaviour) -> float | None:
        """Distance in m at that time since power-up, as the sensor would tell it; None without an echo."""
        if at_s < self._stuck_until_s:
            return None
        if self._random.random() < behaviour.no_echo:
            self._stuck_until_s = at_s + behaviour.stuck_s
            return None
        return max(0.02, self._random.gauss(self._distance_m(at_s), behaviour.noise_m))

    def _distance_m(self, at_s: float) -> float:
        """A door stands open or shut most of the time, so the sine is driven into its ends."""
        swing = math.tanh(3 * math.sin(math.tau * at_s / self._period_s + self._phase)) / math.tanh(3)
        return (NEAR_m + FAR_m) / 2 + swing * (FAR_m - NEAR_m) / 2

    def pause_s(self, behaviour: Behaviour) -> float:
        """Until the next measurement; at 15 a second, 50 to 100 ms."""
        return self._random.triangular(*PAUSES, PAUSES[0]) / behaviour.rate_hz
