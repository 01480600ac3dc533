"""A private dbus-daemon: a bus that nobody else knows, and that leaves no file behind."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgegw.errors import DeviceError
from workers.virtual import process

PROGRAM = "dbus-daemon"
START_s = 30
END_s = 5
# As a session bus it admits the user who started it and nobody else. An abstract socket has no file, and goes with the daemon.
_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:abstract=edgegw-{name}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""


def installed() -> bool:
    """Whether this machine has a dbus-daemon."""
    return shutil.which(PROGRAM) is not None


class Bus(NamedTuple):
    """Where it is found, and the process behind it."""

    address: str
    daemon: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(name: str = "") -> Iterator[Bus]:
    """A bus for the length of the block, or of this process if that is shorter; its address is one of its own, or that of `name`.

    Raises DeviceError.
    """
    name = name or f"{os.getpid()}-{os.urandom(8).hex()}"
    command = [sys.executable, "-P", "-m", __name__, "--parent", str(os.getpid()), "--name", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=process.environment()) as child:
        try:
            yield Bus(_address(child), child)
        finally:
            child.terminate()
            try:
                child.wait(END_s)
            except subprocess.TimeoutExpired:
                child.kill()


def main(arguments: Sequence[str]) -> None:
    """--parent PID --name NAME: become the daemon, which dies with that process, and print the address of its bus."""
    parser = argparse.ArgumentParser(f"python -m {__spec__.name}", description=main.__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--name", required=True)
    asked = parser.parse_args(arguments)
    process.tie(asked.parent)  # outlives exec
    config = os.memfd_create("bus.conf", 0)  # without MFD_CLOEXEC: the daemon reads it
    os.write(config, _CONFIG.format(name=asked.name).encode())
    options = [f"--config-file=/proc/self/fd/{config}", "--nofork", "--nopidfile", "--print-address=1"]
    os.execlp(PROGRAM, PROGRAM, *options)  # noqa: S606 - no shell is wanted here


def _address(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], START_s)
    address = child.stdout.readline().decode().strip() if ready else ""
    if not address:
        raise DeviceError(f"a private {PROGRAM} did not start: is it installed (apt install dbus-daemon), and may it run here?")
    return address


if __name__ == "__main__":
    main(sys.argv[1:])
