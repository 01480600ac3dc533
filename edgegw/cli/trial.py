"""`edgegw try`: one sensor, no daemon, no file."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from edgegw import driver
from edgegw.cli.footer import Footer
from edgegw.cli.spelling import option
from edgegw.clock import NS_PER_S, SystemClock
from edgegw.driver import Driver, DriverError, Options
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample


class Wish(msgspec.Struct, frozen=True):
    """How, and how long."""

    json: bool
    count: int | None
    seconds: float | None


class Tally:
    """What has come so far. A rate counts the gaps between measurements, not what came in a second: samples may come in bursts."""

    def __init__(self) -> None:
        self.count = 0
        self._qualities: Counter[Quality] = Counter()
        self._faults = 0
        self._first_ns = self._last_ns = 0
        self._told = (0, 0, 0)  # count, newest measurement and time as they were when `lately` was last renewed
        self._lately = ""

    def add(self, sample: Sample, now_ns: int) -> None:
        """One more, that came at `now_ns` of the monotonic clock."""
        self._last_ns = now_ns - sample.age_ns
        self.count += 1
        self._qualities[sample.quality] += 1
        self._faults += sample.faults
        if self.count == 1:
            self._first_ns = self._last_ns
            self._told = (1, self._last_ns, now_ns)

    def lately(self, now_ns: int) -> str:
        """The rate of the last second or so, and the counts; the same text until another second has passed."""
        count, newest_ns, then_ns = self._told
        if not self.count:
            return "waiting for the first sample"
        if now_ns - then_ns >= NS_PER_S:
            rate_hz = _rate_hz(self.count - count, self._last_ns - newest_ns)
            self._lately = f"{rate_hz:.1f} Hz, {self._counts()}"
            self._told = (self.count, self._last_ns, now_ns)
        return self._lately

    def __str__(self) -> str:
        took_s = (self._last_ns - self._first_ns) / NS_PER_S
        samples = f"{self.count} sample{'' if self.count == 1 else 's'}"
        if not self.count:
            return f"{samples}: the device is there, but measured nothing"
        rate = f": {_rate_hz(self.count - 1, self._last_ns - self._first_ns):.1f} Hz" if self.count > 1 else ""
        return f"{samples} in {took_s:.1f} s{rate}; {self._counts()}"

    def _counts(self) -> str:
        qualities = ", ".join(f"{self._qualities[quality]} {quality}" for quality in Quality if self._qualities[quality])
        faults = f"; {self._faults} fault{'' if self._faults == 1 else 's'} on the wire" if self._faults else ""
        return f"{qualities}{faults}"


def _rate_hz(gaps: int, span_ns: int) -> float:
    return gaps * NS_PER_S / span_ns if span_ns > 0 else 0.0


def run(name: str, options: Sequence[str], wish: Wish) -> None:
    """Print samples until Ctrl-C, then the measured rate. Raises DriverError or DeviceError."""
    found = driver.find(name)
    bound = driver.bind(found, _given(found, options))
    tally, footer = Tally(), Footer(sys.stderr, under=sys.stdout)
    try:
        _show(_beats(found, bound, wish.seconds), wish, tally, footer)
    except KeyboardInterrupt:
        pass
    except DeviceError:
        footer.close(f"{tally}\n" if tally.count else "")
        raise
    footer.close(f"{tally}\n")


def _show(beats: Iterator[Sample | None], wish: Wish, tally: Tally, footer: Footer) -> None:
    for sample in beats:
        now_ns = SystemClock.monotonic_ns()
        if sample is not None:
            footer.above(_line(sample, wish.json) + "\n")
            tally.add(sample, now_ns)
        footer.show(tally.lately(now_ns))
        if tally.count == wish.count:
            return


def samples(found: Driver, options: Options, seconds: float | None) -> Iterator[Sample]:
    """What the device gives within `seconds`. Raises DeviceError, also for what the operating system says of the device."""
    return (sample for sample in _beats(found, options, seconds) if sample is not None)


def _beats(found: Driver, options: Options, seconds: float | None) -> Iterator[Sample | None]:
    """As `samples`, with the heartbeats between them."""
    until_ns = SystemClock.monotonic_ns() + round(seconds * NS_PER_S) if seconds is not None else None
    try:
        with driver.plugged(found, options) as real, contextlib.closing(found.read(real)) as reading:
            for sample in reading:
                if until_ns is not None and SystemClock.monotonic_ns() >= until_ns:
                    return
                yield sample
    except OSError as error:
        raise DeviceError(str(error)) from error


def _given(found: Driver, options: Sequence[str]) -> dict[str, object]:
    given = dict(_pair(found, option) for option in options)
    needed = [field.name for field in msgspec.structs.fields(found.options) if field.required and field.name not in given]
    if needed and set(given) <= set(found.options.__struct_fields__):
        hint = f"; `edgegw try {found.name} {needed[0]}=virtual` reads a virtual device" if found.simulator else ""
        raise DriverError(f"{found.name} needs {' '.join(f'{name}=…' for name in needed)}{hint}")
    return given


def _pair(found: Driver, text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise DriverError(f"{text!r} is not KEY=VALUE, as in port=/dev/ttyUSB0")
    return key, option(found.options, key, value)


def _line(sample: Sample, as_json: bool) -> str:
    if as_json:
        whole = {"kind": sample.kind, "quality": sample.quality, "age_ns": sample.age_ns, "faults": sample.faults, "values": sample.values}
        return msgspec.json.encode(whole).decode()
    values: Mapping[str, object] = sample.values
    shown = "  ".join(
        f"{name}={'-' if value is None else f'{value:.6g}' if isinstance(value, float) else value}" for name, value in values.items()
    )
    faults = f"  faults={sample.faults}" if sample.faults else ""
    return f"{shown}  [{sample.quality}, {sample.age_ns / 1e6:.1f} ms ago]{faults}"
