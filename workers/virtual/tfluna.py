"""A virtual TF-Luna: streams the device's own bytes into a serial port, with faults that can be switched while it runs.

python -m workers.virtual.tfluna --count 8 --dir /tmp/lunas --hz 100 --noise 0.01
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import math
import os
import random
import signal
import stat
import struct
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgegw.driver import DriverError
from workers.tfluna import Options
from workers.virtual import process
from workers.virtual.bench import Bench
from workers.virtual.serialport import SerialPort

Fraction = Annotated[float, Meta(ge=0, le=1)]
FRAME = struct.Struct("<HHHH")
HEADER = 0x5959
# Frames that hold a header where none is: in the strength, or as the sum with the next frame's first byte.
KILLERS = {"a": bytes.fromhex("595959005959C8088D"), "b": bytes.fromhex("595996004001C80859")}


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a virtual sensor does beside measuring; fractions are of its frames."""

    noise: Annotated[Fraction, Meta(description="fraction of frames that 1 to 20 random bytes come before")] = 0.0
    bad_sum: Annotated[Fraction, Meta(description="fraction of frames with a wrong checksum")] = 0.0
    lost: Annotated[Fraction, Meta(description="fraction of frames that lack one byte")] = 0.0
    doubled: Annotated[Fraction, Meta(description="fraction of frames that have one byte twice")] = 0.0
    weak: Annotated[Fraction, Meta(description="fraction of frames whose echo is too weak")] = 0.0
    saturated: Annotated[Fraction, Meta(description="fraction of frames with an over-exposed receiver")] = 0.0
    ambient: Annotated[Fraction, Meta(description="fraction of frames blinded by sunlight")] = 0.0
    weak_style: Annotated[Literal["0", "65535"], Meta(description="the distance of a weak echo: 0 as newer firmware, 65535 as older")] = "0"
    killer: Annotated[Literal["", "a", "b"], Meta(description="send nothing but this frame, which misleads a careless parser")] = ""
    burst: Annotated[int, Meta(ge=1, le=1000, description="how many frames come at once, as from a slow USB bridge")] = 1
    silence_every_s: Annotated[float, Meta(ge=0, description="fall silent once in so many seconds; 0: never")] = 0.0
    silence_s: Annotated[float, Meta(ge=0, description="how long such a silence lasts")] = 1.0
    seed: Annotated[int | None, Meta(description="the same seed, the same readings; without it every sensor moves its own way")] = None


def behaviour_of(values: Mapping[str, str]) -> Behaviour:
    """From text, as on a command line or in a port's name. Raises DriverError, with a suggestion for a misspelt name."""
    known = Behaviour.__struct_fields__
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise DriverError(f"a virtual tfluna has no {name!r} ({hint})")
    try:
        return msgspec.convert(dict(values), Behaviour, strict=False)
    except msgspec.ValidationError as error:
        raise DriverError(f"virtual tfluna: {error}") from error


def frame(distance_cm: int, strength: int, temperature_degC: float = 25.0) -> bytes:
    """Nine bytes as the device sends them."""
    head = FRAME.pack(HEADER, distance_cm, strength, round((temperature_degC + 256) * 8))
    return head + bytes([sum(head) & 0xFF])


