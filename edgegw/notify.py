"""The notify protocol of systemd, both directions: Notifier speaks it, NotifySocket hears it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import MutableMapping
from pathlib import Path
from typing import Self

SOCKET_PATH_bytes = 107  # sun_path less its closing zero
_DATAGRAM_bytes = 64 * 1024
_DATAGRAMS_A_TURN = 256  # so that one babbler cannot keep the receiver from its other work
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_HEALTH = "X_EDGEGW"
_SPOKEN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Tells whoever started this process how it goes. Never blocks, never raises; what nobody took is counted in `lost`.

    Without an address every call is a no-op, so that a body need not know whether anybody listens.
    """

    def __init__(self, address: str | None = None, interval_s: float | None = None) -> None:
        self.lost = 0
        self.interval_s = interval_s  # between two beats, half of what the listener allows; None: it does not ask for beats
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        self._ready_owed = False
        if self._socket is not None:
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Self:
        """As NOTIFY_SOCKET and WATCHDOG_USEC say; both are taken out of `environ`, they are not meant for our own children."""
        address, allowed_us, pid = (environ.pop(name, "") for name in _SPOKEN)
        meant = not pid or pid == str(os.getpid())
        usable = address.startswith(("/", "@")) and len(os.fsencode(address)) <= SOCKET_PATH_bytes
        return cls(address if usable else None, _half_s(allowed_us) if meant and usable else None)

    def ready(self) -> None:
        """Start-up is over."""
        self._ready_owed = True
        self._say()

    def beat(self, health_json: str | None = None) -> None:
        """Alive; with `health_json`, compact JSON without line breaks, also how well."""
        self._say("WATCHDOG=1", *([f"{_HEALTH}={health_json}"] if health_json is not None else []))

    def status(self, text: str) -> None:
        """One line for people."""
        self._say(f"STATUS={' '.join(text.split())}")

    def extend(self, seconds: float) -> None:
        """Start-up (or stopping) takes longer: be patient for `seconds` from now."""
        self._say(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def stopping(self) -> None:
        """Told to stop and doing so."""
        self._say("STOPPING=1")

    def close(self) -> None:
        """Give the socket back; from here on every call is a no-op."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *lines: str) -> None:
        # The kernel queues only net.unix.max_dgram_qlen datagrams (10 unless raised), so even a READY may find no room.
        # Beats repeat themselves; a lost READY would get a healthy process killed, so it rides with the next one.
        if self._socket is None or self._address is None:
            return
        text = "\n".join([*(["READY=1"] if self._ready_owed else []), *lines])
        try:
            self._socket.sendto(text.encode(errors="replace"), self._address)
            self._ready_owed = False
        except OSError:
            self.lost += 1


class NotifySocket:
    """Where children speak to their supervisor. The caller holds the lock of the directory: a stale socket is removed."""

    def __init__(self, path: Path) -> None:
        self.malformed = 0
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.bind(str(path))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def receive(self) -> list[tuple[int, dict[str, str]]]:
        """What has arrived, as (pid the kernel vouches for, fields), oldest first; never waits, may leave some for the next call."""
        heard: list[tuple[int, dict[str, str]]] = []
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(_DATAGRAM_bytes, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                break
            pid, fields = _sender(ancillary), parse(data)
            if flags & socket.MSG_TRUNC or not pid or not fields:
                self.malformed += 1
            else:
                heard.append((pid, fields))
        return heard

    def close(self) -> None:
        """Give the socket back; its file stays for the caller to remove."""
        self._socket.close()


def parse(data: bytes) -> dict[str, str]:
    """The KEY=value lines of a datagram; empty when it is not one."""
    try:
        lines = [line.partition("=") for line in data.decode().split("\n") if line]
    except UnicodeDecodeError:
        return {}
    return {key: value for key, _, value in lines} if all(key and equals for key, equals, _ in lines) else {}


def health(fields: dict[str, str]) -> str | None:
    """What the sender says of its health, as the JSON it sent; not looked at."""
    return fields.get(_HEALTH)


def extension_s(fields: dict[str, str]) -> float:
    """How much more patience the sender asks for, from now; 0: none."""
    return 2 * (_half_s(fields.get("EXTEND_TIMEOUT_USEC", "")) or 0.0)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack_from(data)[0])
    return 0


def _half_s(microseconds: str) -> float | None:
    number = microseconds.isascii() and microseconds.isdigit() and len(microseconds) < 20
    return int(microseconds) / 2e6 or None if number else None
