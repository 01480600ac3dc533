"""`python -m edgegw.testing.broker DIRECTORY`: the broker, until SIGTERM; it prints its port when it listens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edgegw.signals import die_with_parent
from edgegw.testing.broker.desk import Desk
from edgegw.testing.broker.journal import Journal
from edgegw.testing.broker.session import Session

HOST = "127.0.0.1"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    asked = _parser().parse_args(arguments)
    if asked.parent:
        die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who ends us
        if os.getppid() != asked.parent:
            return 1
    with contextlib.closing(Journal(asked.directory)) as journal:
        asyncio.run(_serve(journal, asked.port, (asked.user, asked.password)))
    return 0


async def _serve(journal: Journal, port: int, login: tuple[str, str]) -> None:
    desk, sessions = Desk(journal), set[asyncio.Task[None]]()
    writing = asyncio.ensure_future(desk.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, writing.cancel)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which the end of the broker may cut short."""
        task = asyncio.current_task()
        assert task is not None
        sessions.add(task)
        try:
            await Session(reader, writer, desk, login).run()
        except asyncio.CancelledError:
            pass  # asyncio's streams would complain of a cancelled task
        finally:
            sessions.discard(task)

    server = await asyncio.start_server(serve, HOST, port)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    server.close()
    for task in list(sessions):
        task.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m edgegw.testing.broker", description="A small AMQP broker on this machine.")
    parser.add_argument("directory", type=Path, help="where it keeps topology and messages")
    parser.add_argument("--port", type=int, default=0, help="(any free one)")
    parser.add_argument("--user", default="guest", help="the one user (guest)")
    parser.add_argument("--password", default="guest", help="of that user (guest)")
    parser.add_argument("--parent", type=int, default=0, help="a process id: end when this process does")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
