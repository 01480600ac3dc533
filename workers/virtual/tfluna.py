"""A virtual TF-Luna: streams the device's own bytes into a serial port, with faults that can be switched while it runs.

python -m workers.virtual.tfluna --count 8 --dir /tmp/lunas --hz 100 --noise 0.01
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from edgegw.driver import DriverError
from workers.tfluna import Options
from workers.virtual import process
from workers.virtual.asked import values_of
from workers.virtual.bench import Bench
from workers.virtual.luna import Luna
from workers.virtual.lunascene import KILLERS, Behaviour, behaviour_of

__all__ = ["KILLERS", "Behaviour", "Luna", "behaviour_of", "main", "plug"]

TICKS_hz = 50.0  # at least, for a slow device still answers at once


@contextlib.contextmanager
def plug(options: Options) -> Iterator[Options]:
    """`options` with the port of a virtual device, which runs as a process of its own as long as the block.

    Its behaviour is in the port's name: "virtual?noise=0.01&seed=3". Raises DriverError for a name it does not understand.
    """
    _, _, query = options.port.partition("?")
    wanted = values_of(query, "noise=0.01&seed=3")
    wanted.setdefault("baud", str(options.baud))
    behaviour_of(wanted)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in wanted.items()]
    with process.started(__name__, [f"--hz={options.rate_hz or 100}", *arguments]) as port:
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
    lunas = [Luna(directory and directory / str(i), _seeded(behaviour, i), hz=hz) for i in range(count)]
    _run(lunas, hz, parent)


def _run(lunas: Sequence[Luna], hz: float, parent: int) -> None:
    names = [luna.port.path for luna in lunas]
    bench = Bench(lunas, hz * max(1, math.ceil(TICKS_hz / hz)))
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
