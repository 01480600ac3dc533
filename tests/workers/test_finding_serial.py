"""Looking for serial ports: a tree as udev and sysfs make it, and a pty that would show if anybody opened it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgegw.driver import Found
from tests.typed import REPOSITORY
from workers.finding import serial

AUDIT = """\
import sys
from pathlib import Path
from workers.finding import serial
opened = []
sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
print(len(list(serial.find(1, Path(sys.argv[1])))), "found")
print("\\n".join(opened))
"""


class Machine:
    """A root directory, into which USB adapters and UARTs are plugged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for directory in ("dev/serial/by-id", "dev/serial/by-path", "sys/class/tty"):
            (root / directory).mkdir(parents=True)

    def usb(self, tty: str, ids: str, *, maker: str = "", product: str = "", serial: str = "", at: str = "1-1.2", by_id: str = "") -> None:
        """An adapter in port `at`; `by_id`: the name that udev gives it, if any."""
        device = self.root / "sys/devices/usb" / at
        attributes = {"idVendor": ids[:4], "idProduct": ids[5:], "manufacturer": maker, "product": product, "serial": serial}
        self._tty(tty, device / f"{at}:1.0" / tty)
        for name, value in attributes.items():
            if value:
                (device / name).write_text(f"{value}\n")
        self.link(f"dev/serial/by-path/usb-0:{at}:1.0-port0", tty)
        if by_id:
            self.link(f"dev/serial/by-id/{by_id}", tty)

    def uart(self, tty: str, kind: int, alias: str = "") -> None:
        """A UART of the board; kind 0 is one that the kernel would drive if it were there."""
        self._tty(tty, self.root / "sys/devices/platform" / f"{tty}.serial")
        (self.root / "sys/class/tty" / tty / "type").write_text(f"{kind}\n")
        if alias:
            self.link(f"dev/{alias}", tty)

    def link(self, name: str, tty: str) -> None:
        """As udev makes it: relative, and the newest wins."""
        link = self.root / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(self.root / "dev" / tty, link.parent))

    def _tty(self, tty: str, device: Path) -> None:
        device.mkdir(parents=True)
        (self.root / "dev" / tty).touch()
        (self.root / "sys/class/tty" / tty).mkdir()
        (self.root / "sys/class/tty" / tty / "device").symlink_to(os.path.relpath(device, self.root / "sys/class/tty" / tty))

    def found(self) -> list[Found]:
        """What is found there, in its order."""
        return list(serial.find(1, self.root))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_usb_adapter_goes_by_its_lasting_name(machine: Machine) -> None:
    """The by-id name is where it is; the ttyUSB that changes, and the USB ids, are details; a known bridge suggests tfluna."""
    name = "usb-Silicon_Labs_CP2102_0001-if00-port0"
    machine.usb("ttyUSB0", "10c4:ea60", maker="Silicon Labs", product="CP2102 USB to UART Bridge", serial="0001", by_id=name)
    (found,) = machine.found()
    assert found == Found(
        bus="serial",
        where=f"/dev/serial/by-id/{name}",
        what="Silicon Labs CP2102 USB to UART Bridge",
        detail="/dev/ttyUSB0, USB 10c4:ea60",
        driver="tfluna",
        options={"port": f"/dev/serial/by-id/{name}"},
    )


def test_unknown_device_suggests_no_driver(machine: Machine) -> None:
    """An Arduino is shown, but nobody says that it is a TF-Luna."""
    machine.usb("ttyACM0", "2341:0043", maker="Arduino (www.arduino.cc)", by_id="usb-Arduino_0043-if00")
    (found,) = machine.found()
    assert (found.what, found.driver) == ("Arduino (www.arduino.cc)", "")


