"""A /dev/i2c-1 with any number of plain chips on it, and a diary of every transfer; umockdev answers, run by the system's Python.

    /usr/bin/python3 tests/workers/i2c_bus.py PLAN DIARY COMMAND…

PLAN is JSON: {"chips": {"104": {"117": 104}}, "busy": [32], "funcs": 1, "quirk": true, "errno": 110, "parent": "pci0000:00/0000:00:1f.4"}:
registers of each chip, addresses that a driver of the kernel's has, what the controller says it can do, whether it refuses empty writes
all the same, what every transfer fails with, what the controller hangs on. DIARY gets a line "address kind register" for each transfer.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

I2C_SLAVE, I2C_FUNCS, I2C_PEC, I2C_SMBUS = 0x0703, 0x0705, 0x0708, 0x0720  # linux/i2c-dev.h
FUNCS = 0x0EFF0009  # I2C and what the kernel emulates with it: a Raspberry Pi's controller
QUICK, BYTE, BYTE_DATA, BLOCK_BROKEN, BLOCK_DATA = 0, 1, 2, 6, 8  # linux/i2c.h
KINDS = {QUICK: "quick", BYTE: "byte", BYTE_DATA: "data", BLOCK_BROKEN: "block", BLOCK_DATA: "block"}


class Bus:
    """What is on it, and who is asked just now."""

    def __init__(self, plan: dict[str, Any], diary: Path) -> None:
        self._chips = {int(address): {int(at): value for at, value in memory.items()} for address, memory in plan.get("chips", {}).items()}
        self._plan = plan
        self._diary = diary
        self._address = 0

    def answer(self, request: int, argument: Any) -> int:
        """Carry out an ioctl; 0, or an errno."""
        if request == I2C_SLAVE:
            self._address = int.from_bytes(bytes(argument.retrieve()), "little")
            return errno.EBUSY if self._address in self._plan.get("busy", ()) else 0
        if request == I2C_FUNCS:
            argument.resolve(0, 8).update(0, struct.pack("<Q", self._plan.get("funcs", FUNCS)))
        elif request == I2C_SMBUS:
            return self._transfer(argument)
        elif request != I2C_PEC:
            return errno.ENOTTY
        return 0

    def _transfer(self, argument: Any) -> int:
        call = argument.resolve(0, 16)  # i2c_smbus_ioctl_data: read_write, command, size, then a pointer to 34 bytes
        reading, register, size = struct.unpack_from("<BBxxI", bytes(call.retrieve()))
        with self._diary.open("a") as diary:
            diary.write(f"{self._address:#04x} {'read' if reading else 'write'} {KINDS[size]} {register:#04x}\n")
        memory = self._chips.get(self._address)
        if fault := self._plan.get("errno"):
            return int(fault)
        if size == QUICK and self._plan.get("quirk"):
            return errno.EOPNOTSUPP
        if memory is None:
            return errno.EREMOTEIO
        if size != QUICK:
            data = call.resolve(8, 34)
            lead = size in (BLOCK_BROKEN, BLOCK_DATA)
            length = bytes(data.retrieve())[0] if lead else 1
            data.update(int(lead), bytes(memory.get(register + at, 0xFF) for at in range(length)))
        return 0


def main(plan: dict[str, Any], diary: Path, command: list[str]) -> int:
    """Run the client; its exit code."""
    import gi  # type: ignore[import-not-found]  # the system's own, unknown to pip

    gi.require_version("UMockdev", "1.0")
    from gi.repository import GLib, UMockdev  # type: ignore[import-not-found]  # as above

    bus = Bus(plan, diary)

    class Handler(UMockdev.IoctlBase):  # type: ignore[misc]  # a class made at run time by introspection
        def do_handle_ioctl(self, client: Any) -> bool:
            number = bus.answer(client.get_request(), client.get_arg())
            client.complete(-1 if number else 0, number)
            return True

    bed, handler = UMockdev.Testbed.new(), Handler()
    parent = plan.get("parent", "platform/fe804000.i2c")  # where the adapter hangs, and so its subsystem: platform, pci
    bed.add_from_string(f"P: /devices/{parent}\nE: SUBSYSTEM={parent.partition('/')[0].partition('0')[0]}\n\n")
    bed.add_from_string(f"P: /devices/{parent}/i2c-1\nE: SUBSYSTEM=i2c\n\n")
    node = f"/devices/{parent}/i2c-1/i2c-dev/i2c-1"
    bed.add_from_string(f"P: {node}\nN: i2c-1\nE: DEVNAME=/dev/i2c-1\nE: SUBSYSTEM=i2c-dev\nL: device=../../../i2c-1\n\n")
    bed.attach_ioctl("/dev/i2c-1", handler)
    loop = GLib.MainLoop()
    client = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "umockdev-wrapper", *command])
    GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, os.pidfd_open(client.pid), GLib.IOCondition.IN, lambda *_: loop.quit())
    loop.run()
    return client.wait()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
