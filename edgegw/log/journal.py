"""Log entries to journald in its native protocol: datagrams of fields, so that `journalctl EDGEGW_SENSOR=front` works."""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections import Counter
from pathlib import Path

import msgspec

from edgegw.log.entry import RESERVED, Entry, bare

SOCKET = Path("/run/systemd/journal/socket")
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # syslog(3)
MAX_NAME = 64  # journald refuses longer field names


class JournalSink:
    """Sends each entry as a datagram, never waiting. What is too big for one is sent with its values cut, and says so.

    Not connected: a restarted journald has a new socket under the old name.
    """

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.trouble: Counter[str] = Counter()  # name of the errno → how often

    def write(self, entry: Entry) -> bool:
        """Take the entry, or False: not now (journald is stopped, slow or away)."""
        try:
            return self._send_shortened(entry)
        except BlockingIOError:
            return False
        except OSError as error:
            self.trouble[errno.errorcode.get(error.errno or 0, "OSError")] += 1
            return False

    def flush(self) -> bool:
        """Nothing ever waits here: a datagram goes whole or not at all."""
        return True

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _send_shortened(self, entry: Entry) -> bool:
        whole = datagram(entry)
        return self._fits(whole) or self._fits(datagram(entry, 1024)) or self._fits(datagram(bare(entry, len(whole)), 256))

    def _fits(self, data: bytes) -> bool:
        """Send it; False when it is too big for a datagram. Raises OSError for any other reason."""
        try:
            self._socket.sendto(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, self._path)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            return False
        return True


def datagram(entry: Entry, cut: int | None = None) -> bytes:
    """The entry in journald's export format, each value cut to `cut` characters, which it then says."""
    fields = {
        "MESSAGE": _message(entry),
        "PRIORITY": str(PRIORITIES.get(entry["level"], 6)),
        "SYSLOG_IDENTIFIER": "edgegw",
    } | {_name(name): _text(value) for name, value in entry.items()}
    return b"".join(_field(name, _shorter(value, cut)) for name, value in fields.items())


def _message(entry: Entry) -> str:
    told = "".join(f" {name}={_text(value)}" for name, value in entry.items() if name not in (*RESERVED, "exception"))
    return f"{entry['process']}: {entry['event']}{told}" + (f"\n{entry['exception']}" if "exception" in entry else "")


def _name(name: str) -> str:
    return ("EDGEGW_" + re.sub(r"[^A-Z0-9_]", "_", name.upper()))[:MAX_NAME]


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shorter(text: str, cut: int | None) -> str:
    return text if cut is None or len(text) <= cut else f"{text[:cut]} … (cut: {len(text)} characters are too many for one datagram)"


def _field(name: str, text: str) -> bytes:
    data = text.encode()
    if b"\n" not in data:
        return f"{name}=".encode() + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
