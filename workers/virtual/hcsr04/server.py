"""Virtual peripherals behind a private BlueZ, as a process: serves until its standard input ends, and takes orders from there."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from dbus_fast.aio import MessageBus

from edgegw.driver import DriverError
from edgegw.errors import EdgegwError
from workers.virtual import dbusd, process
from workers.virtual.bluez import BlueZ
from workers.virtual.hcsr04.air import Air, Order
from workers.virtual.hcsr04.behaviour import Behaviour, behaviour_of, values_of


def main(arguments: Sequence[str]) -> None:
    """The command line; prints the address of the bus, then a line for every order that it obeyed or could not."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.parent:
        process.tie(asked.parent)
    try:
        behaviours = [behaviour_of(values_of(text)) for text in asked.peripherals or [""]]
    except DriverError as error:
        parser.error(str(error))
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(asked.journal.open("a", buffering=1)) if asked.journal else None  # each line readable at once
        note = (lambda line: print(line, file=journal)) if journal else None
        address = asked.bus or stack.enter_context(dbusd.running()).address
        asyncio.run(_serve(Air(behaviours, note), address, [signal.SIGTERM, *([] if asked.parent else [signal.SIGINT])]))


async def _serve(air: Air, address: str, ending: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    bus = await MessageBus(address, negotiate_unix_fd=True).connect()
    bluez = BlueZ(bus, air.adapter)
    air.power = bluez.power
    await bluez.serve()
    for number in ending:
        loop.add_signal_handler(number, ended.set)
    print(address, flush=True)
    orders = asyncio.ensure_future(_obey(air, ended))
    gone = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]  # dbus-fast has it so
    await asyncio.wait({gone, asyncio.ensure_future(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
    orders.cancel()
    if gone.done():
        gone.exception()  # looked at, or asyncio would complain; a bus that is killed is no fault of ours
    bus.disconnect()


async def _obey(air: Air, ended: asyncio.Event) -> None:
    """Orders come as lines of JSON; the end of them is the end of us. What is no pipe and no terminal gives none, and has no end."""
    if not (stat.S_ISFIFO(os.fstat(0).st_mode) or os.isatty(0)):
        return
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        try:
            air.obey(msgspec.json.decode(line, type=Order))
            print("done", flush=True)
        except (EdgegwError, msgspec.DecodeError) as error:
            print(f"refused: {error}", flush=True)
    ended.set()


def _parser() -> argparse.ArgumentParser:
    described = msgspec.json.schema(Behaviour)["$defs"]["Behaviour"]["properties"]
    parser = argparse.ArgumentParser(
        "python -m workers.virtual.hcsr04",
        description=main.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:16} {field['description']} ({field['default']})" for name, field in described.items()),
    )
    parser.add_argument("peripherals", nargs="*", help='what each does, as in "address=AA:BB:CC:DD:EE:02&name=door&no_echo=0.1"')
    parser.add_argument("--bus", default="", help="address of the bus to serve on; without it a private dbus-daemon is started")
    parser.add_argument("--journal", type=Path, help="append what happens to this file, a line of JSON each")
    parser.add_argument("--parent", type=int, default=0, help="a process id: end when this process does")
    return parser
