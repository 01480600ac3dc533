"""Serial ports as drivers see them: opening one for oneself, waiting for bytes in two system calls, and saying why it failed."""

from __future__ import annotations

import errno
import os
import select
import termios
from typing import TYPE_CHECKING

from edgegw.errors import DeviceAbsent, DeviceError

if TYPE_CHECKING:
    import serial

_READ_bytes = 4096  # what the kernel's tty hands out at once
_BACKLOG_bytes = 1 << 16


def opened(name: str, baud: int) -> serial.Serial:
    """The port, raw, 8N1, never waiting, and closed to every other program. Raises DeviceError; DeviceAbsent where there is no node."""
    import serial  # here, not above: a gateway without serial sensors never loads it

    try:
        return serial.Serial(name, baud, timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        kind = DeviceAbsent if getattr(error, "errno", None) == errno.ENOENT else DeviceError
        raise kind(_refusal(name, baud, error)) from error


def set_speed(port: serial.Serial, name: str, baud: int) -> None:
    """Go on at another speed; what has arrived stays to be read. Raises DeviceError."""
    try:
        port.baudrate = baud
    except (OSError, ValueError, termios.error) as error:
        raise DeviceError(_refusal(name, baud, error)) from error


def arrived(poller: select.poll, name: str, wait_ms: int) -> bytes:
    """All that has arrived, or nothing after `wait_ms`. Two system calls: pyserial's own read and in_waiting would make five.

    Raises DeviceError when the port is gone, or when another program takes its bytes.
    """
    data = b""
    for fd, event in poller.poll(wait_ms):
        try:
            data = chunk = os.read(fd, _READ_bytes)
            while len(chunk) >= _READ_bytes - 1 and len(data) < _BACKLOG_bytes:
                chunk = os.read(fd, _READ_bytes)
                data += chunk
        except BlockingIOError:
            continue
        except OSError as error:
            raise DeviceError(f"{name} was unplugged ({error.strerror})") from error
        if not data:  # pyserial sets VMIN to 0, so a read that finds nothing gives nothing instead of EAGAIN
            gone = event & (select.POLLHUP | select.POLLERR | select.POLLNVAL)
            raise DeviceError(f"{name} was unplugged" if gone else f"another program reads {name} (a serial console?): end it")
    return data


def sent(port: serial.Serial, name: str, data: bytes) -> None:
    """Send a few bytes without waiting. What the kernel has no room for is lost, as on a line that nobody hears. Raises DeviceError."""
    try:
        os.write(port.fileno(), data)
    except BlockingIOError:
        return
    except OSError as error:
        raise DeviceError(f"{name} was unplugged ({error.strerror})") from error


def _refusal(name: str, baud: int, error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.ENOENT:
            return f"there is no serial port {name}: is the sensor plugged in, and is this its name (see ls /dev/serial/by-id)?"
        case errno.EACCES | errno.EPERM:
            return f"no permission to open {name}: add the user that the gateway runs as to the group dialout"
        case errno.EAGAIN | errno.EBUSY:
            return f"another program has {name} open (a serial console, or a second gateway?): end it"
        case errno.EIO | errno.ENXIO | errno.ENODEV:
            return f"there is no device behind {name}: was it unplugged, or is the port switched off?"
    if isinstance(error.__context__, termios.error):
        return f"{name} is not a serial port"
    if isinstance(error, ValueError):
        return f"{name} cannot be set to {baud} baud"
    return f"{name} cannot be opened: {error}"
