"""Frames become samples, for as long as they come; and what is said when they stop."""

from __future__ import annotations

import select
from collections.abc import Generator, Iterable
from typing import NamedTuple

import msgspec

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from workers.buses import uart
from workers.tfluna.frames import CM, FIELDS, Parser
from workers.tfluna.session import BEAT_ms

SILENCE_s, SILENCE_frames = 2, 5  # without a frame before the port is given up: whichever is longer
MISSING_frames = 3  # without a frame before that is data, too
DELIVERED_hz, SLOWEST_hz = 100.0, 1.0
EVER_ns = 1 << 62
_BEAT_ns = BEAT_ms * NS_PER_S // 1000


def patience_ns(rate_hz: float | None) -> int:
    """How long a device of that rate may be silent; without a rate it may be the slowest."""
    return round(max(SILENCE_s, SILENCE_frames / (rate_hz or SLOWEST_hz)) * NS_PER_S)


class Terms(NamedTuple):
    """What is known of a device before it is read."""

    port: str
    baud: int
    per_m: int = CM
    rate_hz: float | None = None  # None: nobody knows as yet
    version: str = ""  # "": it does not answer


class Stream:
    """Reads frames on the terms that were found."""

    def __init__(self, poller: select.poll, parser: Parser, terms: Terms) -> None:
        self._poller = poller
        self._parser = parser
        self._terms = terms
        self.rate_hz = terms.rate_hz

    def backlog(self, pieces: Iterable[tuple[bytes, int]]) -> Generator[Sample, None, None]:
        """Samples of what came before, each piece with its time of arrival."""
        period_ns = round(NS_PER_S / (self.rate_hz or DELIVERED_hz))
        for data, at_ns in pieces:
            for frame in self._parser.feed(data):
                sample = frame.sample(period_ns, self._parser.new_faults())
                yield msgspec.structs.replace(sample, age_ns=sample.age_ns + SystemClock.monotonic_ns() - at_ns)

    def samples(self, for_ns: int = EVER_ns) -> Generator[Sample | None, None, None]:
        """Samples as they come; after 3 periods without a frame, 0.25 s at least, a bad one with no values in each period.

        None at least every 0.25 s otherwise. Raises DeviceError when the port or the device is gone.
        """
        parser, poller, port = self._parser, self._poller, self._terms.port
        period_ns = round(NS_PER_S / (self.rate_hz or DELIVERED_hz))
        gap_ns = max(_BEAT_ns, round(NS_PER_S / (self.rate_hz or SLOWEST_hz)))
        missing_ns = max(_BEAT_ns, round(MISSING_frames * NS_PER_S / (self.rate_hz or SLOWEST_hz)))
        patient_ns = patience_ns(self.rate_hz)
        now_ns = heard_ns = beat_ns = SystemClock.monotonic_ns()
        missed_ns = strays_bytes = 0
        end_ns = now_ns + for_ns
        arrived, feed, new_faults = uart.arrived, parser.feed, parser.new_faults
        while now_ns < end_ns:
            data = arrived(poller, port, BEAT_ms)
            frames = feed(data) if data else []
            for frame in frames:
                yield frame.sample(period_ns, new_faults())
            now_ns = SystemClock.monotonic_ns()
            if frames:
                heard_ns, beat_ns, strays_bytes = now_ns, now_ns, 0
                continue
            strays_bytes += len(data)
            if now_ns - heard_ns > patient_ns:
                raise DeviceError(silence(self._terms._replace(rate_hz=self.rate_hz), strays_bytes))
            if now_ns - beat_ns >= _BEAT_ns:
                beat_ns = now_ns
                missing = parser.frames > 0 and now_ns - heard_ns >= missing_ns and now_ns - missed_ns >= gap_ns
                missed_ns = now_ns if missing else missed_ns
                yield Sample(dict.fromkeys(FIELDS["lidar"]), Quality.BAD, faults=new_faults()) if missing else None

    def measured(self, for_s: float) -> Generator[Sample | None, None, float]:
        """Samples for so long; returns how many frames a second have come in that time, damaged ones included."""
        before, began_ns = self._parser.frames + self._parser.bad_sums, SystemClock.monotonic_ns()
        yield from self.samples(round(for_s * NS_PER_S))
        frames = self._parser.frames + self._parser.bad_sums - before
        return frames * NS_PER_S / (SystemClock.monotonic_ns() - began_ns)


def silence(terms: Terms, strays_bytes: int) -> str:
    """What to say when there were no frames for as long as there should have been."""
    port = terms.port
    if strays_bytes:
        return f"bytes arrive at {port}, but no TF-Luna frame among them: wrong baud rate, or another device?"
    wait = f"{patience_ns(terms.rate_hz) / NS_PER_S:g} s"
    if terms.version:
        hint = "is its output switched off, or has it been set to be silent out of range?"
        return f"no frame from {port} for {wait}, though the sensor answered before (firmware {terms.version}): {hint}"
    return f"no frame from {port} for {wait}: is the sensor powered, is its TX connected to RX, is its baud rate {terms.baud}?"
