"""The radio that virtual peripherals are heard by: on or off, scanning or not, and sometimes busy."""

from __future__ import annotations

from collections.abc import Sequence

from workers.virtual.hcsr04.peripheral import Note, Peripheral


class Off(Exception):
    """The adapter is switched off."""


class Busy(Exception):
    """The adapter says that it is at something else."""


class Adapter:
    """One adapter. Scanning is by client, as in BlueZ, which counts who asked for it."""

    def __init__(self, peripherals: Sequence[Peripheral], note: Note | None = None) -> None:
        self.peripherals = peripherals
        self.powered = all(peripheral.behaviour.powered for peripheral in peripherals)
        self.refusals = sum(peripheral.behaviour.in_progress for peripheral in peripherals)  # of the next scans
        self.scanning: set[str] = set()
        self.note: Note = note or (lambda what, more: None)

    def audible(self) -> list[Peripheral]:
        """What a scan finds at this moment."""
        return [peripheral for peripheral in self.peripherals if self.powered and peripheral.audible]

    def start_scan(self, client: str) -> None:
        """Raises Off, or Busy: also when this client scans already."""
        if not self.powered:
            raise Off
        if self.refusals:
            self.refusals -= 1
            self.note("busy", {"client": client})
            raise Busy
        if client in self.scanning:
            raise Busy
        self.scanning.add(client)
        self.note("scan", {"client": client, "at_once": len(self.scanning)})

    def stop_scan(self, client: str) -> bool:
        """Whether it was scanning."""
        if client not in self.scanning:
            return False
        self.scanning.remove(client)
        self.note("scanned", {"client": client})
        return True

    def power(self, on: bool) -> None:
        """Switching off ends every link and scan; with switching on, the kernel has forgotten what it held."""
        if on == self.powered:
            return
        self.powered = on
        self.note("power", {"on": on})
        if on:
            for peripheral in self.peripherals:
                peripheral.stale = False
            return
        for client in list(self.scanning):
            self.stop_scan(client)
        for peripheral in self.peripherals:
            peripheral.disconnect()
