"""A simulated /dev/i2c-1 with a virtual MPU6050 behind it, for a client that is run here and cannot tell: umockdev's work.

    /usr/bin/python3 -m workers.virtual.i2cdev [--control FD] [--behaviour JSON] [--address 0x68] -- COMMAND…

umockdev answers for device nodes by a library preloaded into the client, so the client must be started here. Its standard streams are
ours, signals go on to it, and its end is ours, with its exit code. Needs Debian's umockdev, gir1.2-umockdev-1.0 and python3-gi, hence
the system's interpreter; nothing else.

Faults come as lines of JSON on the control socket; each is answered by a line with the journal.

    {"behaviour": {"nack": 0.05}}      {"suffer": "brown_out"}       {"script": [[121, 0.0], [0, 0.3]]}
    {"present": false}                 {"plugged": false}            {}
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from workers.virtual.chip6050 import Chip
from workers.virtual.line6050 import Line
from workers.virtual.scene6050 import Behaviour

# linux/i2c-dev.h and linux/i2c.h
I2C_RETRIES, I2C_TIMEOUT, I2C_SLAVE, I2C_SLAVE_FORCE, I2C_FUNCS, I2C_RDWR, I2C_PEC, I2C_SMBUS = (
    0x0701, 0x0702, 0x0703, 0x0706, 0x0705, 0x0707, 0x0708, 0x0720,
)  # fmt: skip
FUNC_I2C, FUNC_SMBUS_EMUL = 0x00000001, 0x0EFF0008  # what the Pi's controller has
M_RD = 0x0001
BYTE, BYTE_DATA, WORD_DATA, BLOCK_BROKEN, BLOCK_DATA = 1, 2, 3, 6, 8
MESSAGE = struct.Struct("<HHH")  # i2c_msg: addr, flags, len; behind it, aligned, a pointer: 16 bytes in all
MESSAGE_bytes, POINTER_at = 16, 8

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
Later = Callable[[int, Callable[[], bool]], object]  # GLib.timeout_add: after so many ms, call that

SYSFS = "/devices/platform/soc/fe804000.i2c/i2c-1/i2c-dev/i2c-1"
DEVICE = f"P: {SYSFS}\nN: i2c-1\nE: DEVNAME=/dev/i2c-1\nE: SUBSYSTEM=i2c-dev\nA: name=bcm2835 (i2c@7e804000)\\n\n"


class Outcome(NamedTuple):
    """What becomes of an ioctl."""

    number: int = 0  # errno
    delay_s: float = 0.0
    result: int = 0
    act: Callable[[], None] = lambda: None  # to be done when the delay is over


class Adapter:
    """One bus: the addresses that its openers have chosen, and one chip."""

    def __init__(self, line: Line, address: int) -> None:
        self.line = line
        self.plugged = True  # the adapter itself, with its node; the chip's presence is the line's
        self._address = address
        self._chosen = 0

    def answer(self, request: int, argument: Any) -> Outcome:
        """Carry out one ioctl."""
        if not self.plugged:
            return Outcome(errno.ENODEV)
        if request in (I2C_SLAVE, I2C_SLAVE_FORCE):
            self._chosen = int.from_bytes(bytes(argument.retrieve()), "little")
        elif request == I2C_FUNCS:
            argument.resolve(0, 8).update(0, struct.pack("<Q", FUNC_I2C | FUNC_SMBUS_EMUL))
        elif request == I2C_RDWR:
            return self._messages(argument)
        elif request == I2C_SMBUS:
            return self._smbus(argument)
        elif request not in (I2C_RETRIES, I2C_TIMEOUT, I2C_PEC):
            return Outcome(errno.ENOTTY)
        return Outcome()

    def _messages(self, argument: Any) -> Outcome:
        header = argument.resolve(0, 16)  # i2c_rdwr_ioctl_data: a pointer, then the number of messages
        (count,) = struct.unpack_from("<I", bytes(header.retrieve()), 8)
        table = header.resolve(0, MESSAGE_bytes * count)
        raw = bytes(table.retrieve())
        heads = [MESSAGE.unpack_from(raw, at) for at in range(0, MESSAGE_bytes * count, MESSAGE_bytes)]
        buffers = [table.resolve(place * MESSAGE_bytes + POINTER_at, length) for place, (_, _, length) in enumerate(heads)]
        reads = [bool(flags & M_RD) for _, flags, _ in heads]
        messages = [head[2] if read else bytes(buffer.retrieve()) for head, read, buffer in zip(heads, reads, buffers, strict=True)]

        def fill(answers: list[bytes]) -> None:
            for buffer, answer in zip(itertools.compress(buffers, reads), answers, strict=True):
                buffer.update(0, answer)

        return self._transfer({address for address, _, _ in heads}, messages, fill, count)

    def _smbus(self, argument: Any) -> Outcome:
        call = argument.resolve(0, 16)  # i2c_smbus_ioctl_data: read_write, command, size, then a pointer to 34 bytes
        reading, command, size = struct.unpack_from("<BBxxI", bytes(call.retrieve()))
        data = call.resolve(8, 34)
        lead = int(size in (BLOCK_BROKEN, BLOCK_DATA))  # a block begins with its length
        length = bytes(data.retrieve())[0] if lead else {BYTE_DATA: 1, WORD_DATA: 2}.get(size, 0)
        if not 1 <= length <= 32:
            return Outcome(errno.EINVAL if lead else errno.EOPNOTSUPP)
        if reading:
            return self._transfer({self._chosen}, [bytes([command]), length], lambda answers: data.update(lead, answers[0]))
        written = bytes([command]) + bytes(data.retrieve())[lead : lead + length]
        return self._transfer({self._chosen}, [written], lambda _: None)

    def _transfer(self, addresses: set[int], messages: list[bytes | int], fill: Callable[[list[bytes]], None], result: int = 0) -> Outcome:
        number, delay_s = self.line.fate()
        if not number and addresses != {self._address}:
            number = errno.EREMOTEIO
        if number:
            self.line.break_off(*messages)
            return Outcome(number, delay_s)
        return Outcome(0, delay_s, result, lambda: fill(self.line.carry(*messages)))


class Orders:
    """The test's end of it: what it wishes for, line by line."""

    def __init__(self, adapter: Adapter, plug: Callable[[bool], None], channel: socket.socket, end: Callable[[], None]) -> None:
        self._adapter = adapter
        self._plug = plug
        self._channel = channel
        self._end = end
        self._pending = b""

    def hear(self) -> bool:
        """Whatever has arrived; False, and the client ended, when the test is gone."""
        data = self._channel.recv(65536)
        if not data:
            self._end()
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._channel.sendall(json.dumps(self._obey(json.loads(line))).encode() + b"\n")
        return bool(data)

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        line = self._adapter.line
        line.chip.read(0)  # it catches up with what is past, before anything is changed
        if "behaviour" in order:
            line.chip.behaviour = dataclasses.replace(line.chip.behaviour, **order["behaviour"])
        if "suffer" in order:
            line.chip.suffer(order["suffer"])
        line.script.extend((number, delay_s) for number, delay_s in order.get("script", ()))
        line.present = order.get("present", line.present)
        if "plugged" in order:
            self._plug(order["plugged"])
        return {**dataclasses.asdict(line.chip.journal), "script": len(line.script), "now_ns": time.monotonic_ns()}


