"""Serial ports, under the names that stay, with what sysfs knows of them.

Nothing here opens a port: opening raises DTR, and an Arduino takes that for its reset button.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgegw.driver import Found
from workers.finding.usb import Usb, behind, line, links

TITLE = "Serial ports"
CHECK = "is the adapter plugged in? The UART on the header has to be switched on: sudo raspi-config, Interface Options, Serial Port"

# Bridges between USB and a UART, such as a TF-Luna is sold with. They tell who made the bridge, never what hangs behind it.
BRIDGES = {
    "0403:6001": "FTDI FT232R",
    "0403:6015": "FTDI FT231X",
    "067b:2303": "Prolific PL2303",
    "067b:23a3": "Prolific PL2303GS",
    "10c4:ea60": "Silicon Labs CP210x",
    "1a86:55d4": "WCH CH9102",
    "1a86:7522": "WCH CH340K",
    "1a86:7523": "WCH CH340",
}


class Port(msgspec.Struct, frozen=True):
    """A tty, and every name that leads to it."""

    tty: Path
    usb: Usb | None
    by_id: Path | None
    by_path: Path | None
    alias: Path | None  # serial0, serial1: what a Raspberry Pi calls its two UARTs

    def lasting(self, *, ambiguous: bool) -> Path:
        """The name that stays. Clones without a serial number share one by-id name, which is whichever's was plugged in last."""
        return (None if ambiguous else self.by_id) or self.by_path or self.alias or self.tty


def find(seconds: float, root: Path = Path("/")) -> Iterator[Found]:
    """Every port that is really there, the USB adapters first. Takes no time to speak of, and never raises."""
    ports = _ports(root)
    unlinked = {port.usb for port in ports if port.usb and not port.by_id}
    consoles = line(root / "sys/class/tty/console/active").split()
    named = [(port, _absolute(port.lasting(ambiguous=port.usb in unlinked), root)) for port in ports]
    for port, where in sorted(named, key=lambda each: (each[0].usb is None, "/by-id/" not in each[1], each[1])):
        yield Found(
            bus="serial",
            where=where,
            what=_what(port.usb),
            detail=", ".join(_details(port, where, root, console=port.tty.name in consoles)),
            driver="tfluna" if port.usb and port.usb.ids in BRIDGES else "",
            options={"port": where},
        )


def _ports(root: Path) -> list[Port]:
    by_id, by_path = links(root / "dev/serial/by-id"), links(root / "dev/serial/by-path")
    aliases = {alias.resolve(): alias for alias in sorted((root / "dev").glob("serial[0-9]"), reverse=True)}
    nodes = {root / "dev" / entry.name: entry for entry in _entries(root)}
    ttys = {tty.resolve() for tty in nodes} | set(by_id) | set(by_path) | set(aliases)
    return [
        Port(tty, behind(root / "sys/class/tty" / tty.name), by_id.get(tty), by_path.get(tty), aliases.get(tty))
        for tty in ttys
        if tty.exists()
    ]


def _entries(root: Path) -> Iterator[Path]:
    """Of all that sysfs calls a tty, what has hardware: a USB device behind it, or a UART whose type is known (0: nothing there)."""
    classes = root / "sys/class/tty"
    for entry in classes.iterdir() if classes.is_dir() else ():
        if line(entry / "type") not in ("", "0") or behind(entry):
            yield entry


def _what(usb: Usb | None) -> str:
    return (usb.name or BRIDGES.get(usb.ids, "")) if usb else "UART of the board"


def _details(port: Port, where: str, root: Path, *, console: bool) -> Iterator[str]:
    tty = _absolute(port.tty, root)
    if tty != where:
        yield tty
    if port.usb:
        yield f"USB {port.usb.ids}"
        if not (port.by_id or port.by_path):
            yield "a name that depends on the order of plugging in: udev has made no other"
    if port.alias and port.alias.name == "serial1":
        yield "as a rule the Bluetooth chip's"
    if console:
        yield "the kernel's console: take it away first (sudo raspi-config, Interface Options, Serial Port)"
    if not os.access(port.tty, os.R_OK | os.W_OK):
        yield "no permission to open it: add yourself to the group dialout, and log in again"


def _absolute(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"
