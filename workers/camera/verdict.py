"""Whether a picture is a live one, and how fast they come."""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

from edgegw.clock import NS_PER_S
from edgegw.errors import DeviceError
from edgegw.reading import Quality
from workers.camera.capture import Progress

if TYPE_CHECKING:
    from workers.camera.measure import Look

FROZEN_s, STUCK_s = 2.0, 10.0
BLACK, FLAT = 2.0, 2.0  # luminosity and contrast below which there is nothing to see
RATE_s = 3.0  # over which the camera's rate is measured


class Verdict(enum.Enum):
    """What a frame is worth, as the table of the package has it: the quality, and whether what was measured is kept."""

    GOOD = ("good", Quality.GOOD, True)
    BLACK = ("black", Quality.UNCERTAIN, True)
    FROZEN = ("frozen", Quality.BAD, False)

    def __init__(self, _word: str, quality: Quality, kept: bool) -> None:
        self.quality = quality
        self.kept = kept


class Judge:
    """Tells a live picture from a black one and a frozen one."""

    def __init__(self) -> None:
        self._digest: int | None = None
        self._since_ns = 0

    def judge(self, look: Look, at_ns: int) -> Verdict:
        """Of a frame taken then. Every live sensor has noise: two equal pictures are one picture, unless there is no light at all.

        Raises DeviceError when it has been one picture for STUCK_s: nothing but opening it anew will bring another.
        """
        if look.digest != self._digest:
            self._digest, self._since_ns = look.digest, at_ns
        if look.luminosity < BLACK and look.contrast < FLAT:
            return Verdict.BLACK
        same_ns = at_ns - self._since_ns
        if same_ns > STUCK_s * NS_PER_S:
            raise DeviceError(f"for {same_ns / NS_PER_S:.0f} s the camera has given one and the same picture: it is opened anew")
        return Verdict.FROZEN if same_ns > FROZEN_s * NS_PER_S else Verdict.GOOD


class Rate:
    """Frames a second, over the last RATE_s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def fps(self, progress: Progress) -> float | None:
        """As of now; None before the second frame."""
        newest = (progress.newest_ns, progress.captured)
        if progress.captured and (not self._seen or self._seen[-1] != newest):
            self._seen.append(newest)
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] >= RATE_s * NS_PER_S:
            self._seen.popleft()
        if not self._seen or self._seen[-1][0] <= self._seen[0][0]:
            return None
        (from_ns, before), (to_ns, now) = self._seen[0], self._seen[-1]
        return (now - before) * NS_PER_S / (to_ns - from_ns)
