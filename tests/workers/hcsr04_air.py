"""How the tests of the HC-SR04 driver see virtual peripherals, over either radio: options to read them by, orders, and what happened."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgegw import driver
from edgegw.clock import SystemClock
from edgegw.errors import DeviceError
from edgegw.reading import Sample
from edgegw.worker.ladder import Step
from edgegw.worker.recovery import Recovery
from tests.services.base import until
from tests.services.bluez import bluetooth
from workers.hcsr04 import Options
from workers.virtual.hcsr04.air import Air, Order
from workers.virtual.hcsr04.behaviour import behaviour_of, values_of
from workers.virtual.hcsr04.radio import VirtualRadio

DRIVER = driver.find("hcsr04")
DEVICE = "AA:BB:CC:DD:EE:01"
PATIENCE_s = 60


class World(Protocol):
    """Virtual peripherals and their radio."""

    def start(self, *peripherals: str) -> None:
        """Power up these peripherals ("name=door&no_echo=0.1"); once only."""

    def order(self, device: str = "", do: str = "", *, refuse: int = 0, **behaviour: object) -> None:
        """Change a device (`do` is drop, zombie or eof), or the adapter (on, off, or how many scans it will refuse)."""

    def journal(self, what: str = "", device: str = "") -> list[dict[str, Any]]:
        """What happened so far, oldest first: all of it, or of one sort or device."""

    def options(self, **given: object) -> Options:
        """The driver's, for the peripheral of DEVICE unless another is given."""


class OnBus:
    """Over bleak, on a private bus."""

    def __init__(self, rig: Any) -> None:
        self.start, self.order, self.journal = rig.start, rig.order, rig.journal
        self.options = options


class InProcess:
    """Over the radio that machines without a bus fall back on."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def start(self, *peripherals: str) -> None:
        self._air = Air([behaviour_of(values_of(text)) for text in peripherals], self._lines.append)

    def order(self, device: str = "", do: str = "", *, refuse: int = 0, **behaviour: object) -> None:
        self._air.obey(msgspec.convert({"device": device, "do": do, "refuse": refuse, "set": behaviour}, Order))

    def journal(self, what: str = "", device: str = "") -> list[dict[str, Any]]:
        events = map(json.loads, self._lines)
        return [event for event in events if what in ("", event["what"]) and device in ("", event.get("device"))]

    def options(self, **given: object) -> Options:
        return msgspec.structs.replace(options(**given), adapter=VirtualRadio(self._air.adapter, connect_s=2))


@contextlib.contextmanager
def world(radio: str, directory: Path) -> Iterator[World]:
    """`radio` is bluez or inside."""
    if radio == "inside":
        yield InProcess()
    else:
        with bluetooth(directory) as rig:
            yield OnBus(rig)


def options(**given: object) -> Options:
    """Options of the driver, by default for DEVICE in the format that virtual peripherals have by default."""
    return msgspec.convert({"device": DEVICE, "format": "u16-mm", **given}, Options)


def reading(of: Options) -> contextlib.closing[Generator[Sample | None, None, None]]:
    """The driver at work, as its worker has it."""
    return contextlib.closing(DRIVER.read(of))


def take(samples: Iterable[Sample | None], count: int) -> list[Sample]:
    """So many samples. AssertionError when they take too long."""
    taken: list[Sample] = []
    deadline = time.monotonic() + PATIENCE_s
    for sample in samples:
        if sample is not None:
            taken.append(sample)
        if len(taken) == count:
            break
        assert time.monotonic() < deadline, f"{len(taken)} samples of {count} in {PATIENCE_s} s"
    return taken


def trouble(samples: Iterable[Sample | None]) -> str:
    """The DeviceError that reading ends with. AssertionError when it goes on and on."""
    deadline = time.monotonic() + PATIENCE_s
    try:
        for _ in samples:
            assert time.monotonic() < deadline, f"no error within {PATIENCE_s} s"
    except DeviceError as error:
        return str(error)
    raise AssertionError("reading ended without an error")


def persistent(of: Options, troubles: list[str]) -> Generator[Sample | None, None, None]:
    """Read for ever, and after every error do what the worker does: wait, open again, and now and then reset."""
    recovery = Recovery(SystemClock(), can_reset=True, may_restart=False)
    while True:
        recovery.opening()
        try:
            with reading(of) as samples:
                yield from _noted(samples, recovery)
        except DeviceError as error:
            troubles.append(str(error))
            yield None
            yield from _climbed(of, recovery.failed(error), troubles)


def _noted(samples: Iterable[Sample | None], recovery: Recovery) -> Generator[Sample | None, None, None]:
    for sample in samples:
        if sample is not None and recovery.silent:
            recovery.heard()
        recovery.settle(SystemClock.monotonic_ns())
        yield sample


def _climbed(of: Options, step: Step, troubles: list[str]) -> Generator[None, None, None]:
    due = time.monotonic() + step.wait_s
    until(lambda: time.monotonic() >= due, PATIENCE_s, "the pause to be over")
    if step.resets:
        try:
            assert DRIVER.reset is not None
            yield from DRIVER.reset(of)
        except DeviceError as error:
            troubles.append(f"reset: {error}")


def distances(samples: Iterable[Sample]) -> list[float | None]:
    """Of each its distance in m; None without an echo."""
    return [sample.values["distance_m"] for sample in samples]  # type: ignore[misc]  # a distance is a float or null


def matches(read_m: list[float | None], journal: list[dict[str, Any]], resolution_m: float) -> bool:
    """Whether what was read is, one for one and within the resolution, a stretch of what the peripheral measured."""
    true_m = [event["distance_m"] for event in journal]
    return any(
        all(_same(got, true, resolution_m) for got, true in zip(read_m, true_m[at:], strict=False))
        for at in range(len(true_m) - len(read_m) + 1)
    )


def _same(got_m: float | None, true_m: float | None, resolution_m: float) -> bool:
    return got_m is true_m if got_m is None or true_m is None else abs(got_m - true_m) <= 0.51 * resolution_m