class Node:
    """/dev/i2c-1 as the client sees it."""

    def __init__(self, adapter: Adapter, umockdev: Any, later: Later) -> None:
        class Handler(umockdev.IoctlBase):  # type: ignore[misc]  # a class made at run time by introspection
            def do_handle_ioctl(self, client: Any) -> bool:
                return _handled(adapter, client, later)

        self._adapter = adapter
        self._handler = Handler()  # umockdev does not keep it
        self._bed = umockdev.Testbed.new()
        self._bed.add_from_string(DEVICE)
        self._bed.attach_ioctl("/dev/i2c-1", self._handler)
        self._path = Path(self._bed.get_root_dir(), "dev", "i2c-1")
        self._away = self._path.with_name("i2c-1.unplugged")

    def plug(self, present: bool) -> None:
        """Appear or vanish; who has it open then gets ENODEV from every call."""
        self._adapter.plugged = present
        # by name, since umockdev's remove_device leaves the node and cannot add the same one twice
        if present and self._away.exists():
            self._away.rename(self._path)
        elif not present and self._path.exists():
            self._path.rename(self._away)

def serve(asked: argparse.Namespace) -> int:
    """Run the client until it ends; its exit code, 128 and more when a signal ended it."""
    import gi  # type: ignore[import-not-found]  # the system's own, unknown to pip; and `--help` should not need it

    gi.require_version("UMockdev", "1.0")
    from gi.repository import GLib, UMockdev  # type: ignore[import-not-found]  # as above

    chip = Chip(Behaviour(**json.loads(asked.behaviour)), time.monotonic_ns)
    adapter = Adapter(Line(chip, time.monotonic_ns), asked.address)
    node = Node(adapter, UMockdev, GLib.timeout_add)
    loop = GLib.MainLoop()
    # setpriv, not preexec_fn: umockdev has threads, and after a fork in such a process no Python is safe
    client = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "umockdev-wrapper", *asked.command])  # noqa: S607 (Debian's)

    def hand_on(number: int) -> bool:
        client.send_signal(number)
        return True

    for number in PASSED_ON:
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, hand_on, number)
    _watch(GLib, os.pidfd_open(client.pid), loop.quit)
    if asked.control >= 0:
        orders = Orders(adapter, node.plug, socket.socket(fileno=asked.control), client.kill)
        _watch(GLib, asked.control, orders.hear)
    loop.run()
    code = client.wait()
    return code if code >= 0 else 128 - code


def _watch(glib: Any, fd: int, hear: Callable[[], object]) -> None:
    """Call `hear` whenever there is something to read, as long as it returns true."""
    glib.unix_fd_add_full(glib.PRIORITY_DEFAULT, fd, glib.IOCondition.IN, lambda *_: bool(hear()))


def _handled(adapter: Adapter, client: Any, later: Later) -> bool:
    """Answer one ioctl of a client, at once or after its delay."""
    outcome = adapter.answer(client.get_request(), client.get_arg())

    def complete() -> bool:
        outcome.act()
        client.complete(-1 if outcome.number else outcome.result, outcome.number)
        return False

    if outcome.delay_s:
        later(round(outcome.delay_s * 1000), complete)
    else:
        complete()
    return True


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", type=int, default=-1, help="an inherited socket for faults")
    parser.add_argument("--behaviour", default="{}", help="a JSON object; the names are those of Behaviour")
    parser.add_argument("--address", type=lambda text: int(text, 0), default=0x68)
    parser.add_argument("command", nargs="+", help="the client")
    return serve(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
