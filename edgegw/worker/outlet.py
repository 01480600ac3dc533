"""Where readings leave a worker: into the window, over the link, counted in the tally, told with the pulse."""

from __future__ import annotations

import msgspec

from edgegw.clock import NS_PER_S, Clock
from edgegw.codec import MAX_ATTACHMENT_bytes
from edgegw.reading import Attachment, Reading, Sample
from edgegw.tally import Tally
from edgegw.worker.link import Link
from edgegw.worker.pulse import Pulse
from edgegw.worker.window import Window

BATCH_readings = 500
FAREWELL_s = 1.5  # for the last acknowledgements


class Outlet:
    """Collects for `linger_s`, then moves everything on together."""

    def __init__(self, window: Window, link: Link, tally: Tally, pulse: Pulse, linger_s: float, clock: Clock) -> None:
        self.window = window
        self.pulse = pulse
        self._link = link
        self._tally = tally
        self._linger_ns = round(linger_s * NS_PER_S)
        self._clock = clock
        self._flushed_ns = 0

    def put(self, kind: str, reading: Reading, sample: Sample) -> None:
        """Take in a reading, and what the sample it was made of says besides."""
        self.window.add(kind, reading, _bounded(sample.attachment))
        self._count()
        self.pulse.note(kind, reading, sample)

    def hold_back(self, faults: int) -> None:
        """A reading was produced, and filtered."""
        self.window.skip()
        self._count()
        self.pulse.faults += faults

    def due(self, now_ns: int) -> bool:
        """Whether flush() should be called."""
        return now_ns - self._flushed_ns >= self._linger_ns or self.window.collected >= BATCH_readings

    def flush(self, now_ns: int) -> None:
        """Send what was collected, take what was acknowledged, beat."""
        self._flushed_ns = now_ns
        self.window.seal()
        self._link.pump()
        self._count()
        self.pulse.beat(now_ns)

    def farewell(self) -> None:
        """Give what is left its last chance."""
        clock = self._clock
        until = clock.monotonic_ns() + round(FAREWELL_s * NS_PER_S)
        self.window.seal()
        self._link.pump()
        while self.window.size and clock.monotonic_ns() < until:
            self._link.wait(0.05)
            self._link.pump()
        self._count()

    def _count(self) -> None:
        self._tally.set(self.window.produced, self.window.filtered, self.window.dropped)


def _bounded(attachment: Attachment | None) -> Attachment | None:
    """One that no message has room for rides without its data, and says so."""
    if attachment is None or len(attachment.data) <= MAX_ATTACHMENT_bytes:
        return attachment
    return msgspec.structs.replace(attachment, data=b"", gone="too large")
