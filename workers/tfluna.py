"""Benewake TF-Luna LiDAR on a serial port: the 9-byte/cm frames that it streams by itself from power-up.

    59 59 DistL DistH AmpL AmpH TempL TempH Sum     unsigned; Sum is the low byte of the sum of the eight before it

What a frame says of its echo decides what is reported; the first row that fits counts:

    strength 65535            SATURATED  the receiver is over-exposed      distance null  bad
    strength from 32768       AMBIENT    blinded by sunlight               distance null  bad
    strength below 100        WEAK       an echo too weak to measure by    distance null  uncertain
    distance 0, the dummy
      or from 32768           NONE       nothing in range                  distance null  uncertain
    distance below 0.20 m     NEAR       in the blind zone                 distance kept  uncertain
    distance above 8.00 m     FAR        beyond the rated range            distance kept  uncertain
    anything else             VALID                                        distance kept  good

Bad means that the sensor could not see. One that looks into the open sees well, and "no echo" is its answer; it is uncertain,
not good, because a dark surface nearby answers the same. Near and far numbers are what the device says beyond what it promises.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import select
import termios
from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from msgspec import Meta

from edgegw.clock import NS_PER_S, SystemClock
from edgegw.errors import DeviceError
from edgegw.reading import Quality, Sample

if TYPE_CHECKING:
    import serial

FIELDS = {"lidar": {"distance_m": float, "strength": int, "temperature_degC": float}}
SIMULATOR = "workers.virtual.tfluna"

_PORT = (
    "Serial port; a name out of /dev/serial/by-id stays the same whichever is plugged in first. "
    'Or "virtual": a simulated sensor, with faults as in "virtual?noise=0.01&bad_sum=0.01".'
)
_RATE = "Frames a second that the device has been set to; those that come together are dated by it."
_DUMMY = "What the device has been set to give for want of an echo, in cm (0 as delivered); read as no echo, always."

HEADER, LENGTH_bytes = b"\x59\x59", 9
BEAT_ms = 250
SILENCE_s, SILENCE_frames = 2, 5  # without a frame before the port is given up: whichever is longer
_READ_bytes = 4096  # what the kernel's tty hands out at once
_BACKLOG_bytes = 1 << 16


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the device, and how it has been set up; nothing here changes the device's own settings."""

    port: Annotated[str, Meta(min_length=1, description=_PORT, examples=["/dev/serial0", "virtual", "virtual?noise=0.01"])]
    baud: Annotated[int, Meta(ge=9600, le=921600, description="Speed of the port, in bits a second.", examples=[115200])] = 115200
    rate_hz: Annotated[float, Meta(ge=1, le=250, description=_RATE, examples=[100])] = 100.0
    dummy_distance_cm: Annotated[int, Meta(ge=0, le=65535, description=_DUMMY, examples=[0, 900])] = 0


class Echo(enum.Enum):
    """What became of the light, as the table at the top has it: the quality, and whether the distance is kept."""

    VALID = ("valid", Quality.GOOD, True)
    NEAR = ("near", Quality.UNCERTAIN, True)
    FAR = ("far", Quality.UNCERTAIN, True)
    NONE = ("none", Quality.UNCERTAIN, False)
    WEAK = ("weak", Quality.UNCERTAIN, False)
    AMBIENT = ("ambient", Quality.BAD, False)
    SATURATED = ("saturated", Quality.BAD, False)

    def __init__(self, _word: str, quality: Quality, kept: bool) -> None:
        self.quality = quality
        self.kept = kept


def echo_of(distance_cm: int, strength: int, dummy_cm: int = 0) -> Echo:
    """Judge a frame's two numbers; strength comes first, since a blinded receiver still gives a distance."""
    if strength >= 32768:
        return Echo.SATURATED if strength == 65535 else Echo.AMBIENT
    if strength < 100:
        return Echo.WEAK
    if distance_cm in (0, dummy_cm) or distance_cm >= 32768:
        return Echo.NONE
    if distance_cm < 20:
        return Echo.NEAR
    return Echo.FAR if distance_cm > 800 else Echo.VALID


class Frame(NamedTuple):
    """A frame whose sum is right."""

    distance_cm: int
    strength: int
    temperature_degC: float
    echo: Echo
    newer: int  # how many frames' worth of bytes had already come after it when it was taken

    def sample(self, period_ns: int, faults: int = 0) -> Sample:
        """As a reading to be; frames that came together are dated back by their distance from the last byte."""
        distance_m = self.distance_cm / 100 if self.echo.kept else None
        values = {"distance_m": distance_m, "strength": self.strength, "temperature_degC": self.temperature_degC}
        return Sample(values, self.echo.quality, age_ns=self.newer * period_ns, faults=faults)