class Scene:
    """What the sensor looks at: something that comes and goes between 0.3 and 6 m, while the chip warms up."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)
        self._period_s = self._random.uniform(15, 30)
        self._phase = self._random.uniform(0, math.tau)

    def frame(self, at_s: float, behaviour: Behaviour) -> bytes:
        """The frame that the device would send `at_s` seconds after power-up."""
        if behaviour.killer:
            return KILLERS[behaviour.killer]
        true_cm = 315 + 285 * math.sin(math.tau * at_s / self._period_s + self._phase)
        strength = min(25_000, round(6000 * (100 / true_cm) ** 2))  # the light spreads over the square of the distance
        # a repeatability of about 3 cm with weak light and 0.5 cm with plenty
        distance_cm = max(1, round(self._random.gauss(true_cm, 0.5 if strength > 2000 else 2.0)))
        return frame(*self._disturbed(distance_cm, strength, behaviour), 45 - 20 * math.exp(-at_s / 300))

    def _disturbed(self, distance_cm: int, strength: int, behaviour: Behaviour) -> tuple[int, int]:
        draw = self._random.random()
        if draw < behaviour.weak:
            return int(behaviour.weak_style), self._random.randrange(100)
        if draw - behaviour.weak < behaviour.saturated:
            return distance_cm, 65535
        if draw - behaviour.weak - behaviour.saturated < behaviour.ambient:
            return distance_cm, self._random.randrange(32769, 65535)
        return distance_cm, strength


class Luna:
    """One virtual device. `behaviour` may be replaced at any moment; `port` can be unplugged and plugged.

    Its journal: `sent` whole frames that arrived, `damaged` ones that arrived otherwise, `dropped` ones that did not arrive whole
    because nobody read. `on_frame` is called with every frame sent whole.
    """

    def __init__(
        self, link: Path | None = None, behaviour: Behaviour | None = None, on_frame: Callable[[bytes], None] | None = None
    ) -> None:
        self.port = SerialPort(link)
        self.behaviour = behaviour or Behaviour()
        self.on_frame = on_frame
        self.sent = self.damaged = self.dropped = 0
        self._scene = Scene(self.behaviour.seed)
        self._random = random.Random(self.behaviour.seed)
        self._held: list[tuple[bytes, bytes]] = []  # what was measured, what goes out instead

    def tick(self, at_s: float) -> None:
        """Measure once, and send it unless a burst is still gathering or the device is silent."""
        behaviour = self.behaviour
        if behaviour.silence_every_s and at_s % behaviour.silence_every_s >= behaviour.silence_every_s - behaviour.silence_s:
            return
        measured = self._scene.frame(at_s, behaviour)
        self._held.append((measured, self._damage(measured, behaviour)))
        if len(self._held) >= behaviour.burst:
            self._send()

    def close(self) -> None:
        """Unplug for good."""
        self.port.unplug()

    def _send(self) -> None:
        room = self.port.write(b"".join([actual for _, actual in self._held]))
        for measured, actual in self._held:
            room -= len(actual)
            if room < 0:
                self.dropped += 1
            elif measured not in actual:  # noise before a frame leaves it whole
                self.damaged += 1
            else:
                self.sent += 1
                if self.on_frame:
                    self.on_frame(measured)
        self._held.clear()

    def _damage(self, raw: bytes, behaviour: Behaviour) -> bytes:
        chance = self._random.random
        if behaviour.bad_sum and chance() < behaviour.bad_sum:
            raw = raw[:8] + bytes([raw[8] ^ self._random.randrange(1, 256)])
        if behaviour.lost and chance() < behaviour.lost:
            at = self._random.randrange(len(raw))
            raw = raw[:at] + raw[at + 1 :]
        if behaviour.doubled and chance() < behaviour.doubled:
            at = self._random.randrange(len(raw))
            raw = raw[:at] + raw[at : at + 1] + raw[at:]
        if behaviour.noise and chance() < behaviour.noise:
            raw = self._random.randbytes(self._random.randint(1, 20)) + raw
        return raw


@contextlib.contextmanager
def plug(options: Options) -> Iterator[Options]:
    """`options` with the port of a virtual device, which runs as a process of its own as long as the block.

    Its behaviour is in the port's name: "virtual?noise=0.01&seed=3". Raises DriverError for a name it does not understand.
    """
    _, _, query = options.port.partition("?")
    try:
        wanted = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise DriverError(f'{options.port!r}: after the ? come pairs as in "noise=0.01&seed=3"') from error
    behaviour_of(wanted)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in wanted.items()]
    with process.started(__name__, [f"--hz={options.rate_hz}", *arguments]) as port:
        yield msgspec.structs.replace(options, port=port)


def main(arguments: Sequence[str]) -> None:
    """The command line: so many devices, until SIGTERM, Ctrl-C, or the end of a pipe on standard input."""
    parser = _parser()
    asked = vars(parser.parse_args(arguments))
    count, directory, hz, parent = (asked.pop(name) for name in ("count", "dir", "hz", "parent"))
    if parent:
        process.tie(parent)
    if count < 1 or not 1 <= hz <= 1000:
        parser.error("--count is at least 1, and --hz from 1 to 1000")
    try:
        behaviour = behaviour_of(asked)
    except DriverError as error:
        parser.error(str(error))
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
    lunas = [Luna(directory and directory / str(i), _seeded(behaviour, i)) for i in range(count)]
    _run(lunas, hz, parent)


def _run(lunas: Sequence[Luna], hz: float, parent: int) -> None:
    names = [luna.port.path for luna in lunas]
    bench = Bench(lunas, hz)
    for number in (signal.SIGTERM, *([] if parent else [signal.SIGINT])):
        signal.signal(number, lambda *_: bench.stop())
    for name in names:
        print(name, flush=True)
    bench.run(lifeline=0 if stat.S_ISFIFO(os.fstat(0).st_mode) else -1)
    bench.close()
    for name, luna in zip(names, lunas, strict=True):
        print(f"{name}: {luna.sent} frames arrived, {luna.damaged} damaged; {luna.dropped} fell on the floor", flush=True)


def _seeded(behaviour: Behaviour, number: int) -> Behaviour:
    return behaviour if behaviour.seed is None else msgspec.structs.replace(behaviour, seed=behaviour.seed + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m workers.virtual.tfluna", description=main.__doc__, argument_default=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=1, help="how many devices (1)")
    parser.add_argument("--dir", type=Path, default=None, help="where to put links named 0, 1, … to their ports; without it: /dev/pts/N")
    parser.add_argument("--hz", type=float, default=100.0, help="frames a second of each (100)")
    parser.add_argument("--parent", type=int, default=0, help="a process id: end when this process does")
    described = msgspec.json.schema(Behaviour)["$defs"]["Behaviour"]["properties"]
    for name, field in described.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"{field['description']} ({field['default']})")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
