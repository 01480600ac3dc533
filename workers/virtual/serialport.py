"""The device's end of a serial port: a pty whose other end programs open, with a cable that can be pulled."""

from __future__ import annotations

import os
import pty
import select
import termios
import threading
import tty
from pathlib import Path

_IN_SPEED, _OUT_SPEED = 4, 5  # where termios.tcgetattr puts them
_SPEEDS_baud = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


class SerialPort:
    """A port that a device writes to; with `link` it has a name that stays, as in /dev/serial/by-id, else only /dev/pts/N.

    Safe to use from several threads: a test pulls the cable while the device talks.
    """

    def __init__(self, link: Path | None = None, baud: int = 115200) -> None:
        self.link = link
        self._fresh_baud = baud
        self._lock = threading.Lock()
        self._master = -1
        self._node = ""
        self.arrived_bytes = 0
        self.plug()

    @property
    def path(self) -> str:
        """What a program opens."""
        return str(self.link or self._node)

    @property
    def baud(self) -> int:
        """The speed that the program has set the port to. A pty moves bytes at any speed, but remembers what it was told."""
        with self._lock:
            return _SPEEDS_baud.get(termios.tcgetattr(self._master)[_OUT_SPEED], 0) if self._master >= 0 else 0

    def plug(self) -> None:
        """Appear, as a USB adapter does: a new node, whose number may differ, then the link in one step."""
        with self._lock:
            if self._master >= 0:
                return
            self._master, slave = pty.openpty()
            os.set_blocking(self._master, False)
            tty.setraw(slave)  # or the kernel would echo and translate; it lasts as long as the master is open
            self._tune(slave)  # for who opens it without a word about speed
            self._node = os.ttyname(slave)
            os.close(slave)  # so that the master can tell whether anybody has the port open
            self._poller = select.poll()
            self._poller.register(self._master, select.POLLIN | select.POLLOUT)
            if self.link:
                fresh = self.link.with_name(f"{self.link.name}.new")
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(self._node)
                fresh.replace(self.link)

    def unplug(self) -> None:
        """Vanish: who has the port open sees a hang-up, what it has not read yet is gone, the link too."""
        with self._lock:
            if self._master < 0:
                return
            if self.link:
                self.link.unlink(missing_ok=True)
            os.close(self._master)
            self._master = -1

    def read(self) -> bytes:
        """What the program has sent, or nothing. Never waits."""
        with self._lock:
            if self._master < 0 or not self._events() & select.POLLIN:
                return b""
            try:
                return os.read(self._master, 4096)
            except OSError:  # nobody has it open any more
                return b""

    def write(self, data: bytes) -> int:
        """How many of these bytes arrived; the rest fell on the floor, as from any UART that nobody reads. Never waits."""
        with self._lock:
            if self._master < 0 or not self._listened():
                return 0
            try:
                arrived = os.write(self._master, data)
            except BlockingIOError:
                return 0
            self.arrived_bytes += arrived
            return arrived

    def _listened(self) -> bool:
        """Whether somebody has the port open and the kernel room for more; a pty would keep 16 kB for whoever opens it next."""
        return self._events() & ~select.POLLIN == select.POLLOUT

    def _events(self) -> int:
        return sum(event for _, event in self._poller.poll(0))

    def _tune(self, slave: int) -> None:
        attributes = termios.tcgetattr(slave)
        speed = getattr(termios, f"B{self._fresh_baud}", termios.B115200)
        attributes[_IN_SPEED] = attributes[_OUT_SPEED] = speed
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