def test_clones_that_share_a_name_go_by_their_ports(machine: Machine) -> None:
    """Two adapters without a serial number have one by-id name, which the last one owns: neither is offered under it."""
    for tty, at in (("ttyUSB0", "1-1.2"), ("ttyUSB1", "1-1.3")):
        machine.usb(tty, "1a86:7523", product="USB Serial", at=at, by_id="usb-1a86_USB_Serial-if00-port0")
    assert [found.where for found in machine.found()] == [
        "/dev/serial/by-path/usb-0:1-1.2:1.0-port0",
        "/dev/serial/by-path/usb-0:1-1.3:1.0-port0",
    ]


def test_adapter_without_words_is_named_by_its_chip(machine: Machine) -> None:
    """A CH340 that describes itself with nothing is still called a CH340."""
    machine.usb("ttyUSB0", "1a86:7523", by_id="usb-1a86-if00")
    assert machine.found()[0].what == "WCH CH340"


def test_board_uarts(machine: Machine) -> None:
    """serial0 is the name of the header's UART; UARTs that are not there, and other ttys, are not shown; adapters come first."""
    machine.uart("ttyAMA0", 32, "serial1")
    machine.uart("ttyS0", 4, "serial0")
    machine.uart("ttyS1", 0)
    machine.usb("ttyUSB0", "0403:6001", by_id="usb-FTDI-if00")
    (machine.root / "sys/class/tty/tty7").mkdir()
    found = machine.found()
    assert [each.where for each in found] == ["/dev/serial/by-id/usb-FTDI-if00", "/dev/serial0", "/dev/serial1"]
    assert [each.driver for each in found] == ["tfluna", "", ""]
    assert "Bluetooth" in found[2].detail


def test_console_is_told(machine: Machine) -> None:
    """A port that the kernel writes its messages into says so: a sensor there would be shouted down."""
    machine.uart("ttyS0", 4, "serial0")
    (machine.root / "sys/class/tty/console").mkdir()
    (machine.root / "sys/class/tty/console/active").write_text("tty0 ttyS0\n")
    assert "the kernel's console" in machine.found()[0].detail


def test_without_udev(machine: Machine) -> None:
    """Where udev has made no links, the plain name has to do, and its weakness is told."""
    machine.usb("ttyUSB0", "0403:6001")
    (machine.root / "dev/serial/by-path/usb-0:1-1.2:1.0-port0").unlink()
    (found,) = machine.found()
    assert found.where == "/dev/ttyUSB0"
    assert "order of plugging in" in found.detail


def test_links_without_sysfs(machine: Machine) -> None:
    """In a container that was given the ports alone, the by-id names are all there is, and are enough; dead ones are left out."""
    (machine.root / "dev/ttyUSB0").touch()
    machine.link("dev/serial/by-id/usb-here", "ttyUSB0")
    machine.link("dev/serial/by-id/usb-gone", "ttyUSB9")
    assert [found.where for found in machine.found()] == ["/dev/serial/by-id/usb-here"]


def test_port_that_may_not_be_opened(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to open it, the group to join is named."""
    machine.usb("ttyUSB0", "0403:6001", by_id="usb-FTDI-if00")
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "ttyUSB0")
    assert "dialout" in machine.found()[0].detail


def test_empty_machine(tmp_path: Path) -> None:
    """No directories at all: nothing is found, nothing raised."""
    assert list(serial.find(1, tmp_path)) == []


def test_no_port_is_opened(machine: Machine) -> None:
    """Python's own audit of every file that is opened names none under /dev."""
    machine.usb("ttyUSB0", "10c4:ea60", by_id="usb-bridge-if00")
    machine.uart("ttyS0", 4, "serial0")
    command = [sys.executable, "-c", AUDIT, str(machine.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=REPOSITORY)
    assert done.stdout.splitlines()[0] == "2 found"
    opened = done.stdout.splitlines()[1:]
    assert any(path.startswith(f"{machine.root}/sys/") for path in opened)
    assert [path for path in opened if path.startswith(f"{machine.root}/dev/")] == []
