"""`edgegw try`: one sensor, no daemon, no file."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from edgegw import driver
from edgegw.cli import snapshot
from edgegw.cli.footer import Footer
from edgegw.cli.spelling import option
from edgegw.clock import NS_PER_S, SystemClock
from edgegw.driver import Driver, DriverError, Options, Shown
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample

MOMENT_s = 5.0  # for a moment with all in it that is looked for, where nothing says how long; after that any will do


class Wish(msgspec.Struct, frozen=True):
    """How, and how long."""

    json: bool
    count: int | None
    seconds: float | None
    show: Path | None = None  # where the picture goes
    clear: bool = False  # and whether faces are left as they are


class Best:
    """Of the moments that could be looked at, the one with most in it; of equal ones the newest."""

    def __init__(self) -> None:
        self.shown: Shown | None = None
        self._first_ns = 0

    def add(self, shown: Shown, now_ns: int) -> None:
        """One more, that came at `now_ns` of the monotonic clock."""
        if self.shown is None:
            self._first_ns = now_ns
        if self.shown is None or shown.found >= self.shown.found:
            self.shown = shown

    def will_do(self, now_ns: int) -> bool:
        """Whether waiting for a better one is no use: all is in it, or MOMENT_s have passed since the first."""
        if self.shown is None:
            return False
        return self.shown.found == self.shown.sought or now_ns - self._first_ns >= MOMENT_s * NS_PER_S


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
        self._last_ns = sample.measured_ns(now_ns)
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
    """Print samples until Ctrl-C, then the measured rate; with a picture, until there is one. Raises EdgegwError and OSError."""
    found = driver.find(name)
    bound = driver.bind(found, _given(found, options))
    tally, best, footer = Tally(), Best(), Footer(sys.stderr, under=sys.stdout)
    if wish.show is not None:
        _prepare(found, options, wish.show, wish.clear)
    try:
        _print(_beats(found, bound, wish), wish, tally, best, footer)
    except KeyboardInterrupt:
        pass
    except DeviceError:
        footer.close(f"{tally}\n" if tally.count else "")
        raise
    footer.close(f"{tally}\n")
    if wish.show is not None:
        if best.shown is None:
            raise DeviceError(f"no picture came that could be shown: {wish.show} was not written")
        sys.stderr.write(snapshot.write(wish.show, best.shown) + "\n")


def _prepare(found: Driver, options: Sequence[str], file: Path, clear: bool) -> None:
    """What can be known to go wrong is told before the device is opened; and who asks for faces as they are has asked, whatever comes."""
    if found.preview is None:
        raise DriverError(f"a {found.name} has nothing to show: --show is for sensors that see, such as a camera")
    snapshot.media_of(file)
    if clear:
        sys.stderr.write(snapshot.audited(found.name, options, file) + "\n")


def _print(beats: Iterator[Sample | Shown | None], wish: Wish, tally: Tally, best: Best, footer: Footer) -> None:
    note, endless = "", wish.count is None and wish.seconds is None
    for beat in beats:
        now_ns = SystemClock.monotonic_ns()
        if isinstance(beat, Shown):
            best.add(beat, now_ns)
            continue  # its sample comes next, and belongs to it
        if beat is not None:
            if beat.note and beat.note != note:
                footer.close(f"{beat.note}\n")
                note = beat.note
            footer.above(_line(beat, wish.json, now_ns) + "\n")
            tally.add(beat, now_ns)
        footer.show(tally.lately(now_ns))
        if tally.count == wish.count or (endless and best.will_do(now_ns)):
            return


def samples(found: Driver, options: Options, seconds: float | None) -> Iterator[Sample]:
    """What the device gives within `seconds`. Raises DeviceError, also for what the operating system says of the device."""
    return (beat for beat in _beats(found, options, Wish(json=False, count=None, seconds=seconds)) if isinstance(beat, Sample))


def _beats(found: Driver, options: Options, wish: Wish) -> Iterator[Sample | Shown | None]:
    """As `samples`, with the heartbeats between them, and with what can be looked at where that is wished for."""
    until_ns = SystemClock.monotonic_ns() + round(wish.seconds * NS_PER_S) if wish.seconds is not None else None
    try:
        with driver.plugged(found, options) as real, contextlib.closing(_reading(found, real, wish)) as reading:
            for beat in reading:
                if until_ns is not None and SystemClock.monotonic_ns() >= until_ns:
                    return
                yield beat
    except OSError as error:
        raise DeviceError(str(error)) from error


def _reading(found: Driver, real: Options, wish: Wish) -> Generator[Sample | Shown | None, None, None]:
    return found.read(real) if wish.show is None or found.preview is None else found.preview(real, wish.clear)


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


def _line(sample: Sample, as_json: bool, now_ns: int) -> str:
    age_ns = now_ns - sample.measured_ns(now_ns)
    if as_json:
        whole = {"kind": sample.kind, "quality": sample.quality, "age_ns": age_ns, "faults": sample.faults, "values": dict(sample.values)}
        return msgspec.json.encode(whole).decode()
    values: Mapping[str, object] = sample.values
    shown = "  ".join(
        f"{name}={'-' if value is None else f'{value:.6g}' if isinstance(value, float) else value}" for name, value in values.items()
    )
    faults = f"  faults={sample.faults}" if sample.faults else ""
    return f"{shown}  [{sample.quality}, {age_ns / 1e6:.1f} ms ago]{faults}"
