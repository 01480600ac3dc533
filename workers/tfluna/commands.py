"""What the TF-Luna is told and what it answers: bytes of requests, and replies picked out of the stream. Pure: no port, no time.

    5A Len Id payload… Sum     Len counts all of it; Sum is the low byte of the sum of all before it

A reply stands between two frames of data, for the device goes on streaming. By default it does not check the sum of what it is
told, so noise can be a command; its own replies carry a right sum, but for the status of the first firmware.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

HEAD = b"\x5a"
SPEEDS_baud = (115200, 921600, 460800, 230400, 57600, 38400, 19200, 9600)  # the usual one first, then the fast ones
MEASUREMENTS_hz = 500  # the inner rate; each frame is the mean of a whole number of these, two at least


class Id(enum.IntEnum):
    """The third byte of a command and of its reply."""

    VERSION = 0x01
    RESET = 0x02
    RATE = 0x03
    FORMAT = 0x05
    BAUD = 0x06
    OUTPUT = 0x07
    SAVE = 0x11
    LOW_POWER = 0x35
    READ_BACK = 0x3F  # answered by a reply of the setting that it asks for


class Format(enum.IntEnum):
    """Output formats that carry a header, a sum and a temperature; the two differ in the unit of the distance only."""

    CM = 0x01
    MM = 0x06


PAYLOAD_bytes = {Id.RATE: 2, Id.FORMAT: 1, Id.BAUD: 4, Id.OUTPUT: 1, Id.LOW_POWER: 2}  # of a setting, told and answered alike
_REPLY_bytes = {id: 4 + payload for id, payload in PAYLOAD_bytes.items()} | {Id.VERSION: 7, Id.RESET: 5, Id.SAVE: 5}
_STATUS = (Id.RESET, Id.SAVE)  # answered by 0 for done or 1 for failed
LONGEST_bytes = max(_REPLY_bytes.values())


class Request(NamedTuple):
    """Bytes to send, and the id of the reply to them."""

    answer: Id
    data: bytes


class Reply(NamedTuple):
    """A reply of the right length whose sum is right, or could be."""

    id: Id
    payload: bytes

    @property
    def number(self) -> int:
        """The payload: a rate in Hz, a format, a speed in baud, or 0 for done."""
        return int.from_bytes(self.payload, "little")

    @property
    def version(self) -> str:
        """The payload of a version, as "3.0.8"; its bytes come lowest first."""
        return ".".join(str(part) for part in reversed(self.payload))


def request(id: Id, payload: bytes = b"") -> Request:
    """A command without a setting: VERSION, RESET, SAVE."""
    head = bytes([HEAD[0], len(payload) + 4, id]) + payload
    return Request(id, head + bytes([sum(head) & 0xFF]))


def put(id: Id, number: int) -> Request:
    """Set RATE or LOW_POWER in Hz, FORMAT, BAUD in bits a second, or OUTPUT to 0 or 1. It acts at once and is gone with the power."""
    return request(id, number.to_bytes(PAYLOAD_bytes[id], "little"))


def ask(id: Id) -> Request:
    """Ask for a setting as it is; firmware that does not know this command keeps silent."""
    return Request(id, request(Id.READ_BACK, bytes([id])).data)


def nearest_hz(rate_hz: float) -> float:
    """The rate behind a rounded one, as 166.7 Hz behind 166: 500/n where there is one within a hertz, else the number itself."""
    exact = MEASUREMENTS_hz / max(2, round(MEASUREMENTS_hz / rate_hz))
    return exact if abs(exact - rate_hz) < 1 else float(rate_hz)


def rounds_to(asked_hz: float, got_hz: float) -> bool:
    """Whether `got_hz` is what a device makes of `asked_hz`: one of the two neighbours among 500/n, however it rounds."""
    return got_hz > 0 and (abs(MEASUREMENTS_hz / asked_hz - MEASUREMENTS_hz / got_hz) < 1 or abs(asked_hz - got_hz) < 1)


class Replies:
    """Takes the replies to what was asked out of the bytes that arrive; all else is left as it came, byte for byte.

    Between two calls it keeps less than one reply.
    """

    def __init__(self) -> None:
        self.asked: set[Id] = set()  # bytes that happen to look like a reply to anything else are data
        self._held = b""

    def feed(self, data: bytes) -> tuple[list[Reply], bytes]:
        """The replies that `data` completes, and the rest."""
        data = self._held + data
        replies: list[Reply] = []
        rest, given = b"", 0
        at = data.find(HEAD)
        while at >= 0:
            size = self._size(data, at)
            if at + size > len(data):
                break
            if size:
                replies.append(Reply(Id(data[at + 2]), data[at + 3 : at + size - 1]))
                rest += data[given:at]
                given = at + size
            at = data.find(HEAD, at + (size or 1))
        end = at if at >= 0 else len(data)
        self._held = data[end:]
        return replies, rest + data[given:end]

    def left(self) -> bytes:
        """What was kept for the rest of a reply, when no more of it is waited for."""
        held, self._held = self._held, b""
        return held

    def _size(self, data: bytes, at: int) -> int:
        """How many bytes the reply that begins here has, or needs to be told from data; 0 where none begins."""
        head = data[at : at + 3]
        sizes = {_REPLY_bytes[id] for id in self.asked}
        if len(head) < 2 or head[1] not in sizes:
            return 3 if len(head) < 2 and sizes else 0
        if len(head) < 3:
            return 3
        if head[2] not in self.asked or _REPLY_bytes[Id(head[2])] != head[1]:
            return 0
        raw = data[at : at + head[1]]
        return head[1] if len(raw) < head[1] or _is_reply(raw) else 0


def _is_reply(raw: bytes) -> bool:
    """Whether the sum is right. The first manual, and so perhaps the first firmware, has the sums of a status wrong: 0 and 1 will do."""
    return sum(raw[:-1]) & 0xFF == raw[-1] or (raw[2] in _STATUS and raw[3] <= 1)
