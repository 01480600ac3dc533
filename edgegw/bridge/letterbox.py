"""The dead letters of one sink, as its forwarder minds them: which it is to be given again, and whether there is room for more."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.bridge import pace
from edgegw.bridge.bisect import Deliver, isolate
from edgegw.bridge.gather import Step
from edgegw.errors import Rejected
from edgegw.failpoint import hit
from edgegw.reading import Letter, Record
from edgegw.spool import Reader

LETTER_bytes = 256  # in the spool, as measured
MOST = (1 << 30) // 32 // LETTER_bytes  # in a spool as large as it is by default
AGAIN_readings = 50  # in one delivery, while some are rejected again: each of those takes several, and live data waits
FULL = (
    "it has rejected {} readings, and the spool keeps no more dead letters of one sink, so all of its readings wait: `edgegw dlq list` says"
    " why it did; when that is cured, `edgegw dlq retry`, or `edgegw dlq drop` to do without them"
)


class LetterBox:
    """Of one sink; `most` is how many there may be, but for those of the delivery that was too much."""

    def __init__(self, sink: str, most: int) -> None:
        self._sink = sink
        self.most = most
        self._count = most  # that there are, or more: looked at when it seems to be too many
        self._readings = AGAIN_readings

    def buried(self, count: int) -> None:
        """So many more."""
        self._count += count

    def full(self, reader: Reader) -> str:
        """What to tell people where there are too many for one more; "" where there is room. Raises SpoolError."""
        if self._count >= self.most:
            self._count = reader.dead(self._sink)
        return FULL.format(self._count) if self._count >= self.most else ""

    def give(self, reader: Reader, deliver: Deliver, bury: Callable[[Record, Rejected], Letter]) -> Step | None:
        """Deliver a piece of those that the sink is to be given again; None where there is none. Raises SpoolError or SinkError."""
        records = reader.again(self._sink, self._readings)
        if not records:
            return None
        hit("sink.before_deliver")
        poison = isolate(records, deliver)  # without a doubt: what was rejected before may well be so again
        hit("sink.after_deliver")
        letters = [bury(record, rejected) for record, rejected in poison]
        self._readings = AGAIN_readings if letters else min(pace.FULL_readings, 2 * self._readings)
        given = [(record.run.id, reading.seq) for record in records for reading in record.batch.readings]
        return Step(None, letters=letters, retried=given)
