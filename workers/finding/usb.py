"""What sysfs says of the USB device behind a node; reading it touches no device."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Usb(msgspec.Struct, frozen=True):
    """A USB device as its descriptors have it; "" where they say nothing, which is usual for clones."""

    ids: str  # vendor and product, as 10c4:ea60
    maker: str
    product: str
    serial: str

    @property
    def name(self) -> str:
        """Maker and product, the maker once."""
        return self.product if self.product.startswith(self.maker) else f"{self.maker} {self.product}".strip()


def behind(node: Path) -> Usb | None:
    """The USB device that a node under /sys/class hangs on; None where it hangs on something else, or sysfs is not there."""
    device = (node / "device").resolve()
    for place in (device, *device.parents):
        if vendor := line(place / "idVendor"):
            ids = f"{vendor}:{line(place / 'idProduct')}"
            return Usb(ids, line(place / "manufacturer"), line(place / "product"), line(place / "serial"))
    return None


def line(file: Path) -> str:
    """The first line of a sysfs attribute; "" where it cannot be read."""
    try:
        return file.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def links(directory: Path) -> dict[Path, Path]:
    """What udev's links there point at → the link, the first by name where there are several; nothing where udev made none."""
    found: dict[Path, Path] = {}
    for link in sorted(directory.iterdir()) if directory.is_dir() else ():
        found.setdefault(link.resolve(), link)
    return found