class Parser:
    """Bytes in, frames out, however the bytes are cut. Between two calls it keeps less than two frames.

    Of every byte it has been given: skipped_bytes + 9 * frames + len(pending).
    """

    def __init__(self, dummy_cm: int = 0) -> None:
        self._dummy_cm = dummy_cm
        self.pending = b""
        self.locked = False  # whether the beat of the frames is known
        self.frames = 0
        self.bad_sums = 0  # headers that no frame followed: a wrong sum, or a temperature that cannot be
        self.skipped_bytes = 0
        self.resyncs = 0  # times that the beat was lost
        self._faults_told = 0
        self.echoes: Counter[Echo] = Counter()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, oldest first."""
        data = self.pending + data
        frames: list[Frame] = []
        at = self._align(data, 0, 0)
        while len(data) - at >= LENGTH_bytes:
            if not _fits(data, at):
                self.bad_sums += 1
                at = self._align(data, at, at + 1)
            elif self.locked:
                frames.append(self._frame(data, at))
                at = self._align(data, at + LENGTH_bytes, at + LENGTH_bytes)
            elif len(data) - at < 2 * LENGTH_bytes:
                break  # one sum in 256 fits by chance: only a second frame right behind it makes the first one true
            elif _fits(data, at + LENGTH_bytes):
                self.locked = True
            else:
                at = self._align(data, at, at + 1)
        self.pending = data[at:]
        return frames

    def new_faults(self) -> int:
        """How often a frame was spoilt since the last call: a wrong sum, or the beat lost to stray or missing bytes."""
        faults = max(self.bad_sums, self.resyncs)  # a wrong sum mostly costs the beat, too: that is one fault, not two
        new, self._faults_told = faults - self._faults_told, faults
        return new

    def _align(self, data: bytes, start: int, at: int) -> int:
        """The next header from `at` on; what lies between `start` and it is skipped.

        After a bad sum `at` is one byte on, never nine: a header within a frame would hold the beat for ever.
        """
        found = data.find(HEADER, at)
        if found < 0:
            found = len(data) - (at < len(data) and data[-1] == HEADER[0])
        if found > start:
            self.skipped_bytes += found - start
            self.resyncs += self.locked
            self.locked = False
        return found

    def _frame(self, data: bytes, at: int) -> Frame:
        distance_cm = data[at + 2] | data[at + 3] << 8
        strength = data[at + 4] | data[at + 5] << 8
        echo = echo_of(distance_cm, strength, self._dummy_cm)
        self.frames += 1
        self.echoes[echo] += 1
        newer = (len(data) - at) // LENGTH_bytes - 1
        return Frame(distance_cm, strength, (data[at + 6] | data[at + 7] << 8) / 8 - 256, echo, newer)


def _fits(data: bytes, at: int) -> bool:
    """Whether nine bytes are a frame: header, sum, and a chip between -64 and 160 °C.

    The temperature is there for still targets: the frame 59 59 CC 00 59 59 C8 08 00, repeated, is as right when read from its
    fifth byte on, and only a chip at 6283 °C tells the two apart.
    """
    return data.startswith(HEADER, at) and 6 <= data[at + 7] <= 12 and sum(data[at : at + 8]) & 0xFF == data[at + 8]


def read(options: Options) -> Generator[Sample | None, None, None]:
    """Samples as they come; None after BEAT_ms without one. Raises DeviceError when the port or the device is gone."""
    period_ns = round(NS_PER_S / options.rate_hz)
    patience_ns = max(SILENCE_s * NS_PER_S, SILENCE_frames * period_ns)
    parser = Parser(options.dummy_distance_cm)
    with contextlib.closing(_opened(options)) as port:
        poller = select.poll()
        poller.register(port.fileno(), select.POLLIN)
        heard_ns = beat_ns = SystemClock.monotonic_ns()
        strays_bytes = 0
        while True:
            data = _arrived(poller, options.port)
            frames = parser.feed(data) if data else []
            for frame in frames:
                yield frame.sample(period_ns, parser.new_faults())
            now_ns = SystemClock.monotonic_ns()
            if frames:
                heard_ns, beat_ns, strays_bytes = now_ns, now_ns, 0
                continue
            strays_bytes += len(data)
            if now_ns - heard_ns > patience_ns:
                raise DeviceError(_silence(options, strays_bytes, patience_ns))
            if now_ns - beat_ns >= BEAT_ms * 1_000_000:
                beat_ns = now_ns
                yield None


def _arrived(poller: select.poll, name: str) -> bytes:
    """All that has arrived, or nothing after BEAT_ms. Two system calls: pyserial's own read and in_waiting would make five."""
    data = b""
    for fd, event in poller.poll(BEAT_ms):
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


def _silence(options: Options, strays_bytes: int, patience_ns: int) -> str:
    if strays_bytes:
        return f"bytes arrive at {options.port}, but no TF-Luna frame among them: wrong baud rate, or another device?"
    wait = f"{patience_ns / NS_PER_S:g} s"
    return f"no frame from {options.port} for {wait}: is the sensor powered, is its TX connected to RX, is its baud rate {options.baud}?"


def _opened(options: Options) -> serial.Serial:
    import serial  # here, not above: a gateway without serial sensors never loads it

    try:
        return serial.Serial(options.port, options.baud, timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        raise DeviceError(_refusal(options, error)) from error


def _refusal(options: Options, error: Exception) -> str:
    name = options.port
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
        return f"{name} cannot be set to {options.baud} baud"
    return f"{name} cannot be opened: {error}"
