"""Reads a driver the way a worker does, and measures what that is like: silences, leftovers, errors."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.driver import Driver, Options, Shown
from edgegw.errors import DeviceError
from edgegw.reading import Sample

BEAT_s = 2.0  # the promise is one second; a measurement of it needs room
CLOSE_s = 3.0  # the supervisor takes a longer silence for a hang
ENOUGH_samples, ENOUGH_s = 20, 3.0  # whichever comes first; but one sample in any case
FIRST_s = 30.0  # for that one: a Bluetooth sensor has to be found and connected
GONE_s = 5.0  # for the other end of a connection to notice that ours is closed
_TICK_s = 0.05


class Witness:
    """Counts time as another thread of this process gets it, so that a pause of the whole machine is no driver's fault."""

    def __init__(self) -> None:
        self._ticks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._count, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def seconds(self) -> float:
        """Since the start; never more than have really passed."""
        return self._ticks * _TICK_s

    def _count(self) -> None:
        while not self._end.wait(_TICK_s):
            self._ticks += 1


def samples(found: Driver, options: Options, enough: int = ENOUGH_samples) -> list[Sample]:
    """What the device gives, `enough` or for ENOUGH_s. Raises AssertionError where nothing comes within FIRST_s."""
    got: list[Sample] = []
    begun_s = _now_s()
    with contextlib.closing(found.read(options)) as reading:
        for sample in reading:
            got += [sample] if sample is not None else []
            passed_s = _now_s() - begun_s
            if len(got) == enough or (got and passed_s > ENOUGH_s):
                return got
            assert got or passed_s < FIRST_s, f"no sample of {found.name} within {FIRST_s:g} s"
    raise AssertionError(f"read of {found.name} ended by itself after {len(got)} samples: it goes on until it is closed")


def longest_silence_s(found: Driver, options: Options) -> float:
    """Between two yields of `read` in the first ENOUGH_s, the opening included."""
    until_s = _now_s() + ENOUGH_s
    with contextlib.closing(found.read(options)) as reading, Witness() as witness:
        return _longest_s(itertools.takewhile(lambda _: _now_s() < until_s, reading), witness)


def reset_silence_s(found: Driver, options: Options) -> float:
    """Between two yields of `reset`."""
    assert found.reset is not None
    with contextlib.closing(found.reset(options)) as resetting, Witness() as witness:
        return _longest_s(resetting, witness)


def closing_takes_s(found: Driver, options: Options, *, amid: bool) -> float:
    """After the very first yield, or `amid` reading: after a sample and one yield more."""
    with Witness() as witness:
        reading = found.read(options)
        next(reading)
        if amid:
            _first(found, reading)
            next(reading)
        begun_s = witness.seconds()
        reading.close()
        return witness.seconds() - begun_s


def left_behind(found: Driver, options: Options) -> list[str]:
    """What stays of two openings, after a first one that may have loaded libraries for good."""
    _glance(found, options)
    before = held()
    for _ in range(2):
        _glance(found, options)
    return lasting(before)


def shown(found: Driver, options: Options) -> Shown:
    """The first moment of a preview that can be looked at. Raises AssertionError where none comes within FIRST_s."""
    assert found.preview is not None
    begun_s = _now_s()
    with contextlib.closing(found.preview(options, False)) as preview:
        for moment in preview:
            if isinstance(moment, Shown):
                return moment
            assert _now_s() - begun_s < FIRST_s, f"the preview of {found.name} showed nothing within {FIRST_s:g} s"
    raise AssertionError(f"the preview of {found.name} ended by itself: it goes on until it is closed")


def trouble(found: Driver, options: Options) -> Exception:
    """The OSError or DeviceError with which reading ends. Raises AssertionError for a sample, or when nothing happens in FIRST_s."""
    begun_s = _now_s()
    try:
        with contextlib.closing(found.read(options)) as reading:
            for sample in reading:
                assert sample is None, f"{found.name} gave {sample} of a device that is not there"
                assert _now_s() - begun_s < FIRST_s, f"{found.name} has not noticed within {FIRST_s:g} s that there is no device"
    except (OSError, DeviceError) as error:
        return error
    raise AssertionError(f"read of {found.name} ended without an error, though there is no device")


def trouble_after(found: Driver, options: Options, unplug: Callable[[], None]) -> Exception:
    """The error that follows `unplug` in the middle of reading; what was on its way before may still come, ENOUGH_samples at most."""
    reading = found.read(options)
    with contextlib.closing(reading):
        _first(found, reading)
        unplug()
        begun_s, late = _now_s(), 0
        try:
            for sample in reading:
                late += sample is not None
                assert late <= ENOUGH_samples, f"{found.name} goes on giving samples of a device that is unplugged"
                assert _now_s() - begun_s < FIRST_s, f"{found.name} has not noticed within {FIRST_s:g} s that its device is unplugged"
        except (OSError, DeviceError) as error:
            return error
    raise AssertionError(f"read of {found.name} ended without an error, though its device was unplugged")


def held() -> set[str]:
    """The open files, threads and child processes of this process, in words."""
    gc.collect()
    threads = {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}
    return {*_files(), *threads, *_children()}


def lasting(before: set[str]) -> list[str]:
    """What is held now, was not `before`, and does not go within GONE_s."""
    until_s = _now_s() + GONE_s
    while (left := held() - before) and _now_s() < until_s:
        threading.Event().wait(_TICK_s)
    return sorted(left)


def _glance(found: Driver, options: Options) -> None:
    with contextlib.closing(found.read(options)) as reading:
        _first(found, reading)


def _first(found: Driver, reading: Iterator[Sample | None]) -> Sample:
    """The next sample that comes. Raises AssertionError when none does within FIRST_s."""
    begun_s = _now_s()
    for sample in reading:
        if sample is not None:
            return sample
        assert _now_s() - begun_s < FIRST_s, f"no sample of {found.name} within {FIRST_s:g} s"
    raise AssertionError(f"read of {found.name} ended by itself: it goes on until it is closed")


def _longest_s(signs: Iterable[object], witness: Witness) -> float:
    longest_s = heard_s = 0.0
    for _ in signs:
        now_s = witness.seconds()
        longest_s, heard_s = max(longest_s, now_s - heard_s), now_s
    return max(longest_s, witness.seconds() - heard_s)


def _files() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them is closed by now
            yield f"open file {fd} ({os.readlink(f'/proc/self/fd/{fd}')})"


def _children() -> Iterator[str]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = stat.read_text().partition(" (")
            name, _, fields = rest.rpartition(") ")
            if fields.split()[1] == str(os.getpid()):
                yield f"child process {pid} ({name})"


def _now_s() -> float:
    return SystemClock.monotonic_ns() / NS_PER_S
