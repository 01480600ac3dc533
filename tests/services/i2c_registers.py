"""A simulated /dev/i2c-1 with one chip that is nothing but registers, for a client run here that cannot tell: umockdev's work.

    /usr/bin/python3 tests/services/i2c_registers.py 0x76 '{"0xD0": "60"}' COMMAND…

Needs Debian's umockdev, gir1.2-umockdev-1.0 and python3-gi, hence the system's interpreter. SIGTERM is handed on to the client.
"""

from __future__ import annotations

import errno
import json
import signal
import struct
import subprocess
import sys
import threading
from typing import Any

# linux/i2c-dev.h, linux/i2c.h
I2C_SLAVE, I2C_FUNCS, I2C_SMBUS, HARMLESS = 0x0703, 0x0705, 0x0720, (0x0701, 0x0702, 0x0708)
SMBUS_EMULATED = 0x0EFF0008
BYTE_DATA, BLOCK_DATA = 2, 8
DEVICE = "P: /devices/i2c-1\nN: i2c-1\nE: DEVNAME=/dev/i2c-1\nE: SUBSYSTEM=i2c-dev\n"


class Bus:
    """Answers ioctls; whoever chooses another address than the chip's gets no acknowledgement."""

    def __init__(self, address: int, contents: dict[str, str]) -> None:
        self._address = address
        self._chosen = 0
        self._registers = bytearray(256)
        for at, data in contents.items():
            self._registers[int(at, 0) : int(at, 0) + len(data) // 2] = bytes.fromhex(data)

    def answer(self, request: int, argument: Any) -> int:
        """Zero, or an errno."""
        if request == I2C_SLAVE:
            self._chosen = int.from_bytes(bytes(argument.retrieve()), "little")
        elif request == I2C_FUNCS:
            argument.resolve(0, 8).update(0, struct.pack("<Q", SMBUS_EMULATED))
        elif request == I2C_SMBUS:
            return self._smbus(argument) if self._chosen == self._address else errno.EREMOTEIO
        return 0 if request in (I2C_SLAVE, I2C_FUNCS, *HARMLESS) else errno.ENOTTY

    def _smbus(self, argument: Any) -> int:
        call = argument.resolve(0, 16)  # i2c_smbus_ioctl_data: read_write, command, size, then a pointer to 34 bytes
        reading, at, size = struct.unpack_from("<BBxxI", bytes(call.retrieve()))
        if size not in (BYTE_DATA, BLOCK_DATA):
            return errno.EOPNOTSUPP
        data = call.resolve(8, 34)
        held = bytes(data.retrieve())
        lead = size == BLOCK_DATA  # a block is preceded by its length
        length = held[0] if lead else 1
        if reading:
            data.update(int(lead), bytes(self._registers[at : at + length]))
        else:
            self._registers[at : at + length] = held[lead : lead + length]
        return 0


def main(address: str, contents: str, *command: str) -> int:
    """The client's exit code."""
    import gi  # type: ignore[import-not-found]  # the system's own, unknown to pip

    gi.require_version("UMockdev", "1.0")
    from gi.repository import GLib, UMockdev  # type: ignore[import-not-found]  # as above

    bus = Bus(int(address, 0), json.loads(contents))

    class Handler(UMockdev.IoctlBase):  # type: ignore[misc]  # a class made at run time by introspection
        def do_handle_ioctl(self, client: Any) -> bool:
            number = bus.answer(client.get_request(), client.get_arg())
            client.complete(-1 if number else 0, number)
            return True

    bed, handler, loop = UMockdev.Testbed.new(), Handler(), GLib.MainLoop()
    bed.add_from_string(DEVICE)
    bed.attach_ioctl("/dev/i2c-1", handler)
    # setpriv: whatever ends us ends the client
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "umockdev-wrapper", *command]) as client:

        def hand_on() -> bool:
            client.terminate()
            return True

        def follow() -> None:
            client.wait()
            GLib.idle_add(loop.quit)

        GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, hand_on)
        threading.Thread(target=follow).start()
        loop.run()
        return client.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
