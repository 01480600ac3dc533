"""One connection, from its subscription until it is lost or falls silent: notifications in, samples out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from edgegw.clock import NS_PER_S, Clock
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample
from workers.buses.ble import Link, Peripheral, full_uuid, short_uuid
from workers.hcsr04 import decode, sound
from workers.hcsr04.ear import Ear
from workers.hcsr04.options import Options
from workers.hcsr04.watch import Verdict, Watch

TICK_s = 0.25
SHOWN_bytes = 20
BATTERY_s = 60.0
BATTERY_READ_s = 2.0  # an answer takes two or three connection intervals, 0.1 s
VOLTAGE, VOLTAGE_STEPS, UNKNOWN = full_uuid("2B18"), 64, 0xFFFF  # Bluetooth SIG: u16, 1/64 V


class Listener:
    """What is known of one connection."""

    def __init__(self, options: Options, peripheral: Peripheral, link: Link, clock: Clock) -> None:
        self._options = options
        self._form = options.form()
        self._peripheral = peripheral
        self._link = link
        self._clock = clock
        self._ear = Ear(clock)
        self._decoder = decode.decoder(self._form)
        self._battery = Battery(options.battery, link, clock)
        self._newest = b""
        self._faults_told = 0

    async def samples(self) -> AsyncGenerator[Sample, None]:
        """As they come. Raises DeviceError when it is another peripheral, when the link is lost, and when nothing usable comes."""
        if lack := lacking(self._form.characteristic, self._link.characteristics()):
            raise DeviceError(f"{self._peripheral} {lack}: is it the right one, and are format and characteristic right?")
        await self._link.subscribe(self._form.characteristic, self._ear.hear)
        watch = Watch(self._options.rate_hz, self._clock.monotonic_ns())
        while True:
            await self._battery.look()
            await self._ear.listen(TICK_s)
            now_ns = self._clock.monotonic_ns()  # before the yields: what comes while the worker is busy is still in the kernel
            for at_ns, payload, gap in self._ear.heard():
                distances = self._decoded(payload, gap)
                watch.came(at_ns, readable=bool(distances))
                for distance in distances:
                    yield self._sample(distance, at_ns)
            if self._link.lost:
                raise DeviceError(f"{self._peripheral} disconnected: is it powered and within reach?")
            self._judge(watch, now_ns)

    def _decoded(self, payload: bytes, gap: bool) -> list[decode.Distance]:
        self._newest = payload
        if gap:
            self._decoder.gap()
        return self._decoder.feed(payload)

    def _sample(self, distance: decode.Distance, at_ns: int) -> Sample:
        options = self._options
        if distance is not None:  # to the µm: below that is what float32 and scaling leave behind, and nothing measured
            distance = round(sound.corrected_m(distance, options.temperature_degC), 6) or None
        good = distance is not None and options.minimum_m <= distance <= options.maximum_m
        return Sample(
            {"distance_m": distance, "rssi_dBm": self._peripheral.rssi_dBm, "battery_V": self._battery.voltage_V},
            Quality.GOOD if good else Quality.UNCERTAIN,
            age_ns=max(0, self._clock.monotonic_ns() - at_ns),
            faults=self._new_faults(),
        )

    def _new_faults(self) -> int:
        faults = self._decoder.faults + self._ear.dropped + self._battery.faults
        new, self._faults_told = faults - self._faults_told, faults
        return new

    def _judge(self, watch: Watch, now_ns: int) -> None:
        wait = f"{watch.patience_ns / NS_PER_S:g} s"
        match watch.verdict(now_ns):
            case Verdict.SILENT:
                raise DeviceError(f"{self._peripheral} is connected, but silent: no notification for {wait}")
            case Verdict.STRANGE:
                raise DeviceError(
                    f"{self._peripheral} notifies, but for {wait} nothing that reads as {self._options.format} "
                    f"(the newest: {_shown(self._newest)}): is the format right?"
                )


def _shown(payload: bytes) -> str:
    """As text where it is some, else in hex."""
    text = payload[:SHOWN_bytes].decode("ascii", "replace").rstrip("\r\n")
    shown = f'"{text}"' if text and text.isprintable() and text.isascii() else payload[:SHOWN_bytes].hex(" ") or "empty"
    return f"{shown} …" if len(payload) > SHOWN_bytes else shown


class Battery:
    """Its voltage, where the peripheral has a characteristic for it and the options name it; null else."""

    def __init__(self, characteristic: str, link: Link, clock: Clock) -> None:
        self.voltage_V: float | None = None
        self.faults = 0
        self._characteristic = full_uuid(characteristic)
        self._link = link
        self._clock = clock
        self._due_ns = clock.monotonic_ns()

    async def look(self) -> None:
        """Read it when that is due; what fails is counted, and tried again next time."""
        now_ns = self._clock.monotonic_ns()
        if not self._characteristic or now_ns < self._due_ns:
            return
        self._due_ns = now_ns + round(BATTERY_s * NS_PER_S)
        try:
            async with asyncio.timeout(BATTERY_READ_s):
                self.voltage_V = voltage_V(self._characteristic, await self._link.read(self._characteristic))
        except (DeviceError, TimeoutError, ValueError):
            self.voltage_V = None
            self.faults += 1


def voltage_V(characteristic: str, value: bytes) -> float | None:
    """What the characteristic says; None where it says that it does not know. Raises ValueError for anything but two bytes."""
    if len(value) != 2:
        raise ValueError(f"{value.hex()} is not a 16-bit number")
    raw = int.from_bytes(value, "little")
    return None if raw == UNKNOWN else raw / (VOLTAGE_STEPS if characteristic == VOLTAGE else 1000)


def lacking(characteristic: str, able: Mapping[str, frozenset[str]]) -> str:
    """What is wrong with a peripheral that has these characteristics, as the end of a sentence; "" where it is as it should be."""
    if able.get(characteristic, frozenset()) & {"notify", "indicate"}:
        return ""
    has = [f"{short_uuid(uuid)} ({', '.join(sorted(what))})" for uuid, what in sorted(able.items())]
    wanted = f"has no characteristic {short_uuid(characteristic)} that notifies"
    return f"{wanted}; it has {'; '.join(has[:8])}{' …' if len(has) > 8 else ''}" if has else f"{wanted}, nor any other"
